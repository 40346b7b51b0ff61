"""Parameters of PostgreSQL and Citus: read again, or nodes restarted one after the other, which is said before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, LOCAL, DockerNodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack


RUNTIMES = [DOCKER, LOCAL]


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack that is up, with rows, and declares no parameter."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(
        "create table t (id int primary key);\ninsert into t select generate_series(1, 100);"
    )
    made = new_stack("parameters", schemaDir=str(folder), tables={"t": {"distributeBy": "id"}})
    done = made.up()
    assert done.code == 0, done.output
    return made


def ask(stack: Stack, expression: str) -> list[str]:
    """Return what an expression is on each node, the coordinator first."""
    rows = stack.query(
        f"""select result from run_command_on_all_nodes($$select {expression}$$) r
        join pg_dist_node n using (nodeid) order by groupid"""
    )
    return [str(row) for row in rows]


def started(stack: Stack) -> list[str]:
    """Return when each node's server was started, the coordinator's first."""
    return ask(stack, "pg_postmaster_start_time()")


def is_unchanged(stack: Stack) -> bool:
    """Tell whether a preview would change nothing, and every row is there."""
    assert stack.query("select count(*) from t") == [100]
    return stack.preview("--expect-no-changes").code == 0


def test_a_new_stack_has_a_quarter_of_its_share_of_the_memory(stack: Stack) -> None:
    """Of the machine's memory each node may use its share; another run does not choose anew."""
    (buffers,) = set(ask(stack, "pg_size_bytes(current_setting('shared_buffers'))"))
    assert 128 << 20 <= int(buffers) <= 8 << 30
    assert is_unchanged(stack)


def test_what_is_read_again_restarts_nothing(stack: Stack) -> None:
    """On each kind of node what is declared of it; what a person changes is drift; what is taken out is as before."""
    servers = started(stack)
    stack.set(parameters={"work_mem": "8MB", "jit": False}, workerParameters={"work_mem": "16MB"})
    preview = stack.preview()
    assert "it is read again, nothing is restarted" in preview.output
    done = stack.up()
    assert done.code == 0, done.output
    assert ask(stack, "current_setting('work_mem') || current_setting('jit')") == ["8MBoff", "16MBoff", "16MBoff"]
    assert is_unchanged(stack)

    stack.query("alter system set work_mem = '1GB'")
    stack.query("alter system set log_min_duration_statement = '1h'")  # not ours
    refreshed = stack.refresh()
    assert refreshed.code == 0, refreshed.output
    assert stack.preview("--expect-no-changes").code != 0
    assert stack.up().code == 0
    assert ask(stack, "current_setting('work_mem')")[0] == "8MB"

    stack.set(parameters=None, workerParameters=None)
    done = stack.up()
    assert done.code == 0, done.output
    assert ask(stack, "current_setting('work_mem') || current_setting('jit')") == ["4MBon"] * 3
    assert stack.query("select setting from pg_file_settings where name = 'log_min_duration_statement'") == ["1h"]
    assert started(stack) == servers
    assert is_unchanged(stack)


def test_what_needs_a_restart_restarts_workers_first_and_one_after_the_other(stack: Stack) -> None:
    """The preview says so, with both values; each node is there before the next goes."""
    stack.set(parameters={"max_connections": 300})
    preview = stack.preview()
    assert "started again, workers one after the other, then the coordinator" in preview.output
    assert "max_connections 200 -> 300" in preview.output
    done = stack.up()
    assert done.code == 0, done.output
    assert ask(stack, "current_setting('max_connections')") == ["300"] * 3
    assert ask(stack, "current_setting('max_prepared_transactions')") == ["600"] * 3
    coordinator, *workers = started(stack)
    assert workers == sorted(workers)
    assert workers[-1] < coordinator
    assert is_unchanged(stack)


def test_limits_of_memory_and_processors_make_containers_again_one_after_the_other(stack: Stack, runtime: str) -> None:
    """Buffers follow; on a runtime without limits they are refused. Without them all is as before."""
    stack.set(memory="512MB", cpus="1.5")
    if runtime == "local":
        assert "citus:memory = '512MB': processes of this host have no limits" in stack.preview().errors
        stack.set(memory=None, cpus=None)
        return
    assert isinstance(stack.nodes, DockerNodes)
    before = stack.nodes.container("worker_1").id
    done = stack.up()
    assert done.code == 0, done.output
    assert ask(stack, "current_setting('shared_buffers')") == ["128MB"] * 3
    limits = stack.nodes.container("worker_1").attrs["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"], limits["ShmSize"]) == (512 << 20, 1_500_000_000, 128 << 20)
    assert stack.nodes.container("worker_1").id != before
    assert is_unchanged(stack)
    stack.set(memory=None, cpus=None)
    done = stack.up()
    assert done.code == 0, done.output
    assert is_unchanged(stack)


def test_a_parameter_with_which_no_server_starts_stops_at_the_first_worker(stack: Stack, settings: None) -> None:
    """The other nodes are as they were; once it is corrected, the next run goes on."""
    before = started(stack)
    stack.set(workerParameters={"shared_buffers": "4000GB"}, readyTimeout=10)
    done = stack.up()
    assert done.code != 0
    assert "worker_1" in done.errors
    stack.set(workerParameters=None, readyTimeout=60)
    done = stack.up()
    assert done.code == 0, done.output
    assert [before[0], before[2]] == [started(stack)[0], started(stack)[2]]
    assert is_unchanged(stack)


def test_what_the_server_does_not_have_is_refused_at_preview(stack: Stack, settings: None) -> None:
    """By the names and bounds of the server that runs; in one line each, and nothing is touched."""
    stack.set(parameters={"transaction_timeout": "1s", "wrk_mem": "8MB"}, coordinatorParameters={"port": 5433})
    errors = stack.preview().errors
    assert (
        "citus:parameters.wrk_mem = '8MB': PostgreSQL has no parameter of this name: did you mean work_mem?" in errors
    )
    assert "citus:coordinatorParameters.port = '5433': it cannot be set" in errors
    stack.set(parameters={"summarize_wal": "on"}, coordinatorParameters=None)
    assert (
        "citus:parameters.summarize_wal = 'on': PostgreSQL 15 does not have it, only 16 or later"
        in stack.preview().errors
    )
