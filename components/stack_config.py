"""The running stack's configuration, as settings; the only module that reads it from Pulumi, but for the providers."""

from __future__ import annotations

from pathlib import Path

import pulumi
import yaml
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from components.errors import SettingsError
from components.settings import PROJECT, Settings, refuse_plain_passwords

__all__ = ["get_engine_settings", "load_settings"]


def load_settings() -> Settings:
    """Read and validate the running stack's configuration.

    Raises:
        SettingsError: with one line for each wrong setting.
    """
    prefix = f"{PROJECT}:"
    given = {**get_config_env(), **CONFIG.get()}  # from the language host, from tests and inline programs
    values = {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
    stack_file = Path(f"Pulumi.{pulumi.get_stack()}.yaml")
    if "roles" in values and stack_file.is_file():
        refuse_plain_passwords((yaml.safe_load(stack_file.read_text("utf-8")) or {}).get("config"))
    if "password" in values and not is_config_secret(f"{PROJECT}:password"):
        msg = "citus:password stands in the settings as plain text: set it with `pulumi config set --secret password`"
        raise SettingsError(msg)
    settings = Settings.parse(values, stack=pulumi.get_stack())
    if settings.roles and not is_config_secret(f"{PROJECT}:roles"):
        msg = (
            "citus:roles has passwords as plain text: set each with "
            "`pulumi config set --path --secret 'roles.<name>.password'`"
        )
        raise SettingsError(msg)
    return settings


def get_engine_settings() -> list[str]:
    """Return the settings of the running stack by which Pulumi's own Docker provider would choose an engine, as docker:host."""
    given = pulumi.Config("docker")
    names = ("host", "context", "certPath", "caMaterial", "certMaterial", "keyMaterial", "sshOpts")
    return [f"docker:{name}" for name in names if given.get(name)]
