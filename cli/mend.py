"""`python -m cli plan --mend <file>`: writes the statements that the plan's findings ask for as a file of the schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import StackError
from components.plan.mend import MendFile
from components.plan.plan import ShardingPlan
from components.schema.files import Schema
from components.schema.statements import SqlFile

if TYPE_CHECKING:
    from cli.plan import Planned

__all__ = ["write_mend"]


def write_mend(stack: str, planned: Planned, name: str) -> tuple[str, int]:
    """Write the file; return what to say of it, and 1 where a plan with it still has errors.

    Raises:
        StackError: there is no plan to mend, or the file is no new one of the schema that sorts behind the others.
    """
    settings = planned.settings
    if settings is None or any(finding.rule in ("settings", "sql") for finding in planned.findings):
        msg = "--mend: the settings or the files cannot be read, so there is no plan yet: see what `make plan` says of them"
        raise StackError(msg)
    path = _path(name, settings.schema_dir)
    mend = MendFile.of(planned.findings)
    if not mend.steps:
        return f"nothing to mend by SQL: {len(mend.left)} findings are left, see `make plan`", int(planned.errors > 0)
    text = mend.text(stack)
    schema = Schema.read(settings.schema_dir)
    schema.add(SqlFile(path.name, text))
    if schema.problems:
        msg = f"--mend {name}: the statements cannot be read: {schema.problems[0]}"
        raise StackError(msg)
    plan = ShardingPlan.draft(schema, settings, planned.standing, planned.server)
    path.write_text(text, "utf-8")
    told = (
        f"wrote {path}: {mend.statements} statements for {len(mend.mended)} findings; {len(mend.left)} are left to you, as "
        f"comments at its end. A plan with it has {len(plan.errors)} errors, {len(plan.warnings)} warnings"
    )
    return told, int(bool(plan.errors))


def _path(name: str, folder: Path) -> Path:
    """Return the path of the new file."""
    path = Path(name) if Path(name).parent != Path() else folder / name
    names = [it.name for it in folder.glob("*.sql")]
    if path.parent.resolve() != folder.resolve() or path.suffix != ".sql":
        msg = (
            f"--mend {name}: it has to be a file of the schema: name one in {folder}, such as {folder / '900_mend.sql'}"
        )
    elif path.exists():
        msg = f"--mend {name}: the file is there already: name another one, or delete it first if no cluster has applied it"
    elif path.name < max(names, default=""):
        msg = f"--mend {name}: it would run before {max(names)}: give it a name that sorts behind that"
    else:
        return path
    raise StackError(msg)
