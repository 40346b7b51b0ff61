"""Whose a cluster is: what is refused at preview, what is adopted, and what the state already vouches for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from components.errors import HostError, IdentityError
from components.nodes.local import folders
from components.nodes.look import Look
from components.resources.identity import ClusterIdentityProvider
from components.resources.remains import Remnant, Remnants
from components.resources.wire import write

if TYPE_CHECKING:
    from pathlib import Path

STACK = "organization/citus/shop"
MADE = {
    "runtime": "docker",
    "name_prefix": "citus",
    "user": "postgres",
    "database": "coorddb",
    "engine": "",
    "stack": STACK,
}
VOLUME, WORKER = "volume citus_coordinator_data", "container citus_worker_9"


def problems(*found: Remnant, olds: dict[str, Any] | None = None, adopt: str = "", **changed: Any) -> list[str]:
    """Return what the provider refuses at preview."""
    on_the_wire = [{key: value for key, value in write(remnant).items() if value is not None} for remnant in found]
    news = {**MADE, "adopt": adopt, "found": on_the_wire, "obstacles": ["port taken"], **changed}
    checked = ClusterIdentityProvider().check(olds or {}, news)
    assert not {"found", "obstacles"} & checked.inputs.keys()
    return [failure.reason for failure in checked.failures]


def test_a_new_cluster_is_told_only_what_is_in_its_way() -> None:
    """Where nothing of another cluster is there, the host's own obstacles are all that is left."""
    assert problems() == ["port taken"]
    assert problems(Remnant(WORKER, "other", declared=False)) == ["port taken"]


def test_what_nobody_of_this_project_made_is_left_alone() -> None:
    """The thing is named, and the setting that chooses another name."""
    (problem,) = problems(Remnant("network citusnet", None, declared=True))
    assert problem.startswith("network citusnet exists and is not this stack's")
    assert "Choose another citus:network" in problem


def test_another_cluster_is_taken_over_on_request_only(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the id; with it in the settings the preview says what it adopts."""
    thing = Remnant(VOLUME, "other", declared=True)
    (problem,) = problems(thing)
    assert "part of the cluster other" in problem
    assert "pulumi config set adopt other" in problem
    assert problems(thing, adopt="other") == ["port taken"]
    assert f"adopts the cluster other with all its data: {VOLUME}" in capsys.readouterr().out
    assert "nothing of a cluster with this id is here" in problems(adopt="other")[0]


def test_what_was_made_before_there_were_ids_is_left_to_the_state() -> None:
    """Under this stack's own name it may be in the state; under another's it is not."""
    assert problems(Remnant(VOLUME, STACK, declared=True, by_name=True)) == ["port taken"]
    assert (
        "part of the cluster organization/citus/b"
        in problems(Remnant(VOLUME, "organization/citus/b", declared=True, by_name=True))[0]
    )


@pytest.mark.parametrize("setting", ["runtime", "name_prefix", "user", "database"])
def test_what_the_data_was_made_with_comes_before_any_other_advice(setting: str) -> None:
    """Advice to choose another port would lead away from the data."""
    (problem,) = problems(olds=MADE, **{setting: "other"})
    assert f"this cluster was made with {MADE[setting]!r}" in problem


def test_a_renamed_stack_changes_nothing() -> None:
    """The full name of the stack is for people."""
    provider, news = ClusterIdentityProvider(), {**MADE, "adopt": "", "stack": "organization/citus/renamed"}
    assert provider.check(MADE, dict(news)).failures == []
    assert not provider.diff("id", MADE, news).changes


def test_nodes_that_verify_each_other_are_adopted_together() -> None:
    """The authority's key went with the state: one that is left out would be refused by the others."""
    found = Remnant(VOLUME, "other", declared=True), Remnant(WORKER, "other", declared=False)
    (problem,) = problems(*found, adopt="other", verifies=True)
    assert problem.startswith(f"citus:adopt = 'other': {WORKER} is part of that cluster, and no setting declares it")
    assert problems(*found, adopt="other") == ["port taken"]


def test_a_stack_with_a_cluster_adopts_no_other() -> None:
    """Its own id is no error: the setting has done its work."""
    assert not ClusterIdentityProvider().diff("id", MADE, {**MADE, "adopt": "id"}).changes
    with pytest.raises(IdentityError, match="already has a cluster, id"):
        ClusterIdentityProvider().diff("id", MADE, {**MADE, "adopt": "other"})


def test_every_new_cluster_has_another_id() -> None:
    """Or the one that it adopts."""
    made = [ClusterIdentityProvider().create({**MADE, "adopt": adopt}).id for adopt in ("", "", "mine")]
    assert len(set(made)) == 3
    assert made[2] == "mine"


def test_a_cluster_that_cannot_be_asked_is_said() -> None:
    """Only where something of it is there."""
    assert Look().warnings == ()
    assert Look(Remnants((Remnant(WORKER, "other", declared=False),))).warnings == ()
    assert "does not answer" in Look(Remnants((Remnant(VOLUME, "other", declared=True),))).warnings[0]


def test_a_folder_that_another_step_removes_meanwhile_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last folders of a stack go at the same moment; one that is really strange is refused."""
    gone, strange = tmp_path / "worker_1", tmp_path / "worker_2"
    for folder in (gone, strange):
        folder.mkdir()
        (folder / folders.OWNER_FILE).write_text("no JSON")
    read = folders.get_owner

    def look(folder: Path) -> folders.Owner | None:
        if folder == gone:
            (folder / folders.OWNER_FILE).unlink()
        return read(folder)

    monkeypatch.setattr(folders, "get_owner", look)
    data = folders.DataFolder(tmp_path / "coordinator", frozenset({"an id"}))
    with pytest.raises(HostError, match=r"worker_2 exists and was not made by this project"):
        data.cluster_lives()
    (strange / folders.OWNER_FILE).unlink()
    assert not data.cluster_lives()
