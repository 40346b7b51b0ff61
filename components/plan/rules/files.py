"""Rules about the files themselves: the order of statements, and what the server has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName, RoleName
from components.plan.findings import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.plan.findings import Finding
    from components.schema.needs import KnownServer, Need
    from components.schema.relations import Relations

__all__ = ["check_files"]


CREATED_LATER: Final = Rule(
    "created-later",
    "error",
    what="A statement names a table or a view that a later statement creates.",
    why="Files run in the order of their names, and statements in their order.",
    remedy="Move the statement behind the one that creates it, or rename the file.",
    source="RangeVarGetRelid",
)

DROPPED_BEFORE: Final = Rule(
    "dropped-before",
    "error",
    what="A statement names a table that an earlier one has dropped.",
    why="It is not there any more.",
    remedy="Remove the statement, or the one that drops the table.",
    source="RangeVarGetRelid",
)

CREATED_BEFORE: Final = Rule(
    "created-before",
    "error",
    what="A table is created twice.",
    why="The second statement fails.",
    remedy="Remove one of them; two databases in one folder are two stacks.",
    source="heap_create_with_catalog",
)

NEWER_SERVER: Final = Rule(
    "newer-server",
    "error",
    what="A statement has syntax, or calls a function, of a newer PostgreSQL than the nodes have.",
    why="The grammar that reads the files is that of the newest PostgreSQL; the server would refuse the statement.",
    remedy="Write it for the server's version, or choose an image with that version.",
    source="raw_parser",
)

MISSING_EXTENSION: Final = Rule(
    "missing-extension",
    "error",
    what="An extension is created that the nodes do not have.",
    why="Its files are not in the image, or not installed on this host.",
    remedy="Derive an image that has it (citus:image), or install its package; or remove what needs it.",
    source="CreateExtension",
)

MISSING_ROLE: Final = Rule(
    "missing-role",
    "warning",
    what="Owners, grants or policies name a role that the cluster does not have, and no statement before creates it.",
    why="Those statements are left out: what they make belongs to citus:user, and the role may do nothing.",
    remedy="Create the role in a file that sorts before, or dump with --no-owner --no-privileges.",
    source="get_rolespec_oid",
)

DECLARED_ROLE: Final = Rule(
    "declared-role",
    "error",
    what="A file makes, alters, renames or drops a role that `citus:roles` declares.",
    why="The role is there before the files run, with the password and the attributes that the settings give it.",
    remedy="Remove the statement; or remove the role from the settings, and let the files alone make it.",
    source="login_roles.ensure_role",
)

DECLARED_ROLE_GRANT: Final = Rule(
    "declared-role-grant",
    "warning",
    what="A file grants something to a role that `citus:roles` declares.",
    why="Such a role may do what the settings say and nothing more: the update revokes all else.",
    remedy="Declare the schema under `read` or `write` of the role; for finer rights, let a file make a role of its own.",
    source="privileges.ensure_privileges",
)

REPLACED_VIEW: Final = Rule(
    "replaced-view",
    "error",
    what="A view is put in place of another one and groups by a primary key while it shows other columns of that table.",
    why="Citus has passed the first view on to the workers, and cannot pass on one that depends on a constraint.",
    remedy="Let it group by every column that it shows, or drop the view and create it anew.",
    source="ErrorOrWarnIfObjectHasUnsupportedDependency",
)


NEEDED_KEY: Final = Rule(
    "needed-key",
    "error",
    what="A statement drops a key, an index, a column or a table that a foreign key needs, without CASCADE.",
    why="PostgreSQL refuses it.",
    remedy="Drop the foreign key before it and add it again behind it, or write CASCADE to lose it.",
    source="performDeletion",
)


_MISPLACED: Final = {
    "created later": (
        CREATED_LATER,
        "files run in the order of their names, and statements in their order: move this one behind that",
    ),
    "dropped before": (DROPPED_BEFORE, "remove one of the two statements"),
    "created before": (CREATED_BEFORE, "remove one of the two statements"),
}


def check_files(
    schema: Relations, server: KnownServer, applied: Iterable[str], roles: Iterable[str] = ()
) -> Iterator[Finding]:
    """Check the files that are not applied yet; `roles` are those that the settings declare."""
    known = frozenset(applied)
    for it in schema.misplaced:
        if it.at.file not in known:
            rule, remedy = _MISPLACED[it.how]
            yield rule.finding(it.name, f"{it.name} is {it.how}, in {it.other}", remedy, at=it.at)
    for name, at in schema.replaced_views.items():
        if at.file not in known:
            message = (
                f"the view {name} is there already, and this one depends on a primary key: Citus cannot pass that on"
            )
            remedy = f"let it group by every column that it shows, or write before it: drop view {name}"
            yield REPLACED_VIEW.finding(name, message, remedy, at=at)
    for drop in schema.refused_drops:
        if drop.at.file not in known:
            fk = ColumnName(drop.foreign_key.name)
            message = f"PostgreSQL refuses to drop {drop.what}, which the foreign key {fk} of {drop.child} needs"
            remedy = (
                f"drop the foreign key before it (alter table {drop.child} drop constraint {fk}) and add it again behind it, "
                "or write CASCADE to lose it"
            )
            yield NEEDED_KEY.finding(drop.foreign_key.parent, message, remedy, at=drop.at)
    needs = [need for need in schema.needs if need.at.file not in known]
    yield from _check_version([need for need in needs if need.kind == "version"], server)
    yield from _check_extensions([need for need in needs if need.kind == "extension"], server)
    declared = frozenset(roles)
    yield from _check_declared_roles([need for need in needs if need.name in declared])
    yield from _check_roles([need for need in needs if need.kind == "role" and need.name not in declared], server)


def _check_version(needs: Iterable[Need], server: KnownServer) -> Iterator[Finding]:
    for need in needs:
        if server.postgres is not None and need.version > server.postgres:
            message = f"{need.name} needs PostgreSQL {need.version}, and {server.what} has {server.postgres} at most"
            remedy = (
                f"write it for PostgreSQL {server.postgres}, or choose servers of version {need.version} (citus:image)"
            )
            yield NEWER_SERVER.finding(None, message, remedy, at=need.at)


def _check_extensions(needs: Iterable[Need], server: KnownServer) -> Iterator[Finding]:
    for need in needs:
        if server.extensions is not None and need.name not in server.extensions:
            message = f"the extension {need.name} is not among those that {server.what} has"
            remedy = "derive an image that has it (citus:image), or install its package; or remove what needs it"
            yield MISSING_EXTENSION.finding(None, message, remedy, at=need.at)


def _check_declared_roles(needs: Iterable[Need]) -> Iterator[Finding]:
    for need in needs:
        role, setting = RoleName(need.name), f"citus:roles.{RoleName(need.name)}"
        if need.kind == "role made":
            message = f"the statement makes, alters, renames or drops the role {role}, which the settings declare"
            remedy = f"remove the statement, or {setting}: a role has one place that says what it is"
            yield DECLARED_ROLE.finding(None, message, remedy, at=need.at)
        elif need.kind == "role granted":
            message = (
                f"what the statement grants to {role} is revoked at the end of the update, unless that is declared too"
            )
            remedy = f"declare it ({setting}: read, write), or grant it to a role that the settings do not declare"
            yield DECLARED_ROLE_GRANT.finding(None, message, remedy, at=need.at)


def _check_roles(needs: Iterable[Need], server: KnownServer) -> Iterator[Finding]:
    """Yield one finding a file and role."""
    counted: dict[tuple[str, str], list[Need]] = {}
    for need in needs:
        is_predefined = need.name.startswith("pg_")
        if not is_predefined and (server.roles is None or need.name not in server.roles):
            counted.setdefault((need.at.file, need.name), []).append(need)
    for (file, role), found in counted.items():
        there = "no statement before creates it" if server.roles is None else "the cluster does not have it"
        message = f"the role {role}: {there}, so that {len(found)} owners, grants or policies of {file} are left out"
        remedy = f"create it in a file that sorts before: create role {role}; or dump with --no-owner --no-privileges"
        yield MISSING_ROLE.finding(None, message, remedy, at=found[0].at)
