"""What `make analysis` says before it looks at a database."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.__main__ import find_cluster
from analysis.errors import AnalysisError
from components.logs import Log

OUTPUTS: dict[str, Any] = {
    "dsn": "postgresql://postgres:0000@127.0.0.1:5437/coorddb",
    "coordinator": "citus_coordinator:5432",
    "workers": ["citus_worker_1:5432", "citus_worker_2:5432"],
    "versions": {"citus": "12.1-1", "postgres": "15.20 (Debian)"},
}


def test_without_a_cluster_the_way_to_one_is_told() -> None:
    """A stack that has no outputs is not up."""
    with pytest.raises(AnalysisError, match="no cluster is up: make up, with the same STACK"):
        find_cluster({})


def test_a_stand_in_is_refused() -> None:
    """Whatever it is asked, nothing that is measured on it means anything."""
    versions = {"citus": "12.1-standin", "postgres": "18.4"}
    with pytest.raises(AnalysisError, match=r"this cluster is a stand-in for Citus \(12.1-standin\)"):
        find_cluster({**OUTPUTS, "versions": versions})


def test_the_cluster_is_where_the_outputs_say() -> None:
    """The password is used, and stands in no text of the place."""
    place, about = find_cluster(OUTPUTS)
    assert (place.server.host, place.server.port, place.server.database) == ("127.0.0.1", 5437, "coorddb")
    assert place.server.log == Log("docker", "citus_coordinator")
    assert about == {"citus": "12.1-1", "postgres": "15.20", "runtime": "docker", "workers": 2, "poolers": {}}
    assert "0000" not in repr(place)


def test_poolers_are_those_that_the_outputs_have() -> None:
    """Before the coordinator, and before workers where clients may enter by any node."""
    pooled = {**OUTPUTS, "dsnPooled": "postgresql://postgres@127.0.0.1:6432/coorddb"}
    assert find_cluster(pooled)[1]["poolers"] == {"coordinator": "citus_coordinator_pooler:5432"}
    entered = {**pooled, "entries": {"citus_worker_1:5432": "127.0.0.1:5441"}}
    of_worker = {"citus_worker_1:5432": "citus_worker_1_pooler:5432"}
    assert find_cluster(entered)[1]["poolers"] == {"coordinator": "citus_coordinator_pooler:5432", **of_worker}


def test_poolers_on_hosts_are_reached_where_they_are_published() -> None:
    """Names of containers are known on their own host alone."""
    entries = {"10.0.0.3:5505": "10.0.0.3:5441"}
    pooled = {**OUTPUTS, "dsnPooled": "postgresql://postgres@10.0.0.2:6432/coorddb", "entries": entries, "hosts": {}}
    assert find_cluster(pooled)[1]["poolers"] == {"coordinator": "10.0.0.2:6432", **entries}
