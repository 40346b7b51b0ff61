"""What steps of a preview come to in words, and how they are put together for a reviewer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cli import cluster
from cli.changes import UNKNOWN, Step, describe
from cli.costs import Costs, measure
from cli.plan import Planned
from cli.review import LONGEST, Preview, _not_refreshed, _write, markdown
from components.errors import NotReadyError
from components.plan.findings import Finding
from components.reports import NotRefreshed, collected, report
from components.sizes import in_words

FORECAST = {"moves": 8.0, "shards": 24.0, "size": 1.5 * 1024**3, "waits": ["log has no replica identity"]}
T = {"schema": "public", "name": "t"}
U = {"schema": "sales", "name": "U"}
WARNING = Finding("warning", "name-cut", "", None, None, "t", "63 <bytes> @all", "", "", "citus:tables.t")


def table(**inputs: Any) -> dict[str, Any]:
    """The inputs of a DistributedTable."""
    return {"table": T, "distribution_column": "a", "shard_count": 32.0, "followers": [], "rewrite": True, **inputs}


def placement(*workers: str, **tenants: Any) -> dict[str, Any]:
    """The inputs of a ShardPlacement."""
    given = [{"table": T, "pin": {}, "spread": [], **tenants}] if tenants else []
    return {"workers": list(workers), "tenants": given}


def parameters(**set_on_w: str) -> dict[str, Any]:
    """The inputs of a ServerParameters of one node."""
    return {"nodes": [{"node": "w", "group": 1.0, "parameters": set_on_w}]}


@pytest.mark.parametrize(
    ("step", "section", "said"),
    [
        (Step("create", "Container", "c"), "created", "container `c`"),
        (Step("create", "Container", "c_pooler"), "created", "pooler `c_pooler`, by which clients share sessions"),
        (Step("replace", "Container", "c_pooler"), "restarted", "its clients are cut off and connect again"),
        (Step("delete", "Container", "c_pooler"), "removed", "pooler `c_pooler`"),
        (Step("create", "PoolerLogin", "p"), "created", "a role by which poolers find"),
        (
            Step("replace", "Container", "c", {"image": "a"}, {"image": "b"}),
            "restarted",
            "is replaced (image differs)",
        ),
        (
            Step("update", "UserPassword", "p", {"mark": "1"}, {"mark": "2", "server": {"user": "postgres"}}),
            "set",
            "the password of `postgres` becomes that of the settings",
        ),
        (
            Step("update", "ServerParameters", "p", parameters(work_mem="8MB"), parameters(work_mem="16MB")),
            "set",
            "`work_mem` of `w` is `16MB`",
        ),
        (
            Step("delete", "ServerParameters", "p", parameters(work_mem="8MB")),
            "set",
            "`work_mem` of `w` is as it was before",
        ),
        (Step("delete", "Volume", "v"), "removed", "volume `v`, **with all data in it**"),
        (
            Step("delete", "Volume", "w-south-data", {"name": "w_data"}),
            "removed",
            "volume `w_data` on `south`, **with all data in it**",
        ),
        (
            Step("create", "Container", "w-south", {}, {"name": "w"}),
            "created",
            "container `w` on `south`, on a volume of its own",
        ),
        (Step("create", "CertificateAuthority", "a"), "created", "nodes and clients verify each other"),
        (Step("update", "CertificateAuthority", "a"), "set", "give clients the new `caCertificate`"),
        (
            Step("update", "ServerCertificate", "w-south-certificate", {}, {"server": "w"}),
            "set",
            "`w` on `south` gets another certificate: nothing is restarted",
        ),
        (
            Step("update", "ServerCertificate", "w_pooler-certificate", {}, {"server": "w_pooler"}),
            "set",
            "`w_pooler` gets another certificate: its clients connect again",
        ),
        (Step("delete", "LocalNode", "n", {"node": "n"}), "removed", "server `n`, **with all data in its folder**"),
        (
            Step("create", "WorkerNode", "w", {}, {"node_name": "w", "node_port": 5432.0}),
            "created",
            "worker `w:5432` joins",
        ),
        (
            Step("delete", "WorkerNode", "w", {"node_name": "w", "node_port": 5432.0}),
            "removed",
            "worker `w:5432` leaves",
        ),
        (Step("create", "Role", "app"), "created", "role `app` can log in"),
        (Step("delete", "Role", "app"), "removed", "role `app`, with all its privileges, on every node"),
        (Step("update", "Role", "app", {"drift": []}, {"drift": []}), "created", "role `app` gets another password"),
        (Step("update", "Role", "app", {"drift": ["x"]}, {"drift": []}), "proved", "role `app` is as declared"),
        (Step("create", "RolePrivileges", "app", {}, {"read": ["a"]}), "created", "role `app` reads in `a`"),
        (
            Step("update", "RolePrivileges", "app", {"write": ["a", "b"]}, {"write": ["b"]}),
            "removed",
            "role `app`: what it may do as one that reads and writes in `a`",
        ),
        (
            Step("update", "RolePrivileges", "app", {"drift": ["x"]}, {"drift": []}),
            "proved",
            "role `app` may do what is declared, and nothing else",
        ),
        (Step("create", "SchemaScript", "1.sql"), "created", "`1.sql` runs, once"),
        (Step("delete", "SchemaScript", "1.sql"), "left", "what it created stays"),
        (
            Step("create", "DistributedTable", "t", {}, table()),
            "created",
            "`t` is distributed by `a`, in a group of its own",
        ),
        (Step("create", "DistributedTable", "t", {}, table(colocate_with=U)), "created", 'colocated with `sales."U"`'),
        (Step("delete", "DistributedTable", "t", table()), "left", "it stays as it is, with its rows"),
        (
            Step("update", "DistributedTable", "t", table(lost_keys=["primary key k of t (a)"]), table(lost_keys=[])),
            "created",
            "primary key k of t (a): restored, or refused where it was changed",
        ),
        (
            Step("update", "DistributedTable", "t", table(), table(distribution_column="b", followers=[U])),
            "rewritten",
            "table `t`: distributed by `a` → `b`",
        ),
        (
            Step("update", "DistributedTable", "t", table(), table(shard_count=8.0, followers=[U])),
            "rewritten",
            'table `t`, and with it `sales."U"`: shards: `32` → `8`',
        ),
        (
            Step("update", "DistributedTable", "t", table(), table(colocate_with=U, rewrite=False)),
            "moved",
            'joins the colocation group of `sales."U"`: in place if its shards are already placed alike, otherwise it is',
        ),
        (
            Step(
                "update", "DistributedTable", "t", table(colocate_with=U), table(colocate_with=U, target_group=UNKNOWN)
            ),
            "proved",
            'is in the group of `sales."U"`',
        ),
        (
            Step("update", "ReferenceTable", "t", {"nodes": ["a:1"]}, {"table": T, "nodes": ["a:1", "b:2"]}),
            "moved",
            "table `t` is copied to `b:2`",
        ),
        (Step("create", "LocalTable", "t", {}, {"table": T}), "rewritten", "its rows move back to the coordinator"),
        (
            Step("update", "ShardPlacement", "p", placement("a:1", "b:2"), placement("a:1")),
            "moved",
            "every shard on `b:2` moves to the workers that stay",
        ),
        (
            Step(
                "update", "ShardPlacement", "p", placement("a:1", pin={"7": "a:1"}), placement("a:1", pin={"7": "b:2"})
            ),
            "moved",
            "tenant `7` of `t` moves from `a:1` to `b:2`",
        ),
        (
            Step("create", "ShardPlacement", "p", {}, placement("a:1", spread=["1", "2"])),
            "moved",
            "tenants `1`, `2` of `t` are spread",
        ),
        (
            Step("update", "Rebalance", "r", {}, {"forecast": FORECAST}),
            "moved",
            "24 shards of 1.5 GB in 8 moves; writes to a shard wait while it is copied, for log has no replica identity",
        ),
        (
            Step("update", "Rebalance", "r", {"unbalanced": ["2 shards of 1 MB in 1 move"]}, {"forecast": UNKNOWN}),
            "moved",
            "rebalance: 2 shards of 1 MB in 1 move",
        ),
        (Step("create", "Rebalance", "r", {}, {"forecast": {"moves": 0.0}}), "proved", "shards are evened out"),
        (Step("delete", "Rebalance", "r"), "left", "they stay where they are"),
        (
            Step("update", "ShardPlacement", "p", placement("a:1", pin={"7": "a:1"}), placement("a:1")),
            "left",
            "they stay where",
        ),
    ],
)
def test_each_step_is_told_by_what_it_does(step: Step, section: str, said: str) -> None:
    """The section says how grave it is, the text what becomes of the data."""
    (change, *_) = describe([step], [])
    assert change.section == section
    assert said in change.text


@pytest.mark.parametrize(
    ("step", "section", "said"),
    [
        (
            Step("update", "ReferenceTable", "t", table(), {"table": T, "nodes": []}),
            "rewritten",
            "distributed → a reference",
        ),
        (
            Step("update", "LocalTable", "t", {"table": T, "nodes": []}, {"table": T}),
            "rewritten",
            "a reference table → local",
        ),
        (Step("update", "DistributedTable", "t", {"table": T}, table()), "created", "local → distributed"),
    ],
    ids=["reference", "local", "distributed"],
)
def test_a_table_of_another_kind_is_told_by_both(step: Step, section: str, said: str) -> None:
    """What becomes of its rows: rewritten, or moved to shards for the first time."""
    (change,) = describe([step], [])
    assert (change.section, change.asks) == (section, (("table", "t"),))
    assert said in change.text


def test_the_gravest_comes_first_and_the_order_is_steady() -> None:
    """Whatever order the engine took them in."""
    steps = [
        Step("create", "SchemaScript", "2.sql"),
        Step("delete", "Volume", "v"),
        Step("create", "SchemaScript", "1.sql"),
        Step("update", "DistributedTable", "t", table(), table(distribution_column="b")),
    ]
    told = [change.text for change in describe(steps, [])]
    assert told == [change.text for change in describe(steps[::-1], [])]
    assert [text.split()[0] for text in told] == ["volume", "table", "`1.sql`", "`2.sql`"]


def test_costs_stand_behind_what_they_are_of() -> None:
    """Or one line says why they are not known."""
    preview = Preview([Step("update", "DistributedTable", "t", table(), table(distribution_column="b"))])
    preview.costs = Costs({("table", "t"): "1,000 rows, 2.0 MB"})
    assert "→ `b` — **1,000 rows, 2.0 MB**" in "\n".join(markdown("s", Planned((), ()), preview))
    preview.costs = measure({}, [("table", "t")])
    assert "The cost is unknown: nothing is up yet." in list(markdown("s", Planned((), ()), preview))


def test_a_cluster_out_of_reach_costs_nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is one line, without the password and without the server's log, which not everybody may read."""
    monkeypatch.setattr(cluster, "SECONDS", 0.1)
    outputs = {"dsn": "postgresql://u:secret@127.0.0.1:1/db", "coordinator": "c:5432", "versions": {"citus": "12.1.12"}}
    costs = measure(outputs, [("table", "t")])
    assert costs.unknown.startswith("the cluster cannot be asked from here (timed out after")
    assert "connection refused" in costs.unknown.lower()
    assert not any(hidden in costs.unknown for hidden in ("secret", "docker logs", "\n"))
    assert "stand-in" in measure({**outputs, "versions": {"citus": "12.1-standin"}}, [("table", "t")]).unknown


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 B"), (1536, "1.5 kB"), (150 * 1024**2, "150 MB"), (3 * 1024**4, "3.0 TB")]
)
def test_bytes_are_told_with_their_unit(size: int, said: str) -> None:
    """In steps of 1024, as PostgreSQL does."""
    assert in_words(size) == said


def test_nothing_is_a_headline_too() -> None:
    """Where nothing changes, the comment says so."""
    assert list(markdown("s", Planned((), ()), Preview()))[1] == "### Stack `s`: nothing changes"


def test_texts_of_others_call_nobody() -> None:
    """What SQL files, settings and programs say is shown as it is: no mention, no HTML, and no fence is left."""
    preview = Preview(
        [Step("create", "SchemaScript", "1.sql", {}, {"text": "-- ```` </details>\nselect 1;"})], warnings=["<b>@x"]
    )
    text = "\n".join(markdown("s", Planned((WARNING,), ()), preview))
    assert "63 &lt;bytes> &#64;all" in text
    assert "&lt;b>&#64;x" in text
    assert "`````sql\n-- ```` </details>\nselect 1;\n`````" in text


def test_a_file_that_is_a_secret_is_not_shown() -> None:
    """What the engine gives in its text's place is no SQL."""
    preview = Preview([Step("create", "SchemaScript", "1.sql", {}, {"text": {"ciphertext": "[secret]"}})])
    text = "\n".join(markdown("s", Planned((), ()), preview))
    assert "not shown: it contains a password" in text
    assert "ciphertext" not in text


def test_events_are_handled() -> None:
    """Steps once each, errors and warnings without what the Automation API adds, and nothing of providers."""
    preview = Preview()

    def event(**parts: Any) -> Any:
        return SimpleNamespace(**{"resource_pre_event": None, "summary_event": None, "diagnostic_event": None, **parts})

    def step(kind: str, op: str) -> Any:
        metadata = SimpleNamespace(
            op=op, type=kind, urn=f"urn:a::b::{kind}::n", old=None, new=SimpleNamespace(inputs={"a": 1})
        )
        return event(resource_pre_event=SimpleNamespace(metadata=metadata))

    for kind, op in (
        ("pulumi-python:dynamic/citus:SchemaScript", "create"),
        ("pulumi-python:dynamic/citus:SchemaScript", "create"),
        ("pulumi-python:dynamic/citus:WorkerNode", "same"),
        ("docker:index/container:Container", "replace"),
        ("docker:index/container:Container", "create-replacement"),
        ("pulumi:providers:docker", "update"),
    ):
        preview.handle_event(step(kind, op))
    for severity, message in (("error", "no\n"), ("error", "no"), ("error", "the program ended there"), ("debug", "x")):
        preview.handle_event(event(diagnostic_event=SimpleNamespace(severity=severity, message=message)))
    assert [(it.op, it.kind, it.new) for it in preview.steps] == [
        ("create", "SchemaScript", {"a": 1}),
        ("replace", "Container", {"a": 1}),
    ]
    assert preview.errors == ["no"]


def test_a_silent_coordinator_is_told_once() -> None:
    """However many resources could not be looked at for it; the end of its log is not shown to everybody."""
    error = NotReadyError("timed out after 5 s (connection\nrefused)", hint="see: tail /log; it ends with: secret")
    with collected() as reports:
        for resource in "ab":
            report(NotRefreshed(resource, error.message))
    preview = Preview(not_refreshed=reports)
    assert list(_not_refreshed(preview)) == [
        "2 resources were not refreshed: timed out after 5 s (connection refused)",
        "",
    ]


def test_a_review_is_no_longer_than_github_takes(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut, and goes to the terminal, the file and the run's summary."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    _write("x" * LONGEST * 2, tmp_path / "file")
    for text in (capsys.readouterr().out, (tmp_path / "file").read_text(), (tmp_path / "summary").read_text()):
        assert text.endswith("x\n\n… the rest is in the log of the run\n")
        assert len(text) < 65_536
