"""Network, coordinator and workers as Docker resources. Declares them; what is on the engine already is engine.py's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_docker as docker

from components.engine import MANAGED_BY, POSTGRES_PORT, STOP_SECONDS, Engine, volume_name
from components.image import VOLUME_FOLDER, Verdict
from components.locales import DEFAULT_LOCALE
from components.nodes import Node, node_names
from components.server_settings import as_arguments

if TYPE_CHECKING:
    from components.settings import Settings

__all__ = ["DockerNodes"]

SHARED_MEMORY_MB: Final = 256
"""Docker's own 64 are too few for PostgreSQL's parallel queries."""
_FOLDER: Final = Path(__file__).parent / "node"


class DockerNodes(pulumi.ComponentResource):
    """The network, and each node with its volume. Only the coordinator is published."""

    def __init__(
        self, name: str, settings: Settings, engine: Engine, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("citus:docker:Nodes", name, None, opts)
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
        self._image = docker.RemoteImage(
            f"{name}-image",
            name=settings.image,
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self, provider=self._provider),
        )
        self._network = docker.Network(
            f"{name}-network",
            name=settings.network,
            driver="bridge",
            labels=[docker.NetworkLabelArgs(label=MANAGED_BY, value=engine.stack)],
            opts=self._child("network", settings.network),
        )
        coordinator, *workers = node_names(settings)
        port = {"internal": POSTGRES_PORT, "external": settings.port, "ip": settings.bind_address}
        self.coordinator = self._node(coordinator, ports=[port])
        self.workers = [self._node(worker) for worker in workers]
        self.register_outputs({"network": self._network.name})

    def _child(self, kind: str, name: str) -> pulumi.ResourceOptions:
        hook = pulumi.ResourceHook(f"make-room-for-{kind}-{name}", self._engine.make_room(kind, name))
        return pulumi.ResourceOptions(
            parent=self,
            provider=self._provider,
            hooks=pulumi.ResourceHookBinding(before_create=[hook]),
            delete_before_replace=True,
        )

    def _node(self, name: str, **extra: Any) -> Node:
        settings = self._settings
        stack = self._engine.stack
        volume = docker.Volume(
            f"{name}-data",
            name=volume_name(name),
            labels=[docker.VolumeLabelArgs(label=MANAGED_BY, value=stack)],
            opts=self._child("volume", volume_name(name)),
        )
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
            command=["postgres", *as_arguments()],
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
            labels=[docker.ContainerLabelArgs(label=MANAGED_BY, value=stack)],
            restart="unless-stopped",
            shm_size=SHARED_MEMORY_MB,
            stop_timeout=STOP_SECONDS,
            destroy_grace_seconds=STOP_SECONDS,
            must_run=True,
            wait=False,
            opts=pulumi.ResourceOptions.merge(
                self._child("container", name),
                pulumi.ResourceOptions(additional_secret_outputs=["uploads"]),
            ),
            **extra,
        )
        return Node(
            name=name,
            resource=container,
            generation=container.id,
            node_name=name,
            node_port=POSTGRES_PORT,
            log=f"docker:{name}",
        )
