"""`python -m cli up|preview|refresh|down|show`: on the same stacks and state as `pulumi` in this folder."""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import pulumi
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pulumi import automation

from cli.choice import choose_stack
from cli.plan import plan_command
from cli.shown import show_cluster, show_residency
from components.installation import wheel_folders

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT: Final = "citus"
ENDED: Final = "the program ended there"
"""Said by the Automation API, twice, after an error that the program has shown itself: not to be shown again."""
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
StackOption = Annotated[str, typer.Option("--stack", help="by default dev, or local where Docker cannot run it")]


def program() -> None:
    """Run the program, as Pulumi's language host would.

    Raises:
        pulumi.RunError: the program has shown an error and ended.
    """
    try:
        runpy.run_path("__main__.py", run_name="__main__")
    except SystemExit:
        raise pulumi.RunError(ENDED) from None


def open_stack(name: str) -> automation.Stack:
    """Return the stack of that name, made where it is new, with the program and settings of the current folder."""
    options = automation.LocalWorkspaceOptions(work_dir=str(Path.cwd()))
    return automation.create_or_select_stack(name, project_name=PROJECT, program=program, opts=options)


def carry_out(name: str, operation: Callable[[automation.Stack, dict[str, Any]], object]) -> automation.Stack:
    """Run an operation on a stack, its progress shown; end with exit code 1 where it fails, the error shown too."""
    show = {"on_output": _print, "on_error": _print, "color": "always" if sys.stdout.isatty() else "never"}
    try:
        stack = open_stack(name)
        operation(stack, show)
    except automation.CommandError as error:
        if not _shown:  # before the engine said anything itself
            print(_reason(error), file=sys.stderr)
        raise typer.Exit(1) from None
    return stack


_shown: list[str] = []


def _print(line: str) -> None:
    _shown.append(line)
    if ENDED not in line:
        print(line, flush=True)


def _reason(error: automation.CommandError) -> str:
    """Return what the CLI said, out of the report that the Automation API makes of it."""
    said = str(error).rpartition("stderr: ")[2].strip()
    return said or str(error)


@app.command()
def up(stack: StackOption = "") -> None:
    """Bring the cluster up, or to what is declared."""
    name = stack or choose_stack()
    made = carry_out(name, lambda it, show: it.up(**show, show_secrets=False, suppress_outputs=True))
    show_cluster(made)


@app.command()
def preview(
    stack: StackOption = "",
    *,
    expect_no_changes: Annotated[bool, typer.Option(help="fail where up would change something")] = False,
) -> None:
    """Show what up would do."""
    carry_out(stack or choose_stack(), lambda it, show: it.preview(**show, expect_no_changes=expect_no_changes))


@app.command()
def plan(
    stack: Annotated[str, typer.Option("--stack", help="by default dev")] = "",
    output: Annotated[
        str, typer.Option("--format", help="text, json, or github for annotations of a workflow")
    ] = "text",
) -> None:
    """Show what the plan finds and does, without a database; fail where it has errors."""
    raise typer.Exit(plan_command(stack, output))


@app.command()
def refresh(stack: StackOption = "") -> None:
    """Compare the state with the live cluster."""
    carry_out(stack or choose_stack(), lambda it, show: it.refresh(**show, show_secrets=False))


@app.command()
def down(stack: StackOption = "") -> None:
    """Remove the cluster and all its data."""
    carry_out(stack or choose_stack(), lambda it, show: it.destroy(**show, show_secrets=False))


@app.command()
def recover(stack: StackOption = "") -> None:
    """After a run that was killed: free its lock, and forget what it had only begun."""
    # Of what the file backend writes, a kill can leave only the attributes beside the state half-written. Empty ones say
    # nothing, and stand in the way of all that follows.
    backend = os.environ.get("PULUMI_BACKEND_URL", "")
    if backend.startswith("file://"):
        folder = Path(backend.removeprefix("file://").partition("?")[0]).expanduser() / ".pulumi" / "stacks"
        for file in folder.rglob("*.attrs"):
            if file.stat().st_size == 0:
                file.unlink()

    def free(it: automation.Stack, show: dict[str, Any]) -> None:
        it.cancel()
        it.refresh(**show, show_secrets=False, clear_pending_creates=True)

    carry_out(stack or choose_stack(), free)


@app.command()
def show(stack: StackOption = "") -> None:
    """Show nodes, tables and shards of the running cluster."""
    show_cluster(carry_out(stack or choose_stack(), lambda _it, _show: None))


@app.command()
def residency(stack: StackOption = "") -> None:
    """Count, on every shard, the rows of the tenants that have a worker of their own; fail where one lies elsewhere."""
    if not show_residency(carry_out(stack or choose_stack(), lambda _it, _show: None)):
        raise typer.Exit(1)


@app.command()
def psql(stack: StackOption = "") -> None:
    """Connect to the coordinator with psql; the password stands on no command line."""
    name = stack or choose_stack()
    outputs = carry_out(name, lambda _it, _show: None).outputs()
    if "dsn" not in outputs:
        print(f"nothing is up: make up STACK={name}", file=sys.stderr)
        raise typer.Exit(1)
    target = conninfo_to_dict(outputs["dsn"].value)
    password = str(target.pop("password"))
    own = next((folder / "psql" for folder in wheel_folders() if (folder / "psql").exists()), "psql")
    program = shutil.which("psql") or str(own)
    os.environ["PGPASSWORD"] = password
    os.execlp(program, "psql", make_conninfo("", **target))  # noqa: S606 - a terminal's program takes its place


if __name__ == "__main__":
    # Pulumi's CLI is where setup put it, and starts the dynamic providers with the Python that it finds first.
    folders = [str(Path(sys.executable).parent), str(Path(__file__).parents[1] / ".cache" / "bin")]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    # ^C reaches Pulumi too, which ends in good order: wait for it. Twice, and it ends at once.
    signal.signal(signal.SIGINT, lambda *_: None)
    app()
