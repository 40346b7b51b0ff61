"""Parameters of PostgreSQL and Citus in the settings: what is refused, and what a node is started with. No server is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.errors import SettingsError
from components.nodes.docker.shape import get_shape
from components.nodes.passfile import as_lines, from_line
from components.nodes.server_settings import choose_shared_buffers, get_reloaded, get_start_settings
from components.parameters import SERVER_SETTINGS, Parameter, find_problem, get_known, needs_restart
from components.settings import Settings

MB = 1 << 20


def parse(**values: Any) -> Settings:
    """Read settings as Pulumi hands them over."""
    given = {name: json.dumps(value) if isinstance(value, dict) else str(value) for name, value in values.items()}
    return Settings.parse({"password": "x", **given}, stack="test")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("wrk_mem", "8MB", "PostgreSQL has no parameter of this name: did you mean work_mem?"),
        (
            "citus.max_shared_pol_size",
            "9",
            "Citus has no parameter of this name: did you mean citus.max_shared_pool_size?",
        ),
        ("work_mem", "8XB", "XB is not a unit of it: use B, kB, MB, GB, TB"),
        ("work_mem", "1kB", "out of range: expected 64 to 2147483647 kB"),
        ("work_mem", "much", "expected a number with a unit (B, kB, MB, GB, TB)"),
        ("checkpoint_timeout", "5MB", "MB is not a unit of it: use us, ms, s, min, h, d"),
        ("max_connections", "100 MB", "it takes a number without a unit: remove MB"),
        ("max_connections", "5", "expected 20 to 262143, which the nodes of a cluster need"),
        ("jit", "maybe", "expected on or off"),
        ("wal_compression", "zstdd", "expected one of lz4, off, on, pglz, zstd: did you mean zstd?"),
        ("wal_level", "minimal", "it cannot be set: Citus needs it as it is"),
        ("WAL_LEVEL", "minimal", "it cannot be set: Citus needs it as it is"),
        ("ssl_ciphers", "x", "by the certificates that Citus makes"),
        ("statement_timeout", "1s", "give it to a role (alter role … set …)"),
        ("citus.node_conninfo", "sslmode=disable", "it cannot be set"),
        ("archive_mode", "on", "it cannot be set"),
    ],
)
def test_what_no_server_takes_is_refused_with_the_setting_the_value_and_the_remedy(
    name: str, value: str, said: str
) -> None:
    """In one line for each, which names the setting that it stands in."""
    for setting in ("parameters", "coordinatorParameters", "workerParameters"):
        with pytest.raises(SettingsError) as caught:
            parse(**{setting: {name: value}})
        assert str(caught.value).startswith(f"citus:{setting}.{name} = '{value}': ")
        assert said in str(caught.value)


def test_every_wrong_parameter_has_a_line() -> None:
    """Not the first one alone."""
    with pytest.raises(SettingsError) as caught:
        parse(parameters={"a": 1, "b": 2}, workerParameters={"c": 3})
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("work_mem", "8MB"),
        ("work_mem", "8192"),
        ("Work_Mem", "0.5GB"),
        ("checkpoint_timeout", "0.5h"),
        ("random_page_cost", "1.1"),
        ("jit", "off"),
        ("timezone", "America/Bogota"),
        ("auto_explain.log_min_duration", "1s"),
        ("citus.executor_slow_start_interval", "0"),
    ],
)
def test_what_a_server_takes_is_taken(name: str, value: str) -> None:
    """With units, in other spellings, and of extensions, which alone know theirs."""
    assert find_problem(name, value, get_known()) == ""


def test_the_running_server_knows_better() -> None:
    """Its bounds count, and what its version does not have is refused."""
    assert "expected 1 to 3" in find_problem(
        "work_mem", "8", {"work_mem": Parameter("user", "integer", min="1", max="3")}
    )
    assert find_problem("summarize_wal", "on", get_known(), major=15) == (
        "PostgreSQL 15 does not have it, only 16 or later: remove it"
    )
    assert find_problem("summarize_wal", "on", get_known(), major=17) == ""


def test_parameters_that_do_not_go_together_are_refused() -> None:
    """Each of them alone would do."""
    with pytest.raises(SettingsError, match=r"max_prepared_transactions = '100': .* set 500"):
        parse(parameters={"max_connections": 500, "max_prepared_transactions": 100})
    with pytest.raises(SettingsError, match=r"shared_buffers = '1900MB': it leaves too little of citus:memory = '2GB'"):
        parse(memory="2GB", workerParameters={"shared_buffers": "1900MB"})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"memory": "2"}, "expected a number with its unit"),
        ({"memory": "100MB"}, "a node needs 256MB at least"),
        ({"memory": "2GB", "runtime": "local"}, "processes of this host have no limits: remove it"),
        ({"cpus": "2", "runtime": "local"}, "processes of this host have no limits: remove it"),
        ({"cpus": "0"}, "from 0.1 to 1024"),
    ],
)
def test_limits_that_cannot_be_are_refused(values: dict[str, str], said: str) -> None:
    """With the setting's name."""
    with pytest.raises(SettingsError, match=rf"citus:{next(iter(values))}.*{said}"):
        parse(**values)


def test_a_nodes_own_parameters_come_before_those_of_every_node() -> None:
    """What needs a start is apart from what is read again."""
    settings = parse(
        parameters={"work_mem": "8MB", "max_connections": 300}, coordinatorParameters={"work_mem": "64MB", "jit": False}
    )
    assert get_reloaded(settings, of_coordinator=True) == {"work_mem": "64MB", "jit": "off"}
    assert get_reloaded(settings, of_coordinator=False) == {"work_mem": "8MB"}
    started = get_start_settings(settings, "", of_coordinator=False)
    assert started == {**SERVER_SETTINGS, "max_connections": "300", "max_prepared_transactions": "600"}


def test_moves_at_a_time_are_parameters_of_the_coordinator() -> None:
    """By the setting of the rebalance; the same parameter beside it is refused."""
    settings = parse(rebalance={"parallel": 3})
    assert set(get_reloaded(settings, of_coordinator=True).values()) == {"3"}
    assert get_reloaded(settings, of_coordinator=False) == {}
    with pytest.raises(SettingsError, match=r"citus:rebalance.parallel sets it, too: remove one of the two"):
        parse(rebalance={"parallel": 3}, parameters={"citus.max_background_task_executors": 2})


def test_declared_memory_sizes_what_a_node_is_given() -> None:
    """Buffers, shared memory and the pool of connections between the nodes follow."""
    settings = parse(memory="4GB", cpus="1.5", workerParameters={"max_connections": 100})
    shape = get_shape(settings, choose_shared_buffers(settings.memory_bytes), of_coordinator=True)
    assert "shared_buffers=1024MB" in shape.command
    assert (shape.memory_mb, shape.cpus, shape.shared_memory_mb) == (4096, "1.5", 1024)
    assert get_reloaded(settings, of_coordinator=True)["citus.max_shared_pool_size"] == "90"
    assert not any(map(needs_restart, get_reloaded(settings, of_coordinator=True)))


def test_a_container_is_made_again_where_docker_cannot_change_it() -> None:
    """And for nothing else; the reasons are told with both values."""
    shape = get_shape(parse(), "1024MB", of_coordinator=False)
    there = {
        "Image": "sha256:1",
        "Config": {"Cmd": list(shape.command)},
        "HostConfig": {"ShmSize": 256 * MB, "NanoCpus": 0},
    }
    assert list(shape.differences(there, "sha256:1")) == []
    other = get_shape(parse(parameters={"max_connections": 300}, cpus="2", memory="2GB"), "512MB", of_coordinator=False)
    assert list(other.differences(there, "sha256:2")) == [
        "another image",
        "max_connections 200 -> 300",
        "max_prepared_transactions 400 -> 600",
        "shared_buffers 1024MB -> 512MB",
        "shared memory 256 MB -> 512 MB",
        "cpus 0 -> 2",
    ]


def test_a_quarter_of_the_memory_is_for_buffers_within_bounds() -> None:
    """128 MB at least, which PostgreSQL has by itself, and 8 GB at most."""
    assert [choose_shared_buffers(size * MB) for size in (100, 2048, 1 << 20)] == ["128MB", "512MB", "8192MB"]


@pytest.mark.parametrize("password", ["0000", "a:b\\c", "ñ' %", ":::", "\\\\"])
def test_a_passfile_tells_the_password_that_was_written(password: str) -> None:
    """As libpq reads it: nodes with one of their own come first."""
    text = as_lines("us:er", password, {"worker:5432": "other"})
    assert text.startswith("worker:5432:*:us\\:er:other\n")
    assert from_line(as_lines("postgres", password, {"worker:5432": "other"})) == password
