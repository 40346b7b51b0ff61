"""`python -m cli up|preview|review|refresh|down|show`: on the same stacks and state as `pulumi` in this folder."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pulumi import automation

from cli.cluster import keep_authority
from cli.select_stack import LOCAL_STACK, select_stack, settings_file
from cli.stacks import find_pulumi, read_outputs, reason, run_operation
from cli.status import show_cluster, show_residency
from components.environment import print_anything
from components.errors import StackError
from components.nodes.local.installation import wheel_folders
from components.settings import PROJECT, SEED_STACK

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
OutputOption = Annotated[Path | None, typer.Option("--output", help="a file to write to, beside the terminal")]
StackOption = Annotated[str, typer.Option("--stack", help="by default dev, or local where Docker cannot run it")]


@app.command()
def up(stack: StackOption = "") -> None:
    """Bring the cluster up, or to what is declared."""
    name = select_stack(stack)
    made = run_operation(name, lambda it, show: it.up(**show, show_secrets=False, suppress_outputs=True))
    show_cluster(name, {output: it.value for output, it in made.outputs.items()})


@app.command()
def preview(
    stack: StackOption = "",
    *,
    expect_no_changes: Annotated[bool, typer.Option(help="fail where up would change something")] = False,
) -> None:
    """Show what up would do."""
    run_operation(select_stack(stack), lambda it, show: it.preview(**show, expect_no_changes=expect_no_changes))


@app.command()
def plan(
    stack: Annotated[str, typer.Option("--stack", help="by default dev")] = "",
    output: Annotated[
        str, typer.Option("--format", help="text, json, or github for annotations of a workflow")
    ] = "text",
    mend: Annotated[str, typer.Option(help="a new file of the schema: write there what mends the findings")] = "",
    queries: Annotated[
        str,
        typer.Option(
            envvar="QUERIES", help="statements of an application to judge: .sql, .csv or .json, or a database's URI"
        ),
    ] = "",
) -> None:
    """Show what the plan finds and does, without a database; fail where it has errors."""
    from cli.plan import plan_command  # noqa: PLC0415 - reads SQL, which no other command does

    raise typer.Exit(plan_command(stack, output, mend, queries))


@app.command()
def propose(
    source: Annotated[
        str, typer.Option("--from", envvar="FROM", help="a folder of SQL files, or a database's address")
    ] = "",
    output: OutputOption = None,
    by: Annotated[str, typer.Option(help="a column to distribute by, in the place of the best candidate")] = "",
) -> None:
    """Propose how a schema is sharded: settings to edit, with the reasons, from a live database or from SQL files."""
    from cli.propose import propose_command  # noqa: PLC0415 - reads SQL, as the plan does

    propose_command(source, output, by)


@app.command()
def review(
    stack: StackOption = "",
    base: Annotated[
        str, typer.Option(help="a commit: the stack as it declares it is brought up here, and compared")
    ] = "",
    output: OutputOption = None,
) -> None:
    """Show what up would do to the data, and what it costs, as Markdown; fail where it is refused."""
    from cli.review import review as write  # noqa: PLC0415 - reads SQL, as the plan does

    raise typer.Exit(write(stack or SEED_STACK, output, base))


@app.command()
def new(
    name: str, like: Annotated[str, typer.Option(help="the stack whose settings it starts with")] = LOCAL_STACK
) -> None:
    """Make a stack with the settings of another one, and names, ports and a password of its own."""
    from cli.new_stack import make_stack  # noqa: PLC0415

    file = make_stack(name, like or LOCAL_STACK)
    print(f"{file} is like Pulumi.{like or LOCAL_STACK}.yaml; next: make up STACK={name}")


@app.command()
def drift(stack: StackOption = "", output: OutputOption = None) -> None:
    """Compare the stack with its live cluster, and show as Markdown what differs; end with 2 where something does."""
    from cli.review import drift as write  # noqa: PLC0415

    raise typer.Exit(write(stack or SEED_STACK, output))


@app.command()
def comment(file: Path, number: Annotated[int, typer.Option(help="of the pull request")]) -> None:
    """Put a review under a pull request, in the place of the one that is there."""
    from cli.github import comment as put  # noqa: PLC0415

    put(file.read_text("utf-8"), number)


@app.command()
def issue(file: Path, title: Annotated[str, typer.Option(help="by which the issue is found again")]) -> None:
    """Open an issue with the file's text, or bring the open one up to date; close it where the file is empty."""
    from cli.github import keep_issue  # noqa: PLC0415

    keep_issue(title, file.read_text("utf-8"))


@app.command()
def refresh(stack: StackOption = "") -> None:
    """Compare the state with the live cluster."""
    run_operation(select_stack(stack), lambda it, show: it.refresh(**show, show_secrets=False))


@app.command()
def down(stack: StackOption = "") -> None:
    """Remove the cluster and all its data."""
    name = select_stack(stack)
    settings = yaml.safe_load(settings_file(name).read_text("utf-8")) or {}
    # What is on a host that does not answer stays, and all else goes: a further `down` ends it.
    goes_on = f"{PROJECT}:hosts" in (settings.get("config") or {}) or None
    run_operation(name, lambda it, show: it.destroy(**show, show_secrets=False, continue_on_error=goes_on))


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

    run_operation(select_stack(stack), free)


@app.command()
def forget(
    host: Annotated[str, typer.Option(help="that is gone for good, and that no setting names any more")],
    stack: StackOption = "",
) -> None:
    """Take what was on a host that is gone for good out of the state: nobody can remove it there."""
    from cli.forget import forget_host  # noqa: PLC0415

    name = select_stack(stack)
    print(f"forgotten: {', '.join(forget_host(name, host))}; next: make restore WORKERS=… STACK={name}")


@app.command()
def show(stack: StackOption = "") -> None:
    """Show nodes, tables and shards of the running cluster."""
    name = select_stack(stack)
    show_cluster(name, read_outputs(name))


@app.command()
def residency(stack: StackOption = "") -> None:
    """Count, on every shard, the rows of the tenants that have a worker of their own; fail where one is elsewhere."""
    if not show_residency(read_outputs(select_stack(stack))):
        raise typer.Exit(1)


@app.command()
def backup(
    kind: Annotated[str, typer.Option(help="full, differential, incremental, or restore-point")] = "incremental",
    stack: StackOption = "",
) -> None:
    """Back all nodes up, and make a point to which all of them can be restored."""
    from cli.backups import back_up  # noqa: PLC0415

    back_up(_outputs(stack), kind)


@app.command()
def backups(
    stack: StackOption = "", *, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """Show the backups, and the points to go back to."""
    from cli.backups import read_backups, show_backups  # noqa: PLC0415

    show_backups(read_backups(_outputs(stack)), as_json=as_json)


@app.command()
def restore(
    to: Annotated[str, typer.Option(help="a backup, a restore point, a time, or latest")] = "latest",
    stack: StackOption = "",
    name: Annotated[str, typer.Option(help="of the new stack; by default that of the other, with -restored")] = "",
    in_place: Annotated[str, typer.Option(help="the stack, whose rows are given up, in the place of a new one")] = "",
    confirm: Annotated[str, typer.Option(help="its name once more")] = "",
    workers: Annotated[str, typer.Option(help="that have lost their data, and come back: worker_2,worker_4")] = "",
) -> None:
    """Make a new stack of a backup of another one, and bring it up; or put a stack back to one of its backups.

    Or make workers that have lost their data of their own newest backup, in a cluster that has gone on without them.
    """
    from cli.restore import prepare_in_place, prepare_new, wanted_workers  # noqa: PLC0415

    if workers:
        source = select_stack(stack)
        with wanted_workers(source, workers):
            refresh(source)  # or the state would have them as they were
            up(source)
        return

    if in_place:
        prepare_in_place(in_place, confirm, to)
        down(in_place)
        up(in_place)
        return
    source = select_stack(stack)
    made = name or f"{source}-restored"
    prepare_new(source, made, to)
    up(made)


@app.command()
def psql(stack: StackOption = "") -> None:
    """Connect to the coordinator with psql; the password is on no command line."""
    outputs = _outputs(stack)
    keep_authority(outputs)
    target = conninfo_to_dict(outputs["dsn"])
    password = str(target.pop("password"))
    own = os.pathsep.join(map(str, wheel_folders()))
    program = shutil.which("psql") or shutil.which("psql", path=own)
    if program is None:
        print("there is no psql on the PATH: install PostgreSQL's client (Debian: postgresql-client)", file=sys.stderr)
        raise typer.Exit(1)
    os.environ["PGPASSWORD"] = password
    script = [] if sys.stdin.isatty() else ["--set=ON_ERROR_STOP=1"]  # nobody is there to see the first error
    os.execlp(program, "psql", *script, make_conninfo("", **target))  # noqa: S606 - a terminal's program takes its place


@app.command()
def role(
    name: Annotated[str, typer.Argument(envvar="ROLE", help="as the catalogue has it")] = "", stack: StackOption = ""
) -> None:
    """Let the nodes know the password of a role that was made by hand, so that it can query from every node."""
    from cli.role import ensure_role, read_password  # noqa: PLC0415 - asks for a password, as no other command does

    if not name:
        print("which role? make role ROLE=shop_app", file=sys.stderr)
        raise typer.Exit(1)
    ensure_role(_outputs(stack), name, read_password(name))
    print(f"role {name} can query from every node")


def _outputs(stack: str) -> dict[str, Any]:
    """Return the outputs of a stack that is up."""
    name = select_stack(stack)
    made = read_outputs(name)
    if "dsn" not in made:
        print(f"nothing is up: make up STACK={name}", file=sys.stderr)
        raise typer.Exit(1)
    return made


if __name__ == "__main__":
    print_anything()
    find_pulumi()
    # ^C reaches Pulumi too, which ends in good order: wait for it. Twice, and it ends at once.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        app()
    except (StackError, automation.CommandError) as error:
        print(reason(error) if isinstance(error, automation.CommandError) else error, file=sys.stderr)
        sys.exit(1)
