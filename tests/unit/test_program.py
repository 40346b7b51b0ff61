"""The whole program on Pulumi's mocks: what is declared, in which order, and what the providers make of a change."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import functools
import json
import pickle
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pulumi
import pytest
import yaml
from google.protobuf import json_format  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import run_pulumi_func

from components.cluster import CitusCluster
from components.errors import PlanError
from components.nodes.docker.engine import Engine
from components.nodes.docker.host import DockerHost
from components.nodes.local.host import LocalHost
from components.nodes.local.installation import Installation
from components.nodes.server_settings import as_arguments
from components.parameters import SERVER_SETTINGS
from components.plan.plan import ShardingPlan
from components.plan.tenants import plan_tenants
from components.registry import PROVIDERS
from components.resources.membership import ClusterHealthProvider, CoordinatorNodeProvider, WorkerNodeProvider
from components.resources.scripts import SchemaScriptProvider
from components.resources.tables import DistributedTableProvider, LocalTableProvider, ReferenceTableProvider
from components.schema.files import Schema
from components.settings import Settings

if TYPE_CHECKING:
    from components.resources.sql import SqlProvider

ROOT = Path(__file__).parents[2]
STACK = "organization/citus/dev"
CLUSTER_ID = "5b1fdb0e-0b86-4bd0-a6a2-6d6f4a2b0f5c"
PASSWORD = "Hüsh:1/2@'x \\%20"
SECRET = "4dabf18193072939515e22adb298388d"
"""Key by which Pulumi marks a secret value on its wire."""
TABLES = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text("utf-8"))["config"]["citus:tables"]
OUTPUTS: dict[str, dict[str, Any]] = {
    "RemoteImage": {"imageId": "sha256:1"},
    "ClusterIdentity": {"cluster_id": CLUSTER_ID},
    "CoordinatorNode": {"citus_version": "12.1-1", "postgres_version": "16.6", "server_id": "1"},
    "WorkerNode": {"node_id": 1, "group_id": 1, "server_id": "2"},
    "DistributedTable": {"colocation_group": 1, "shards": 32},
    "ReferenceTable": {"colocation_group": 2, "placements": 5},
    "DistributedSchema": {"node": "citus_worker_2:5432", "colocation_group": 3},
    "ShardPlacement": {"residency": {"sucursal": {"1": "citus_worker_1:5432"}}},
}
"""What the mocked providers answer beside the inputs."""


class OneHost(LocalHost):
    """A host with one PostgreSQL, which nobody looks for."""

    def installation(self, settings: Settings) -> Installation:
        """Return a server with Citus."""
        return Installation(Path("/pg/bin"), "16.1", "12.1-1")


class QuietHost(DockerHost):
    """A Docker Engine that nobody talks to."""

    id = "ENGI:NE"
    containers: dict[str, Any] = {}  # noqa: RUF012 - nothing is there

    @property
    def client(self) -> Any:
        """Refuse to look for a real engine."""
        pytest.fail("the program on mocks asked a Docker Engine")


class QuietEngine(Engine):
    """Docker Engines that nobody talks to."""

    def __init__(self, stack: str, settings: Settings) -> None:
        super().__init__(stack, settings)
        self.hosts = {name: QuietHost(*vars(host).values()) for name, host in self.hosts.items()}


@dataclass(frozen=True)
class Registered:
    """A resource as it was registered: properties as on the wire, secrets marked."""

    kind: str
    name: str
    urn: str
    inputs: dict[str, Any]
    request: Any

    @property
    def plain(self) -> dict[str, Any]:
        """The properties, secrets revealed."""
        return cast("dict[str, Any]", reveal(self.inputs))

    @property
    def needs(self) -> set[str]:
        """Names of the resources that it depends on."""
        return {urn.rpartition("::")[2] for urn in self.request.dependencies}

    @property
    def provider(self) -> SqlProvider[Any]:
        """The provider of a dynamic resource, as Pulumi would load it."""
        return cast("SqlProvider[Any]", pickle.loads(base64.b64decode(self.inputs["__provider"])))


def reveal(value: Any) -> Any:
    """Return a value of the wire with its secrets as they are."""
    if isinstance(value, dict):
        return reveal(value["value"]) if SECRET in value else {key: reveal(inner) for key, inner in value.items()}
    return [reveal(inner) for inner in value] if isinstance(value, list) else value


def conceal(value: Any) -> Any:
    """Return a value of the wire with its secrets blotted out."""
    if isinstance(value, dict):
        return "…" if SECRET in value else {key: conceal(inner) for key, inner in value.items()}
    return [conceal(inner) for inner in value] if isinstance(value, list) else value


@dataclass
class Recorder(mocks.MockMonitor):
    """Takes every registration, gives each resource an id made of its name, and keeps the hooks."""

    registered: list[Registered] = field(default_factory=list)
    hooks: list[pulumi.ResourceHook] = field(default_factory=list)

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name of the call
        """Record the resource; what it was given comes back, and what a real provider would add."""
        kind = request.type.rpartition(":")[2]
        urn = f"urn:pulumi:dev::citus::{request.type}::{request.name}"
        self.registered.append(Registered(kind, request.name, urn, json_format.MessageToDict(request.object), request))
        request.object.update(OUTPUTS.get(kind, {}))
        return resource_pb2.RegisterResourceResponse(urn=urn, id=f"{request.name}-id", object=request.object)

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        """Record the hook, in place of the server of callbacks that a real engine would call."""
        self.hooks.append(hook)


@dataclass(frozen=True)
class Declared:
    """Everything that a run declared."""

    resources: list[Registered]
    hooks: list[pulumi.ResourceHook]
    outputs: dict[str, Any]
    secret_outputs: set[str]

    def of(self, kind: str) -> dict[str, Registered]:
        """Return the resources of a kind by name."""
        return {resource.name: resource for resource in self.resources if resource.kind == kind}

    @property
    def containers(self) -> dict[str, Registered]:
        """The containers by name, the coordinator's first."""
        return dict(sorted(self.of("Container").items()))

    @property
    def dynamic(self) -> list[Registered]:
        """The dynamic resources."""
        return [resource for resource in self.resources if resource.request.type.startswith("pulumi-python:")]

    @property
    def in_the_database(self) -> list[Registered]:
        """The resources that live in the cluster's database."""
        of_nodes = ("ClusterIdentity", "NodeData", "DestroyGuard", "LocalNode", "HostEngine")
        outside = (*of_nodes, "CertificateAuthority", "ServerCertificate", "ServerKeypairs")
        return [resource for resource in self.dynamic if resource.kind not in outside]


@functools.cache
def declare(**values: str) -> Declared:
    """Declare a cluster in an event loop of its own, as a stack with these settings would."""
    settings = Settings.parse({"password": PASSWORD, "tables": json.dumps(TABLES), **values}, stack="dev")
    schema = Schema.read(ROOT / settings.schema_dir)
    plan = ShardingPlan.make(schema, settings)
    tenancies = plan_tenants(plan, schema, settings)
    recorder = Recorder()
    host = QuietEngine(STACK, settings) if settings.runtime == "docker" else OneHost(STACK, Path("/project"))

    async def program() -> tuple[dict[str, Any], set[str]]:
        mocks.set_mocks(cast("mocks.Mocks", None), project="citus", stack="dev", monitor=recorder)
        SETTINGS.callbacks = recorder
        made: list[CitusCluster] = []
        await run_pulumi_func(lambda: made.append(CitusCluster(settings.name_prefix, settings, plan, tenancies, host)))
        outputs = {name: pulumi.Output.from_input(value) for name, value in made[0].outputs.items()}
        secret = {name for name, output in outputs.items() if await output.is_secret()}
        return {name: await output.future() for name, output in outputs.items()}, secret

    outputs, secret = contextvars.copy_context().run(asyncio.run, program())
    return Declared(recorder.registered, recorder.hooks, outputs, secret)


# --- what is declared ------------------------------------------------------------------------------------------------


def test_the_demonstration_is_one_coordinator_four_workers_and_six_tables() -> None:
    """The settings of the stack dev declare exactly these resources and no other."""
    kinds = Counter(resource.kind for resource in declare().resources)
    assert kinds == {
        "Stack": 1,
        "Cluster": 1,
        "Nodes": 1,
        "docker": 1,  # the provider
        "RemoteImage": 1,
        "Network": 1,
        "Volume": 5,
        "Container": 5,
        "ClusterIdentity": 1,
        "NodeData": 5,
        "DestroyGuard": 1,
        "UserPassword": 1,
        "CoordinatorNode": 1,
        "WorkerNode": 4,
        "ClusterHealth": 1,
        "SchemaScript": 5,
        "ReferenceTable": 2,
        "DistributedTable": 4,
        "ShardPlacement": 1,
        "Rebalance": 1,
    }


def test_resources_are_named_after_what_they_are() -> None:
    """Nodes are named after their containers, scripts after their files, tables after themselves."""
    made = declare()
    nodes = ["citus_coordinator", *(f"citus_worker_{number}" for number in range(1, 5))]
    assert list(made.containers) == nodes
    assert [*made.of("CoordinatorNode"), *made.of("WorkerNode")] == nodes
    assert list(made.of("SchemaScript")) == sorted(path.name for path in (ROOT / "sql/schema").glob("*.sql"))
    assert {*made.of("ReferenceTable"), *made.of("DistributedTable")} == set(TABLES)


def test_a_file_that_holds_a_password_is_a_secret(tmp_path: Path) -> None:
    """Its text alone is: what the others hold is shown by a preview as ever, and their inputs are as they were."""
    (tmp_path / "1.sql").write_text("create table account (id int primary key, password text);")
    (tmp_path / "2.sql").write_text("create role app login password 'secret of app'; alter role app nologin;")
    scripts = declare(schemaDir=str(tmp_path), tables="{}").of("SchemaScript")

    assert scripts["1.sql"].inputs["text"] == (tmp_path / "1.sql").read_text()
    assert "roles_known" not in scripts["1.sql"].inputs
    assert conceal(scripts["2.sql"].inputs)["text"] == "…"
    assert "secret of app" not in json.dumps(conceal(scripts["2.sql"].inputs))
    assert scripts["2.sql"].plain["text"] == (tmp_path / "2.sql").read_text()
    assert scripts["2.sql"].inputs["roles_known"] is True


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_each_worker_is_a_container_a_volume_and_a_node(workers: int) -> None:
    """The setting `workers` alone decides how many there are, numbered from one."""
    made = declare(workers=str(workers))
    names = {f"citus_worker_{number}" for number in range(1, workers + 1)}
    assert made.containers.keys() == {"citus_coordinator", *names}
    assert made.of("WorkerNode").keys() == names
    assert made.of("Volume").keys() == {f"{name}-data" for name in ("citus_coordinator", *names)}


def test_names_follow_the_prefix_and_the_network() -> None:
    """Two stacks of one engine keep apart by namePrefix and network."""
    made = declare(namePrefix="shop", network="shopnet", workers="1")
    assert [container.plain["name"] for container in made.containers.values()] == ["shop_coordinator", "shop_worker_1"]
    assert {volume.plain["name"] for volume in made.of("Volume").values()} == {
        "shop_coordinator_data",
        "shop_worker_1_data",
    }
    assert [network.plain["name"] for network in made.of("Network").values()] == ["shopnet"]


# --- local nodes -----------------------------------------------------------------------------------------------------


def local() -> Declared:
    """Declare two workers as processes of this host."""
    return declare(runtime="local", workers="2", port="6000", workerPorts="6001-6010", dataDir="/data")


def test_local_nodes_are_processes_with_a_folder_and_a_port_each() -> None:
    """No Docker resource is declared; the servers stand side by side under the stack's own folder."""
    made = local()
    kinds = Counter(resource.kind for resource in made.resources)
    assert kinds["LocalNode"] == 3
    assert not kinds.keys() & {"Container", "Network", "Volume", "RemoteImage"}
    servers = [node.plain for node in made.of("LocalNode").values()]
    assert sorted((server["folder"], server["port"]) for server in servers) == [
        ("/data/dev/citus_coordinator", 6000),
        ("/data/dev/citus_worker_1", 6001),
        ("/data/dev/citus_worker_2", 6002),
    ]


def test_local_nodes_know_each_other_by_the_loopback_address() -> None:
    """Never as localhost, which Citus refuses for a coordinator; the log that an error shows is the server's own."""
    made = local()
    nodes = [*made.of("CoordinatorNode").values(), *made.of("WorkerNode").values()]
    assert sorted((node.plain["node_name"], node.plain["node_port"]) for node in nodes) == [
        ("127.0.0.1", 6000),
        ("127.0.0.1", 6001),
        ("127.0.0.1", 6002),
    ]
    assert made.of("WorkerNode")["citus_worker_2"].plain["log"] == "file:/data/dev/citus_worker_2/log"
    assert (
        made.of("CoordinatorNode")["citus_coordinator"].plain["server"]["log"] == "file:/data/dev/citus_coordinator/log"
    )


def test_no_resource_carries_the_password_but_one_has_a_secret_mark_of_it() -> None:
    """So that another password is noticed, and none can be read from the state."""
    made = local()
    for resource in made.dynamic:
        assert PASSWORD not in json.dumps(resource.inputs, ensure_ascii=False)
    (password,) = made.of("UserPassword").values()
    assert password.inputs["mark"].keys() == {SECRET, "value"}


def test_what_lives_in_the_database_goes_with_the_coordinators_process() -> None:
    """A destroy stops the server and asks its database nothing."""
    made = local()
    (server,) = (node.urn for node in made.of("LocalNode").values() if node.name == "citus_coordinator-server")
    assert {resource.request.deletedWith for resource in made.in_the_database} == {server}


# --- containers ------------------------------------------------------------------------------------------------------


def test_only_the_coordinator_is_published_and_only_on_this_machine() -> None:
    """The coordinator listens on 127.0.0.1:5437; no worker has any port outside the network."""
    published = {name: container.plain.get("ports") for name, container in declare().containers.items()}
    assert published.pop("citus_coordinator") == [{"internal": 5432, "external": 5437, "ip": "127.0.0.1"}]
    assert set(published.values()) == {None}


def test_the_coordinator_is_published_where_the_settings_say() -> None:
    """The settings bindAddress and port decide where the coordinator is published, and where it is reached."""
    made = declare(bindAddress="::1", port="6000", workers="1")
    (port,) = made.containers["citus_coordinator"].plain["ports"]
    assert (port["ip"], port["external"]) == ("::1", 6000)
    servers = [resource.plain["server"] for resource in made.in_the_database]
    assert all((server["host"], server["port"]) == ("::1", 6000) for server in servers)


@pytest.mark.parametrize(("address", "host"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")])
def test_a_coordinator_on_every_interface_is_reached_by_loopback(address: str, host: str) -> None:
    """No one can connect to the address that means every interface."""
    made = declare(bindAddress=address, workers="1")
    assert {resource.plain["server"]["host"] for resource in made.in_the_database} == {host}


def test_the_password_stands_in_a_secret_upload_and_nowhere_else() -> None:
    """No resource shows the password, as it is or encoded, outside the secret file that root alone may read."""
    made = declare()
    for resource in made.resources:
        shown = json.dumps(conceal(resource.inputs), ensure_ascii=False)
        assert not [form for form in (PASSWORD, "Hüsh", "H%C3%BCsh", "2%40") if form in shown], resource.name
    for container in made.containers.values():
        (upload,) = [file for file in container.inputs["uploads"] if file["file"] == "/etc/citus-pulumi/password"]
        assert upload["content"].keys() == {SECRET, "value"}
        assert upload["content"]["value"] == PASSWORD
        assert upload["permissions"] == "0600"
        assert list(container.request.additionalSecretOutputs) == ["uploads"]
        assert not [env for env in container.plain["envs"] if "PASS" in env]


def test_the_provider_of_no_resource_carries_state() -> None:
    """Providers are stored by reference, so that no code and no password is in the state, and edits make no difference."""
    for resource in declare().dynamic:
        stored = base64.b64decode(resource.inputs["__provider"])
        assert len(stored) < 120
        assert vars(resource.provider) == {}
        assert b"components.registry" in stored
        assert PROVIDERS[type(resource.provider).__name__] == type(resource.provider).__module__


def test_every_node_runs_alike() -> None:
    """Nodes differ in name, volume and port alone: same database and user, same image, command and settings."""
    made = declare(database="shop", user="boss")
    alike = [
        {
            key: value
            for key, value in container.inputs.items()
            if key not in ("name", "volumes", "networksAdvanced", "ports")
        }
        for container in made.containers.values()
    ]
    assert all(inputs == alike[0] for inputs in alike)
    assert {"POSTGRES_DB=shop", "POSTGRES_USER=boss"} <= set(alike[0]["envs"])
    assert alike[0]["image"] == "sha256:1"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("restart", "unless-stopped"),
        ("command", ["postgres", *as_arguments(SERVER_SETTINGS)]),
        ("networkMode", "bridge"),
        ("mustRun", True),
        ("wait", False),
        ("stopTimeout", 60),
        ("destroyGraceSeconds", 60),
        ("shmSize", 256),
    ],
)
def test_every_container_is_set_up_to_last(setting: str, value: object) -> None:
    """Each node comes back by itself, shuts down in peace, and can move shards while they are written to."""
    assert [container.plain[setting] for container in declare().containers.values()] == [value] * 5


def test_every_node_has_its_name_in_the_network_and_its_data_in_a_volume_of_its_own() -> None:
    """Containers find each other by name, and a replaced container finds its data."""
    for name, container in declare().containers.items():
        assert container.plain["name"] == name
        assert container.plain["networksAdvanced"] == [{"name": "citusnet", "aliases": [name]}]
        assert container.plain["volumes"] == [
            {"volumeName": f"{name}_data", "containerPath": "/var/lib/postgresql/data"}
        ]


def test_all_that_docker_holds_bears_the_clusters_id() -> None:
    """Whatever this stack makes on an engine is labelled as its cluster's, and no later change of a label replaces it."""
    made = declare()
    labelled = [*made.containers.values(), *made.of("Volume").values(), *made.of("Network").values()]
    assert len(labelled) == 11
    for resource in labelled:
        assert resource.plain["labels"] == [
            {"label": "citus-pulumi.cluster", "value": CLUSTER_ID},
            {"label": "citus-pulumi.stack", "value": STACK},
        ]
        assert list(resource.request.ignoreChanges) == ["labels"]


def test_no_volume_is_deleted_by_its_own_resource() -> None:
    """Pulumi lets go of volumes; NodeData removes them, and all containers go before it."""
    made = declare()
    assert all(volume.request.retainOnDelete for volume in made.of("Volume").values())
    kept = made.of("NodeData")
    assert {data.plain["place"] for data in kept.values()} == {f"volume:{name}_data" for name in made.containers}
    assert {data.plain["owner"] for data in kept.values()} == {CLUSTER_ID}
    assert all(kept.keys() <= container.needs for container in made.containers.values())
    assert all(data.request.deleteBeforeReplace and not data.request.deletedWith for data in kept.values())


def test_a_destroy_begins_with_a_look() -> None:
    """Nothing depends on the guard, and it depends on the last steps, so that it is deleted before anything else."""
    made = declare()
    (guard,) = made.of("DestroyGuard").values()
    assert {"citus-rebalance", "citus-placement", list(made.of("SchemaScript"))[-1], "citus-network"} <= guard.needs
    assert not [resource.name for resource in made.resources if guard.name in resource.needs]


def test_the_image_stays_when_the_cluster_goes() -> None:
    """A destroy leaves the image on the engine, for the next cluster to start quickly."""
    (image,) = declare(image="example/citus:1").of("RemoteImage").values()
    assert (image.plain["name"], image.plain["keepLocally"]) == ("example/citus:1", True)


def test_room_is_made_before_each_thing_with_a_fixed_name_is_created() -> None:
    """Network, volumes and containers each have a hook of their own before they are made, and are deleted first."""
    made = declare()
    named = [*made.of("Network").values(), *made.of("Volume").values(), *made.containers.values()]
    bound = [list(resource.request.hooks.before_create) for resource in named]
    assert [names[0] for names in bound] == [
        f"make-room-for-{resource.kind.lower()}-{resource.plain['name']}" for resource in named
    ]
    assert {hook.name for hook in made.hooks} == {name for names in bound for name in names} | {"reconnect-citusnet"}
    assert all(resource.request.deleteBeforeReplace for resource in named)


# --- order -----------------------------------------------------------------------------------------------------------


def test_each_step_waits_for_the_one_before() -> None:
    """Coordinator, workers in turn, health, schema files in turn, tables: each depends on what it needs."""
    made = declare()
    needs = {(resource.kind, resource.name): resource.needs for resource in made.dynamic}
    scripts = list(made.of("SchemaScript"))
    assert needs["UserPassword", "citus-password"] >= made.containers.keys()
    assert needs["CoordinatorNode", "citus_coordinator"] == {"citus_coordinator", "citus-password", "identity"}
    before = "citus_coordinator"
    for number in range(1, 5):
        name = f"citus_worker_{number}"
        assert {before, name} <= needs["WorkerNode", name]
        before = name
    assert made.of("WorkerNode").keys() <= needs["ClusterHealth", "citus-health"]
    for earlier, later in zip(["citus-health", *scripts], scripts, strict=False):
        assert earlier in needs["SchemaScript", later]
    for name, settings in TABLES.items():
        kind = "ReferenceTable" if settings.get("reference") else "DistributedTable"
        assert {scripts[-1], "citus-health"} <= needs[kind, name]
        assert {settings[key] for key in settings if key == "colocateWith"} <= needs[kind, name]
    assert {"venta", "producto"} <= needs["DistributedTable", "detalle_venta"]
    assert {"sucursal", "metodo_pago", "cupon"} <= needs["DistributedTable", "venta"]


def test_a_cluster_without_tables_and_files_is_a_cluster(tmp_path: Path) -> None:
    """Nodes alone make a cluster, whose tables may come later."""
    kinds = {resource.kind for resource in declare(tables="{}", schemaDir=str(tmp_path)).dynamic}
    outside = {"ClusterIdentity", "NodeData", "DestroyGuard"}
    assert kinds - outside == {
        "UserPassword",
        "CoordinatorNode",
        "WorkerNode",
        "ClusterHealth",
        "Rebalance",
        "ShardPlacement",
    }


def test_shards_are_evened_out_again_after_a_file_a_table_or_a_schema(tmp_path: Path) -> None:
    """The inputs name them: one more may change the loads, after the forecast was made."""
    (tmp_path / "010.sql").write_text("create table t (id int primary key); create schema a; create table a.t (id int)")
    made = declare(tables='{"t": {"distributeBy": "id"}}', schemas='{"a": {}}', schemaDir=str(tmp_path))
    inputs = made.of("Rebalance")["citus-rebalance"].plain
    assert (inputs["files"], [*inputs["groups"]], inputs["all_schemas"]) == (["010.sql"], ["t"], ["a"])


def test_what_lives_in_the_database_goes_with_the_coordinators_container() -> None:
    """A destroy asks the database nothing: every SQL resource is deleted with the container that holds it."""
    made = declare()
    server = made.containers["citus_coordinator"].urn
    assert {resource.request.deletedWith for resource in made.in_the_database} == {server}


def test_nodes_are_proved_again_when_their_container_is_another() -> None:
    """A node's input is its container's id, and the cluster's health looks at all of them."""
    made = declare()
    assert {node.name: node.plain["generation"] for node in made.of("WorkerNode").values()} == {
        f"citus_worker_{number}": f"citus_worker_{number}-id" for number in range(1, 5)
    }
    assert made.of("CoordinatorNode")["citus_coordinator"].plain["generation"] == "citus_coordinator-id"
    assert made.of("ClusterHealth")["citus-health"].plain["generations"] == [f"{name}-id" for name in made.containers]


def test_tables_reach_their_resources_as_planned() -> None:
    """Column, colocation, count of shards and related tables are the inputs of a table's resource."""
    made = declare(shardCount="8")
    detail = made.of("DistributedTable")["detalle_venta"].plain
    assert detail["table"] == {"schema": "public", "name": "detalle_venta"}
    assert (detail["distribution_column"], detail["shard_count"]) == ("id_pais", 8)
    assert detail["colocate_with"] == {"schema": "public", "name": "sucursal"}
    assert [it["table"]["name"] for it in detail["pending"]] == ["producto", "venta"]
    coupon = made.of("ReferenceTable")["cupon"].plain
    assert coupon["nodes"] == [f"{name}:5432" for name in made.containers]
    assert [it["table"]["name"] for it in coupon["pending"]] == ["venta"]


def test_a_table_may_be_rewritten_where_the_settings_say_so() -> None:
    """It takes along the tables that are colocated with it, and knows how those are declared that foreign keys tie to it."""
    tables = {**TABLES, "sucursal": {**TABLES["sucursal"], "rewrite": True}}
    made = declare(tables=json.dumps(tables)).of("DistributedTable")
    assert {name for name, table in made.items() if table.plain["rewrite"]} == {"sucursal"}
    branch, detail = made["sucursal"].plain, made["detalle_venta"].plain
    assert {table["name"] for table in branch["followers"]} == {"venta", "producto", "detalle_venta"}
    known = {it["table"]["name"]: it["sharding"] for it in branch["pending"]}
    assert known == {
        "cupon": {"kind": "Reference"},
        "metodo_pago": {"kind": "Reference"},
        **{table: {"kind": "Distributed", "column": "id_pais"} for table in ("venta", "producto", "detalle_venta")},
    }
    assert detail["followers"] == []
    assert detail["target_group"] == OUTPUTS["DistributedTable"]["colocation_group"]


def test_a_table_that_is_to_be_local_is_no_table_of_the_plan() -> None:
    """It comes before those that are sharded, which know of it."""
    tables = {
        "cupon": {"reference": True},
        "metodo_pago": {"reference": True},
        **{name: {"undistribute": True} for name in ("venta", "detalle_venta")},
    }
    made = declare(tables=json.dumps(tables))
    assert [table.plain["table"]["name"] for table in made.of("LocalTable").values()] == ["venta", "detalle_venta"]
    assert list(made.of("SchemaScript"))[-1] in made.of("LocalTable")["venta"].needs
    assert "detalle_venta" in made.of("ReferenceTable")["cupon"].needs
    first = made.of("LocalTable")["venta"].plain["pending"]
    assert [(it["table"]["name"], it["sharding"]["kind"]) for it in first] == [
        ("cupon", "Reference"),
        ("metodo_pago", "Reference"),
        ("detalle_venta", "Local"),
    ]
    assert "Local" in [it["sharding"]["kind"] for it in made.of("ReferenceTable")["cupon"].plain["pending"]]
    assert made.outputs["tables"]["venta"] == {"kind": "local"}


def test_tenants_are_placed_by_the_group_of_their_table() -> None:
    """A group that is rewritten has another number, so that its tenants are placed again."""
    placement = declare(tenants=json.dumps({"sucursal": {"pin": {"1": 1}}})).of("ShardPlacement")["citus-placement"]
    assert placement.plain["groups"] == [OUTPUTS["DistributedTable"]["colocation_group"]]


# --- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"host": "127.0.0.1", "port": "5437", "dbname": "coorddb", "user": "postgres"}),
        ({"password": "p@ss:w/ord?#[]%41&x=y +"}, {"user": "postgres"}),
        ({"password": "contraseña 日本 😀"}, {"user": "postgres"}),
        ({"user": "o'hara:@/", "database": "mi base/ñ?"}, {"user": "o'hara:@/", "dbname": "mi base/ñ?"}),
        ({"bindAddress": "0.0.0.0", "port": "6000"}, {"host": "127.0.0.1", "port": "6000"}),
        ({"bindAddress": "::"}, {"host": "::1", "port": "5437"}),
    ],
)
def test_the_dsn_is_a_secret_that_libpq_reads_back(values: dict[str, str], expected: dict[str, str]) -> None:
    """However odd user, password and database are, the URI means them to the letter, and it is a secret."""
    made = declare(workers="1", **values)
    read = conninfo_to_dict(made.outputs["dsn"])
    assert read["password"] == values.get("password", PASSWORD)
    assert {key: str(read[key]) for key in expected} == expected
    assert made.secret_outputs == {"dsn"}


def test_roles_come_before_the_files_and_what_they_may_do_after_the_tables() -> None:
    """No property of them has a password, and what changes with it is a secret, as are the connection URIs."""
    secret = "app: s3cret 'ñ'"
    declared = {"shop_app": {"password": secret, "read": ["public"], "connections": 5}}
    made = declare(workers="1", roles=json.dumps(declared))
    role, privileges = (made.of(kind)["shop_app"] for kind in ("Role", "RolePrivileges"))
    first = next(it for it in made.resources if it.kind == "SchemaScript")
    assert "shop_app" in first.needs
    assert {"shop_app", "venta", "metodo_pago"} <= privileges.needs
    assert privileges.plain["read"] == ["public"]
    assert secret not in str(role.plain)
    assert conceal(role.inputs)["password_mark"] == "…"
    assert made.outputs["roles"] == {"shop_app": {"read": ["public"], "write": []}}
    assert conninfo_to_dict(made.outputs["dsnByRole"]["shop_app"])["password"] == secret
    assert made.secret_outputs == {"dsn", "dsnByRole"}


def test_the_psql_command_carries_no_password() -> None:
    """The command may be shown: psql asks for the password, and quotes in names cannot end the argument."""
    made = declare(workers="1", user="o'hara", database="mi base")
    assert made.outputs["psql"] == "psql 'postgresql://o%27hara@127.0.0.1:5437/mi%20base'"


def test_outputs_tell_the_cluster() -> None:
    """A person or another program learns the nodes, the versions and how each table is sharded."""
    outputs = declare().outputs
    assert outputs.keys() == {
        "dsn",
        "psql",
        "coordinator",
        "workers",
        "versions",
        "tables",
        "schemas",
        "functions",
        "residency",
    }
    assert outputs["coordinator"] == "citus_coordinator-id"
    assert outputs["workers"] == [f"citus_worker_{number}:5432" for number in range(1, 5)]
    assert outputs["versions"] == {"citus": "12.1-1", "postgres": "16.6"}
    assert outputs["tables"].keys() == set(TABLES)
    assert outputs["tables"]["cupon"] == {"kind": "reference", "placements": 5, "colocationGroup": 2}
    assert outputs["tables"]["venta"] == {
        "kind": "distributed",
        "distributionColumn": "id_pais",
        "colocationGroup": 1,
        "shardCount": 32,
    }


def test_a_schema_is_declared_with_its_worker_behind_the_tables_that_it_references(tmp_path: Path) -> None:
    """Files know its tables, shards are placed behind it, and one that comes back comes before all tables."""
    (tmp_path / "1.sql").write_text(
        "create table r (id int primary key); create schema a; create table a.t (r int references r); create schema b;",
        "utf-8",
    )
    declared = {"a": {"worker": 2}, "b": {"undistribute": True}}
    given = {"schemas": json.dumps(declared), "tables": json.dumps({"r": {"reference": True}})}
    made = declare(schemaDir=str(tmp_path), **given)
    schemas = made.of("DistributedSchema")
    assert schemas["a"].plain["worker"] == "citus_worker_2:5432"
    assert schemas["a"].plain["tables"] == [{"schema": "a", "name": "t"}]
    assert schemas["a"].needs >= {"r", "b", "citus_worker_2"}
    assert made.of("ReferenceTable")["r"].needs >= {"b"}
    assert {"schema": "a", "name": "t"} in made.of("SchemaScript")["1.sql"].plain["to_shard"]
    (placement,) = made.of("ShardPlacement").values()
    assert placement.needs >= {"a", "b"}
    assert made.outputs["schemas"] == {
        "a": {"kind": "distributed", "node": "citus_worker_2:5432", "tables": 1, "pinned": True},
        "b": {"kind": "local"},
    }


@pytest.mark.parametrize(
    ("tenants", "pins", "spread"),
    [
        ({"pin": {"7": 2, "9": 2}}, {"7": "citus_worker_2:5432", "9": "citus_worker_2:5432"}, []),
        ({"spread": [5, 6]}, {"5": "citus_worker_1:5432", "6": "citus_worker_2:5432"}, []),
        ({"pin": {"7": 1}, "spread": [5]}, {"7": "citus_worker_1:5432", "5": "citus_worker_2:5432"}, []),
        ({"spread": [1, 2, 3, 4, 5]}, {}, ["1", "2", "3", "4", "5"]),
    ],
    ids=["pinned", "spread", "spread beside what is pinned", "more than workers"],
)
def test_a_preview_names_the_worker_of_each_tenant(
    tenants: dict[str, Any], pins: dict[str, str], spread: list[str]
) -> None:
    """As far as there is a worker for each; where there are more tenants, their sizes decide in the update."""
    made = declare(tenants=json.dumps({"sucursal": tenants}))
    (placement,) = made.of("ShardPlacement").values()
    (group,) = placement.plain["tenants"]
    assert (group["table"]["name"], group["pin"], group["spread"]) == ("sucursal", pins, spread)
    assert placement.needs >= {"sucursal", "venta", "citus_worker_4"}


@pytest.mark.parametrize(
    ("tenants", "reason"),
    [
        ({"nada": {"spread": [1]}}, "citus:tenants.nada: citus:tables does not distribute that table"),
        ({"cupon": {"spread": [1]}}, "citus:tenants.cupon: citus:tables does not distribute that table"),
        ({"venta": {"pin": {"1": 5}}}, "citus:tenants.venta.pin.1 = 5: there are workers 1 to 4: name one of them"),
        ({"venta": {"pin": {"1": 0}}}, "citus:tenants.venta.pin.1 = 0: there are workers 1 to 4"),
        (
            {"venta": {"spread": ["mx"]}},
            "citus:tenants.venta: 'mx' is not a valid int4, the type of the distribution column id_pais",
        ),
        ({"venta": {"spread": [2**31]}}, "'2147483648' is not a valid int4"),
        (
            {"venta": {"spread": [1]}, "sucursal": {"spread": [2]}},
            "citus:tenants.sucursal: it is colocated with venta, so both have the same tenants: name one of the two",
        ),
    ],
)
def test_tenants_that_cannot_be_placed_are_refused(tenants: dict[str, Any], reason: str) -> None:
    """Before anything is touched, the setting, the value and the remedy named."""
    with pytest.raises(PlanError) as caught:
        declare(tenants=json.dumps(tenants))
    assert reason in str(caught.value)


# --- what a change means ---------------------------------------------------------------------------------------------


def updates(before: Declared, after: Declared) -> set[str]:
    """Return the names of the SQL resources that an update from one program to another would touch."""
    states = {(old.kind, old.name): {**old.plain, **OUTPUTS.get(old.kind, {})} for old in before.dynamic}
    return {
        new.name
        for new in after.dynamic
        if (new.kind, new.name) in states and new.provider.diff("id", states[new.kind, new.name], new.plain).changes
    }


def test_a_second_run_changes_nothing() -> None:
    """The state that a run leaves, where every number is a float, differs in nothing from what the next one declares."""
    made = declare()
    assert updates(made, made) == set()


@pytest.mark.parametrize(
    ("values", "touched"),
    [
        (
            {"workers": "5"},
            {
                "citus-password",
                "citus-health",
                "citus-placement",
                "citus-rebalance",
                "citus-guard",
                "cupon",
                "metodo_pago",
            },
        ),
        ({"tenants": json.dumps({"venta": {"pin": {"1": 2}}})}, {"citus-placement", "citus-rebalance"}),
        ({"rebalance": json.dumps({"threshold": 0.2})}, {"citus-rebalance"}),
        ({"rebalance": "false"}, set()),
        ({"readyTimeout": "60"}, set()),
        ({"password": "another"}, {"citus-password"}),
        ({"network": "other"}, {"citus-guard"}),
        ({"tables": json.dumps(dict(reversed(TABLES.items())))}, set()),
        # The key of venta to it, which is local now, stands in its own turn then.
        ({"tables": json.dumps({"cupon": {"reference": True}})}, {"cupon", "citus-rebalance"}),
    ],
    ids=[
        "workers",
        "tenants",
        "rebalance",
        "no rebalance",
        "readyTimeout",
        "password",
        "network",
        "tables in another order",
        "fewer tables",
    ],
)
def test_a_changed_setting_touches_only_what_it_concerns(values: dict[str, str], touched: set[str]) -> None:
    """A setting makes work for the resources that depend on it, and for no other that is there already."""
    assert updates(declare(), declare(**values)) == touched


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({}, set()),
        ({"workers": "5", "port": "6000"}, set()),
        ({"shardCount": "8"}, {"sucursal"}),
        ({"tables": json.dumps({"cupon": {"reference": True}})}, set()),
    ],
    ids=["nothing", "nodes", "shardCount", "fewer tables"],
)
def test_a_preview_refuses_to_shard_what_is_sharded_in_another_way(values: dict[str, str], refused: set[str]) -> None:
    """A setting that would rewrite a table is refused for the tables that it concerns, before anything is touched."""
    states = {(old.kind, old.name): old.plain for old in declare().dynamic}
    checks = {
        new.name: new.provider.check(states.get((new.kind, new.name), {}), new.plain)
        for new in declare(**values).dynamic
    }
    assert {name for name, check in checks.items() if check.failures} == refused


def test_what_is_compared_is_declared_and_what_a_provider_adds_is_not() -> None:
    """A change of a compared property can be seen, and no input is taken for an output."""
    declared: dict[str, set[str]] = {}
    for resource in declare().dynamic:
        declared.setdefault(resource.kind, set()).update(resource.inputs)
    for resource in declare().dynamic:
        of_hosts = {"hosts", "peers", "coordinator", "elsewhere"}
        rare = {"roles_known", "digest", *of_hosts}  # of files that give roles a password, or have rows
        assert set(resource.provider.compared) - rare <= declared[resource.kind], resource.name
        assert set(resource.provider.replacing) <= set(resource.provider.compared)
        assert not set(resource.provider.outputs) & resource.inputs.keys(), resource.name


UNKNOWN = pulumi.output.Unknown()  # type: ignore[no-untyped-call]
NODE = {
    "server": {"name": "c", "host": "127.0.0.1", "port": 5437.0, "database": "d", "user": "u"},
    "node_name": "citus_worker_1",
    "node_port": 5432.0,
    "generation": "abc",
    "ready_timeout": 120.0,
    "server_id": "7",
}
TABLE = {
    "server": NODE["server"],
    "table": {"schema": "public", "name": "venta"},
    "distribution_column": "id_pais",
    "shard_count": 32.0,
    "primary_key": None,
    "pending": [],
    "nodes": ["a:5432"],
    "missing": 0.0,
    "generations": ["a", "b"],
    "healthy": True,
    "text": "select 1",
    "file_name": "1.sql",
    "ready_timeout": 120.0,
}
REFERENCE = {name: value for name, value in TABLE.items() if name != "distribution_column"}
COLOCATED = {**TABLE, "colocate_with": {"schema": "public", "name": "sucursal"}, "target_group": 1.0}


@pytest.mark.parametrize(
    ("provider", "olds", "change", "changes", "replaces"),
    [
        (CoordinatorNodeProvider, NODE, {}, False, []),
        (CoordinatorNodeProvider, NODE, {"generation": "def"}, True, []),
        (CoordinatorNodeProvider, NODE, {"generation": UNKNOWN}, True, []),
        (CoordinatorNodeProvider, NODE, {"node_name": "x"}, True, []),
        (CoordinatorNodeProvider, NODE, {"stack": "x"}, False, []),
        (CoordinatorNodeProvider, NODE, {"cluster_id": "x"}, True, []),
        (WorkerNodeProvider, NODE, {}, False, []),
        (WorkerNodeProvider, NODE, {"node_port": 5432}, False, []),
        (WorkerNodeProvider, NODE, {"ready_timeout": 60.0}, False, []),
        (WorkerNodeProvider, NODE, {"generation": "def"}, True, []),
        (WorkerNodeProvider, NODE, {"generation": UNKNOWN}, True, []),
        (WorkerNodeProvider, NODE, {"server": UNKNOWN}, True, []),
        (WorkerNodeProvider, NODE, {"node_name": UNKNOWN}, True, []),
        (WorkerNodeProvider, NODE, {"node_port": UNKNOWN}, True, []),
        (WorkerNodeProvider, NODE, {"node_name": "x"}, True, []),
        (WorkerNodeProvider, NODE, {"node_port": 5433}, True, []),
        (WorkerNodeProvider, NODE, {"node_name": "x", "generation": UNKNOWN}, True, []),
        (ClusterHealthProvider, TABLE, {}, False, []),
        (ClusterHealthProvider, TABLE, {"generations": ["a"]}, True, []),
        (ClusterHealthProvider, TABLE, {"generations": UNKNOWN}, True, []),
        (ClusterHealthProvider, {**TABLE, "healthy": False}, {"healthy": True}, True, []),
        (SchemaScriptProvider, TABLE, {}, False, []),
        (SchemaScriptProvider, TABLE, {"text": "select 2"}, True, []),
        (SchemaScriptProvider, TABLE, {"server": UNKNOWN}, True, []),
        (DistributedTableProvider, TABLE, {"shard_count": 32}, False, []),
        (DistributedTableProvider, TABLE, {"shard_count": 8}, True, []),
        (DistributedTableProvider, TABLE, {"distribution_column": "id"}, True, []),
        (DistributedTableProvider, TABLE, {"colocate_with": None}, False, []),
        (DistributedTableProvider, TABLE, {"colocate_with": {"schema": "public", "name": "sucursal"}}, True, []),
        (DistributedTableProvider, COLOCATED, {"shard_count": 8}, False, []),
        (DistributedTableProvider, COLOCATED, {"colocate_with": None}, True, []),
        (DistributedTableProvider, COLOCATED, {"target_group": 2}, True, []),
        (DistributedTableProvider, COLOCATED, {"target_group": UNKNOWN}, True, []),
        (DistributedTableProvider, TABLE, {"rewrite": True, "followers": [TABLE["table"]]}, False, []),
        (DistributedTableProvider, TABLE, {"primary_key": ["a"], "pending": []}, False, []),
        (DistributedTableProvider, TABLE, {"server": UNKNOWN}, True, []),
        (ReferenceTableProvider, REFERENCE, {}, False, []),
        (ReferenceTableProvider, REFERENCE, {"nodes": ["a:5432", "b:5432"]}, True, []),
        (ReferenceTableProvider, {**REFERENCE, "missing": 1.0}, {"missing": 0}, True, []),
        (ReferenceTableProvider, TABLE, {}, True, []),
    ],
)
def test_a_difference_means_an_update_and_hardly_ever_a_replacement(
    provider: type[SqlProvider[Any]],
    olds: dict[str, Any],
    change: dict[str, Any],
    changes: bool,  # noqa: FBT001
    replaces: list[str],
) -> None:
    """A worker that gets another address is still the same, and what is not known yet never makes another of it."""
    diff = provider().diff("id", olds, {**olds, **change})
    assert (diff.changes, diff.replaces) == (changes, replaces)


@pytest.mark.parametrize(
    ("olds", "change", "told"),
    [
        ({}, {}, ""),
        ({}, {"rewrite": True}, ""),
        ({}, {"shard_count": 8}, "warning: venta: 2 tables are rewritten, and locked meanwhile: venta, lineas\n"),
        ({}, {"distribution_column": "id"}, "warning: venta: 1 table is rewritten, and locked meanwhile: venta\n"),
        (
            {},
            {"colocate_with": {"schema": "a", "name": "t"}},
            "venta: joins the colocation group of a.t in place, or is refused where its shards are not placed as needed\n",
        ),
        (
            {"colocate_with": {"schema": "a", "name": "t"}},
            {"rewrite": True, "colocate_with": None},
            "2 tables are rewritten, and locked meanwhile: venta, lineas\n",
        ),
    ],
)
def test_a_preview_tells_what_is_rewritten(
    olds: dict[str, Any], change: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with the tables that move along; nothing where nothing changes, though the table might be rewritten."""
    old = {**TABLE, "followers": [{"schema": "public", "name": "lineas"}], **olds}
    DistributedTableProvider().diff("id", old, {**old, **change})
    out = capsys.readouterr().out
    assert out.endswith(told)
    assert out.count("\n") == bool(told)


@pytest.mark.parametrize(("olds", "told"), [({}, 1), (TABLE, 0)])
def test_a_preview_tells_what_becomes_local(
    olds: dict[str, Any], told: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, before the table is made local."""
    assert not LocalTableProvider().check(olds, TABLE).failures
    assert capsys.readouterr().out.count("venta: becomes local; where it is sharded, its rows are rewritten") == told


@pytest.mark.parametrize("olds", [{}, {"text": "create table a ()", "file_name": "1.sql"}])
def test_a_schema_file_as_it_was_is_accepted(olds: dict[str, Any]) -> None:
    """A new file, and one that has not been touched since it was applied, pass the check as they are."""
    news = {"text": "create table a ()", "file_name": "1.sql"}
    result = SchemaScriptProvider().check(olds, news)
    assert (result.failures, result.inputs) == ([], news)


@pytest.mark.parametrize("text", ["create table a (x int)", "create table a () ", ""])
def test_an_edited_schema_file_is_refused_at_preview(text: str) -> None:
    """A file that was applied and has been edited, by one blank even, is refused by name, with what to do instead."""
    olds = {"text": "create table a ()", "file_name": "1.sql"}
    (failure,) = SchemaScriptProvider().check(olds, {"text": text, "file_name": "1.sql"}).failures
    assert failure.reason.startswith(
        "1.sql was applied to this cluster and has been edited since: put it back as it was"
    )
    assert "as a new file that sorts behind it" in failure.reason


GROUP = {"colocate_with": {"schema": "app", "name": "Grupo"}}


@pytest.mark.parametrize(
    ("olds", "change"),
    [
        ({}, {}),
        (TABLE, {}),
        (TABLE, {"shard_count": 32}),
        (TABLE, {"primary_key": ["id_pais"], "ready_timeout": 1.0, "pending": []}),
        ({**TABLE, **GROUP}, {}),
        ({**TABLE, **GROUP}, {"shard_count": 8.0}),
        (TABLE, GROUP),
        ({**TABLE, **GROUP}, {"colocate_with": None}),
        (TABLE, {"shard_count": 8.0, "rewrite": True}),
        (TABLE, {"distribution_column": "id", "rewrite": True}),
    ],
)
def test_a_table_sharded_as_declared_is_accepted(olds: dict[str, Any], change: dict[str, Any]) -> None:
    """A new table, one whose sharding is as it was or changes in place, and one that may be rewritten, pass the check."""
    news = {**TABLE, **olds, **change}
    result = DistributedTableProvider().check(olds, news)
    assert (result.failures, result.inputs) == ([], news)


@pytest.mark.parametrize(
    ("olds", "change", "what"),
    [
        (TABLE, {"distribution_column": "id"}, "is distributed by id_pais, but is declared as distributed by id"),
        (TABLE, {"shard_count": 8.0}, "has 32 shards, but 8 are declared"),
    ],
)
def test_another_sharding_is_refused_at_preview(olds: dict[str, Any], change: dict[str, Any], what: str) -> None:
    """A table that is sharded in another way is refused by name, as it is and as declared, with the ways out."""
    (failure,) = DistributedTableProvider().check(olds, {**olds, **change}).failures
    assert failure.reason.startswith("table venta ")
    assert what in failure.reason
    assert "set citus:tables.venta.rewrite to true, or declare the table as it is" in failure.reason
    assert not DistributedTableProvider().check(olds, {**olds, **change, "rewrite": True}).failures


@pytest.mark.parametrize(
    "provider",
    [
        CoordinatorNodeProvider,
        ClusterHealthProvider,
        SchemaScriptProvider,
        DistributedTableProvider,
        ReferenceTableProvider,
        LocalTableProvider,
    ],
)
def test_deleting_what_is_not_a_worker_asks_no_server(provider: type[SqlProvider[Any]]) -> None:
    """A deletion of anything but a worker leaves the data where it is: nothing is connected to, though no server is there."""
    provider().delete("id", {**TABLE, **NODE})


def test_providers_take_the_password_from_the_stacks_settings() -> None:
    """The password is handed to a provider by the engine, and so is no property of any resource."""
    config = pulumi.dynamic.Config({"citus:password": PASSWORD}, "citus")
    provider = WorkerNodeProvider()
    provider.configure(pulumi.dynamic.ConfigureRequest(config))
    assert provider.password == PASSWORD
