"""What a stack's settings say of backups: where they are kept, for how long, and what a new cluster is made of."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from components.model import Model

__all__ = ["BackupSettings", "RepositorySettings", "RestoreSettings", "ScheduleSettings", "as_duration"]

_S3: Final = "s3://"
_BUCKET: Final = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w./-]*)?"
_VOLUME: Final = r"[a-zA-Z0-9][a-zA-Z0-9_.-]*"
_FOLDER: Final = r"/[^\n:\0]*"
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_LEAST_KEY: Final = 12


def as_duration(text: str) -> timedelta:
    """Return a duration such as 90m, 36h or 7d.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if not found:
        msg = f"{text!r} is no duration: expected a number of minutes, hours or days, such as 90m, 36h or 7d"
        raise ValueError(msg)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _duration(text: str) -> str:
    as_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]


def _cron(text: str) -> str:
    field = r"(\*|\d+(-\d+)?(,\d+(-\d+)?)*)(/\d+)?"
    if not re.fullmatch(rf"{field}( {field}){{4}}", text):
        msg = f"{text!r}: expected five fields as cron takes them: minute, hour, day, month and weekday, such as '0 2 * * 0'"
        raise ValueError(msg)
    return text


Cron = Annotated[str, AfterValidator(_cron)]


def _one_line(value: SecretStr) -> SecretStr:
    if any(character in value.get_secret_value() for character in "\0\r\n"):
        msg = "must be one line: pgBackRest reads it as one line of a file"
        raise ValueError(msg)
    return value


Secret = Annotated[SecretStr, AfterValidator(_one_line)]


class RepositorySettings(Model):
    """Where backups are kept: a folder, a volume of Docker's, or an object store; encrypted in any case."""

    repository: str
    """/an/absolute/folder, the name of a volume, or s3://<bucket>/<prefix>."""
    key: Secret
    """By which all of it is encrypted. Without it, nothing can be restored."""
    endpoint: str = ""
    """Host and port of an object store; empty for Amazon's of the region."""
    region: str = "us-east-1"
    key_id: str = ""
    """Of the object store; empty for the role of the machine."""
    secret_key: Secret | None = None
    ca_file: Path | None = None
    """Certificate of the authority that an object store's server is verified by; None for those that the system knows."""
    uri_style: Literal["host", "path"] = "path"

    @field_validator("repository")
    @classmethod
    def _somewhere(cls, value: str) -> str:
        if value.startswith(_S3):
            if not re.fullmatch(_BUCKET, value):
                msg = "expected s3://<bucket>/<prefix>"
                raise ValueError(msg)
        elif not re.fullmatch(f"{_FOLDER}|{_VOLUME}", value):
            msg = "expected an absolute folder, the name of a volume of Docker's, or s3://<bucket>/<prefix>"
            raise ValueError(msg)
        return value

    @field_validator("key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < _LEAST_KEY:
            msg = f"is too short to keep a secret: {_LEAST_KEY} characters at least, as `openssl rand -base64 32` makes them"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one_way_to_a_store(self) -> RepositorySettings:
        of_store = {
            "endpoint": self.endpoint,
            "keyId": self.key_id,
            "secretKey": self.secret_key,
            "caFile": self.ca_file,
        }
        given = [name for name, value in of_store.items() if value]
        if given and not self.is_store:
            msg = f"{given[0]} is of an object store, and repository = {self.repository!r} is none: remove it"
            raise ValueError(msg)
        if bool(self.key_id) != bool(self.secret_key):
            msg = "keyId and secretKey belong together: set both, or neither where the machine has a role"
            raise ValueError(msg)
        return self

    @property
    def is_store(self) -> bool:
        """Tell whether it is an object store."""
        return self.repository.startswith(_S3)

    @property
    def is_volume(self) -> bool:
        """Tell whether it is a volume of Docker's."""
        return bool(re.fullmatch(_VOLUME, self.repository))

    @property
    def authority(self) -> str:
        """Return the text of `ca_file`; empty where there is none.

        Raises:
            OSError: it cannot be read.
        """
        return self.ca_file.read_text("utf-8") if self.ca_file else ""


class ScheduleSettings(Model):
    """When backups are made without anybody's doing, as cron takes it, in UTC."""

    full: Cron | None = None
    differential: Cron | None = None
    incremental: Cron | None = None
    restore_point: Cron | None = None
    """Further points to go back to, between backups."""


class BackupSettings(RepositorySettings):
    """How the cluster is backed up."""

    retention: str = "2"
    """How many full backups are kept, with all that need them; or for how many days, such as 30d."""
    schedule: ScheduleSettings | None = None
    max_age: Duration = "8d"
    """When the newest complete backup is older, `make drift` fails."""

    @field_validator("retention")
    @classmethod
    def _number_or_days(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9]\d{0,3}d?", value):
            msg = "expected a number of full backups, such as 2, or of days, such as 30d"
            raise ValueError(msg)
        return value


class RestoreSettings(RepositorySettings):
    """What the cluster is made of, where it is not made empty."""

    at: str = Field(min_length=1, pattern=r"^[\w.:+-]+$")
    """A backup or a restore point, by its name; or `latest`."""
    within: Duration = "1d"
    """In which all nodes have come to that point."""
    in_place: bool = False
    """The cluster takes the place of the one that was backed up, and goes on with its repository."""
    prefix: str = ""
    """namePrefix of the cluster that was backed up; empty where it is the same."""
