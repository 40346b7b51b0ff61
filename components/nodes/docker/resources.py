"""Network, coordinator and workers as Docker resources. Declares them; what is on the engine already is engine.py's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_docker as docker

from components.logs import Log
from components.nodes.data import NodeData, NodeDataInputs
from components.nodes.docker.destroy_guard import DestroyGuard, DestroyGuardInputs
from components.nodes.docker.engine import STOP_SECONDS, Engine
from components.nodes.docker.image import VOLUME_FOLDER, Verdict
from components.nodes.docker.pooler import FOLDER, get_container_names, get_pooler_ports, render_ini, render_userlist
from components.nodes.docker.shape import POSTGRES_PORT, get_shape
from components.nodes.docker.volumes import CLUSTER, MANAGED_BY, volume_name
from components.nodes.locales import DEFAULT_LOCALE
from components.nodes.node import Node, node_names
from components.nodes.server_settings import get_start_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.access import Access
    from components.resources.pooling import PoolerLogin
    from components.settings import PoolerSettings, Settings

__all__ = ["DockerNodes"]


_FOLDER: Final = Path(__file__).parent / "files"


class DockerNodes(pulumi.ComponentResource):
    """The network, and each node with its volume. Only the coordinator is published."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        engine: Engine,
        cluster_id: pulumi.Output[str],
        access: Access,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("citus:docker:Nodes", name, None, opts)
        self._name = name
        self._settings = settings
        self._engine = engine
        self._verdict = engine.verdict or Verdict(settings.locale or DEFAULT_LOCALE)
        # By itself the provider would choose an engine by other rules than those by which the engine was checked.
        self._provider = docker.Provider(
            f"{name}-engine",
            host=engine.endpoint.host,
            context="",
            cert_path=engine.endpoint.certificates,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._cluster_id = cluster_id
        self._labels: dict[str, pulumi.Input[str]] = {CLUSTER: cluster_id, MANAGED_BY: engine.stack}
        self._image = docker.RemoteImage(
            f"{name}-image",
            name=settings.image,
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self, provider=self._provider),
        )
        reconnect = pulumi.ResourceHook(f"reconnect-{settings.network}", engine.reconnect(settings.network))
        self._network = docker.Network(
            f"{name}-network",
            name=settings.network,
            driver="bridge",
            labels=[docker.NetworkLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            opts=self._child("network", settings.network, [reconnect]),
        )
        names = node_names(settings)
        volumes = {node: self._volume(node) for node in names}
        self._data = [self._node_data(node, volumes[node], access, is_coordinator=node == names[0]) for node in names]
        port = {"internal": POSTGRES_PORT, "external": settings.port, "ip": settings.bind_address}
        self._last_remade: list[pulumi.Resource] = []
        self.workers = [self._node(node, volumes[node]) for node in names[1:]]
        self.coordinator = self._node(names[0], volumes[names[0]], ports=[port])
        self.register_outputs({"network": self._network.name})

    def guard(self, after: Sequence[pulumi.Resource]) -> None:
        """Declare what a destroy does first; `after` is everything else."""
        DestroyGuard(
            f"{self._name}-guard",
            DestroyGuardInputs(
                network=self._settings.network,
                containers=tuple(get_container_names(self._settings)),
                owner=self._network.labels.apply(_owner_of),
                cluster_id=self._cluster_id,
                engine=self._engine.id,
                address=self._engine.endpoint.host,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[*after, self._network]),
        )

    def pool(
        self, pooler: PoolerSettings, login: PoolerLogin, after: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Declare the poolers, each of which is there once it lets the stack's user in."""
        image = docker.RemoteImage(
            f"{self._name}-pooler-image",
            name=pooler.image,
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self, provider=self._provider),
        )
        entered = zip([self.coordinator, *self.workers], get_pooler_ports(self._settings).items(), strict=False)
        return [self._pooler(pooler, image, node, name, port, login, after) for node, (name, port) in entered]

    def _pooler(
        self,
        pooler: PoolerSettings,
        image: docker.RemoteImage,
        node: Node,
        name: str,
        port: int,
        login: PoolerLogin,
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        of_coordinator = node is self.coordinator
        connections = int(get_start_settings(self._settings, "", of_coordinator=of_coordinator)["max_connections"])
        files: dict[str, pulumi.Input[str]] = {
            "start_pooler.sh": (_FOLDER / "start_pooler.sh").read_text("utf-8"),
            "pgbouncer.ini": render_ini(self._settings, pooler, node.name, connections),
            "userlist.txt": login.password.apply(render_userlist),
            "server.crt": login.certificate,
            "server.key": login.key,
        }
        answers = pulumi.ResourceHook(f"await-{name}", self._engine.await_pooler(self._settings, name, port))
        return docker.Container(
            name,
            name=name,
            image=image.image_id,
            user="root",
            entrypoints=["sh", f"{FOLDER}/start_pooler.sh"],
            command=[],
            uploads=[
                docker.ContainerUploadArgs(file=f"{FOLDER}/{file}", content=content, permissions="0600")
                for file, content in files.items()
            ],
            ports=[{"internal": POSTGRES_PORT, "external": port, "ip": self._settings.bind_address}],
            network_mode="bridge",
            networks_advanced=[{"name": self._network.name, "aliases": [name]}],
            labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            restart="unless-stopped",
            must_run=True,
            wait=False,
            opts=pulumi.ResourceOptions.merge(
                self._child("container", name, [answers]),
                pulumi.ResourceOptions(
                    additional_secret_outputs=["uploads"], depends_on=[login, node.resource, *after]
                ),
            ),
        )

    def _await_when_remade(self, name: str) -> list[pulumi.ResourceHook]:
        """Return a hook for a container that is made again: what comes after it waits until its server is there."""
        if name not in self._engine.remade:
            return []
        return [pulumi.ResourceHook(f"await-{name}", self._engine.await_server(name, self._settings.ready_timeout))]

    def _ignored(self, name: str) -> list[str]:
        """Return what changes in a container that stays: UserPassword sees to the password, and its scripts do as they are."""
        return ["uploads"] if self._engine.keeps(name) else []

    def _child(
        self, kind: str, name: str, after_create: Sequence[pulumi.ResourceHook] = (), *, ignored: Sequence[str] = ()
    ) -> pulumi.ResourceOptions:
        look_first = pulumi.ResourceHookOptions(on_dry_run=True)
        hook = pulumi.ResourceHook(f"make-room-for-{kind}-{name}", self._engine.make_room(kind, name), look_first)
        return pulumi.ResourceOptions(
            parent=self,
            provider=self._provider,
            hooks=pulumi.ResourceHookBinding(before_create=[hook], after_create=list(after_create)),
            delete_before_replace=True,
            # Docker cannot change them: what was made before clusters had ids keeps the labels that it has.
            ignore_changes=["labels", *ignored],
        )

    def _volume(self, node: str) -> docker.Volume:
        name = volume_name(node)
        return docker.Volume(
            f"{node}-data",
            name=name,
            labels=[docker.VolumeLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            opts=pulumi.ResourceOptions.merge(
                self._child("volume", name), pulumi.ResourceOptions(retain_on_delete=True)
            ),
        )

    def _node_data(self, node: str, volume: docker.Volume, access: Access, *, is_coordinator: bool) -> NodeData:
        return NodeData(
            f"{node}-keeper",
            NodeDataInputs(
                server=access.server,
                ready_timeout=access.ready_timeout,
                node_name=node,
                node_port=POSTGRES_PORT,
                is_coordinator=is_coordinator,
                place=volume.name.apply(lambda name: f"volume:{name}"),
                owner=volume.labels.apply(_owner_of),
                cluster_id=self._cluster_id,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[volume]),
        )

    def _node(self, name: str, volume: docker.Volume, **extra: Any) -> Node:
        settings = self._settings
        shape = self._engine.shapes.get(name) or get_shape(settings, "", of_coordinator="ports" in extra)
        uploads = [
            docker.ContainerUploadArgs(
                file="/etc/citus-pulumi/password",
                content=pulumi.Output.secret(settings.password.get_secret_value()),
                permissions="0600",
            ),
            *(
                docker.ContainerUploadArgs(file=f"{folder}/{script}", content=(_FOLDER / script).read_text("utf-8"))
                for folder, script in (
                    ("/etc/citus-pulumi", "start_node.sh"),
                    ("/docker-entrypoint-initdb.d", "zz_sync_data.sh"),
                )
            ),
        ]
        container = docker.Container(
            name,
            name=name,
            image=self._image.image_id,
            entrypoints=["bash", "/etc/citus-pulumi/start_node.sh"],
            command=list(shape.command),
            memory=shape.memory_mb,
            memory_swap=shape.memory_mb,
            cpus=shape.cpus,
            envs=[
                f"POSTGRES_USER={settings.user}",
                f"POSTGRES_DB={settings.database}",
                f"POSTGRES_INITDB_ARGS=--no-sync --auth-host=scram-sha-256 --encoding=UTF8 --locale={self._verdict.locale}",
                f"PGDATA={self._verdict.data_folder}",
            ],
            uploads=uploads,
            volumes=[{"volume_name": volume.name, "container_path": VOLUME_FOLDER}],
            network_mode="bridge",
            networks_advanced=[{"name": self._network.name, "aliases": [name]}],
            labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            restart="unless-stopped",
            shm_size=shape.shared_memory_mb,
            stop_timeout=STOP_SECONDS,
            destroy_grace_seconds=STOP_SECONDS,
            must_run=True,
            wait=False,
            opts=pulumi.ResourceOptions.merge(
                self._child("container", name, self._await_when_remade(name), ignored=self._ignored(name)),
                # All data goes after all containers: then it is the whole cluster that goes.
                pulumi.ResourceOptions(
                    additional_secret_outputs=["uploads"], depends_on=[*self._data, *self._last_remade]
                ),
            ),
            **extra,
        )
        if name in self._engine.remade:
            self._last_remade = [container]
        return Node(
            name=name,
            resource=container,
            generation=container.id,
            node_name=name,
            node_port=POSTGRES_PORT,
            log=Log("docker", name),
            passfile=f"docker:{name}",
        )


def _owner_of(labels: Sequence[Any] | None) -> str:
    """Return the owner that a thing's own labels name, as Pulumi has them."""
    found = {label["label"]: label["value"] for label in labels or ()}
    return str(found.get(CLUSTER) or found.get(MANAGED_BY) or "")
