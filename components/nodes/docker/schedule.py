"""Backups at their times: what the container has that makes them. Declares nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.nodes.docker.keypair import AUTHORITY
from components.nodes.docker.shape import POSTGRES_PORT
from components.nodes.passfile import as_lines

if TYPE_CHECKING:
    from components.backups.settings import ScheduleSettings
    from components.settings import Settings

__all__ = ["render_schedule"]

_FOLDER: Final = "/etc/citus-pulumi"
_RUN: Final = "/run/citus-pulumi"
"""Made by start_schedule.sh."""
_CALLS: Final = {
    "full": "citus_pulumi.backup('full')",
    "differential": "citus_pulumi.backup('diff')",
    "incremental": "citus_pulumi.backup('incr')",
    "restore_point": "citus_pulumi.make_restore_point()",
}


def render_schedule(settings: Settings, schedule: ScheduleSettings, coordinator: str) -> dict[str, str]:
    """Return the texts of the files that cron and psql read, by their names; `coordinator` is the name of its container."""
    service = {
        "host": coordinator,
        "port": str(POSTGRES_PORT),
        "dbname": settings.database,
        "user": settings.user,
        "application_name": "citus-pulumi backups",
        **(
            {"sslmode": "verify-full", "sslrootcert": f"{_FOLDER}/{AUTHORITY}"}
            if settings.verifies
            else {"sslmode": "require"}
        ),
    }
    lines = ["SHELL=/bin/sh", f"PGSERVICEFILE={_FOLDER}/service.conf", f"PGPASSFILE={_RUN}/passfile"]
    for name, call in _CALLS.items():
        if when := getattr(schedule, name):
            said = ">/proc/1/fd/1 2>&1"
            lines.append(f'{when} root psql -X -q -d service=cluster -c "call {call}" {said}')
    return {
        "crontab": "\n".join([*lines, ""]),
        "service.conf": "\n".join(["[cluster]", *(f"{key}={value}" for key, value in service.items()), ""]),
        "passfile": as_lines(settings.user, settings.password.get_secret_value(), {}),
    }
