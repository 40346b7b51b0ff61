"""Parameters of PostgreSQL and Citus as a stack's settings declare them: which there are, what each takes, what it costs. Pure.

The names are those of pg_settings, of PostgreSQL 15 to 18 and Citus 12.1 to 13.2, in parameters.json; a running server knows
better, and is asked where one is up.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "OF_REBALANCE",
    "REFUSED",
    "SERVER_SETTINGS",
    "Parameter",
    "as_bytes",
    "as_text",
    "find_problem",
    "get_known",
    "in_bytes",
    "needs_restart",
]

_KNOWN: Final = Path(__file__).with_name("parameters.json")

REFUSED: Final = {
    **dict.fromkeys(
        ("wal_level", "shared_preload_libraries", "output_plugin_libraries"),
        "Citus needs it as it is, to move shards online",
    ),
    **dict.fromkeys(
        (
            *("listen_addresses", "port", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions"),
            *("data_directory", "config_file", "hba_file", "ident_file", "external_pid_file", "citus.local_hostname"),
            *("bonjour", "bonjour_name", "extension_control_path", "dynamic_library_path", "allow_alter_system"),
        ),
        "this program decides where each node is, and where its files are",
    ),
    **dict.fromkeys(
        ("password_encryption", "db_user_namespace", "krb_server_keyfile", "krb_caseins_users", "citus.node_conninfo"),
        "the nodes log in to each other, and this program to them, by what is set up here",
    ),
    **dict.fromkeys(
        (
            *("statement_timeout", "lock_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"),
            *(
                "idle_session_timeout",
                "default_transaction_read_only",
                "DateStyle",
                "IntervalStyle",
                "extra_float_digits",
            ),
            *("standard_conforming_strings", "array_nulls", "role", "session_authorization", "search_path"),
            *("session_replication_role", "default_transaction_isolation", "default_table_access_method"),
        ),
        "Citus's own sessions between the nodes would take it too, and abort or corrupt what they do: give it to a role "
        "(alter role … set …)",
    ),
    **dict.fromkeys(
        ("fsync", "full_page_writes", "zero_damaged_pages", "ignore_invalid_pages", "ignore_checksum_failure"),
        "after a crash, a node's data would be lost or wrong",
    ),
    **dict.fromkeys(
        (
            *("hot_standby", "primary_conninfo", "primary_slot_name", "recovery_end_command"),
            *("archive_cleanup_command", "promote_trigger_file", "synchronous_standby_names", "recovery_target"),
            *(f"recovery_target_{what}" for what in ("action", "inclusive", "lsn", "name", "time", "timeline", "xid")),
        ),
        "this program does not manage standbys of nodes yet",
    ),
    **dict.fromkeys(
        ("archive_mode", "archive_command", "archive_library", "restore_command"),
        "the setting backup is what archives nodes",
    ),
    "ssl": "the nodes encrypt what they say to each other by the certificates that Citus makes",
    "citus.enable_unsafe_triggers": "it is the setting unsafeTriggers",
    "citus.use_secondary_nodes": "reads would go to nodes that there are not",
    "citus.shard_replication_factor": "each shard has one placement here",
    "citus.enable_ddl_propagation": "a table would no longer be the same on every node",
    "citus.enable_metadata_sync": "the workers would no longer know the tables",
    "citus.enable_version_checks": "a node of another version of Citus would corrupt the metadata",
}
"""Those that this project needs as they are, with the reason. Of `ssl`, all."""

SERVER_SETTINGS: Final = {
    "wal_level": "logical",
    "max_connections": "200",
    "max_prepared_transactions": "400",
    "max_worker_processes": "32",
    "max_wal_senders": "32",
    "max_replication_slots": "32",
    "max_logical_replication_workers": "24",
    "max_locks_per_transaction": "512",
}
"""What every node is started with, where the settings say nothing else; by name, as postgresql.conf takes them.

A command that touches every shard of a partitioned table locks them all in one transaction, and so does its prepared half on
each worker: max_locks_per_transaction * (max_connections + max_prepared_transactions) is what a node can lock at a time, here
307,200. Measured: 79,100 on each of four workers and 29,100 on the coordinator for 730 partitions of 32 shards with two indexes;
the images' own settings allow 19,200. So 1,000 such partitions fit on two workers, and on one alone they do not. Against
PostgreSQL's own 64 it costs 107 MB of shared memory a node, of which 50 MB are in use from the start.
Moves and splits of shards without a stop take a replication slot, a sender and a worker for each shard of a colocation group.
"""


OF_REBALANCE: Final = ("citus.max_background_task_executors", "citus.max_background_task_executors_per_node")
"""Of the coordinator, by the setting `rebalance.parallel`: how many moves Citus carries out at a time, in all and for a node."""


LEAST: Final = {
    "max_connections": 20,
    "max_worker_processes": 8,
    "max_wal_senders": 4,
    "max_replication_slots": 4,
    "max_logical_replication_workers": 4,
}
"""What a node needs at least: for the sessions between nodes, and for one shard to be moved online."""

_MEMORY: Final = {"B": 1, "kB": 1024, "8kB": 8192, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_TIME: Final = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_FAMILIES: Final = (_MEMORY, _TIME)


@dataclass(frozen=True)
class Parameter:
    """What a server takes for a parameter."""

    context: str
    """As in pg_settings: `postmaster` takes effect at a start of the server alone."""
    type: str
    unit: str = ""
    min: str = ""
    max: str = ""
    values: tuple[str, ...] = ()
    """Of an enum."""
    since: int = 0
    """Major version of PostgreSQL that brought it; 0 where all have it."""
    until: int = 0
    """Last major version that has it; 0 for all."""


@cache
def get_known() -> Mapping[str, Parameter]:
    """Return the parameters of all supported versions, by name."""
    read: dict[str, dict[str, Any]] = json.loads(_KNOWN.read_text("utf-8"))
    return {name: Parameter(**{**what, "values": tuple(what.get("values", ()))}) for name, what in read.items()}


def as_text(value: str | float) -> str:
    """Return a value of the settings as postgresql.conf takes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def needs_restart(name: str) -> bool:
    """Tell whether another value takes effect at a start of the server alone."""
    known = get_known().get(name)
    return known is not None and known.context == "postmaster"


def as_bytes(text: str) -> int:
    """Return an amount of memory such as 512MB or 1.5GB in bytes.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)\s*", text)
    if found is None:
        msg = "expected a number with its unit, such as 512MB or 2GB (kB, MB, GB, TB)"
        raise ValueError(msg)
    return int(float(found[1]) * _MEMORY[found[2]])


def in_bytes(name: str, value: str) -> int:
    """Return an amount of memory as postgresql.conf takes it, with or without a unit, in bytes."""
    unit = get_known()[name].unit
    return int(float(value) * _MEMORY[unit]) if value.replace(".", "", 1).isdigit() else as_bytes(value)


def find_problem(name: str, value: str, known: Mapping[str, Parameter], *, major: int | None = None) -> str:
    """Return what is wrong with a parameter, and what to do; nothing where a server takes it.

    Args:
        name: of the parameter.
        value: as postgresql.conf takes it.
        known: what there is: of the supported versions, or of the server that runs.
        major: of the server, where it is known.
    """
    spelled = {other.lower(): other for other in known}
    name = spelled.get(name.lower(), name)
    reason = REFUSED.get(name) or (REFUSED["ssl"] if name.startswith("ssl") else "")
    if reason:
        return f"it cannot be set: {reason}. Remove it"
    parameter = known.get(name)
    if parameter is None:
        return _unknown(name, known)
    if parameter.context == "internal":
        return "no setting changes it: remove it"
    if major and not (parameter.since or major) <= major <= (parameter.until or major):
        has = f"{parameter.since} or later" if parameter.since else f"{parameter.until} or earlier"
        return f"PostgreSQL {major} does not have it, only {has}: remove it"
    return next(_wrong_value(name, value, parameter), "")


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    prefix, dot, _ = name.partition(".")
    if dot and prefix not in ("citus", "columnar"):
        return ""  # of an extension, which alone knows
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    meant = f": did you mean {near[0]}?" if near else ": correct it, or remove it"
    return f"{'Citus' if dot else 'PostgreSQL'} has no parameter of this name{meant}"


def _wrong_value(name: str, value: str, parameter: Parameter) -> Iterator[str]:
    match parameter.type:
        case "bool":
            if value.lower() not in ("on", "off", "true", "false", "yes", "no", "1", "0"):
                yield "expected on or off"
        case "enum" if parameter.values:
            if value.lower() not in (it.lower() for it in parameter.values):
                near = get_close_matches(value, parameter.values, n=1)
                yield f"expected one of {', '.join(parameter.values)}" + (f": did you mean {near[0]}?" if near else "")
        case "integer" | "real":
            yield from _wrong_number(name, value, parameter)


def _wrong_number(name: str, value: str, parameter: Parameter) -> Iterator[str]:
    found = re.fullmatch(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", value)
    units = next((family for family in _FAMILIES if parameter.unit in family), {})
    if found is None:
        yield f"expected a number{f' with a unit ({_listed(units)})' if units else ''}"
        return
    number, unit = float(found[1]), found[2]
    if unit and unit not in units:
        yield (
            f"{unit} is not a unit of it: use {_listed(units)}"
            if units
            else f"it takes a number without a unit: remove {unit}"
        )
        return
    if unit:
        number *= units[unit] / units[parameter.unit]
    lowest = max(float(parameter.min or "-inf"), LEAST.get(name, float("-inf")))
    highest = float(parameter.max or "inf")
    if not lowest <= number <= highest:
        of = f" {parameter.unit}" if parameter.unit else ""
        bounds = f"{lowest:.15g} to {highest:.15g}" if parameter.max else f"{lowest:.15g} at least"
        yield f"out of range: expected {bounds}{of}{', which the nodes of a cluster need' if number < LEAST.get(name, 0) else ''}"


def _listed(units: Mapping[str, float]) -> str:
    return ", ".join(unit for unit in units if unit != "8kB")
