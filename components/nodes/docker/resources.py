"""Network, coordinator and workers as Docker resources. Declares them; what is on the engines already is engine.py's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi
import pulumi_docker as docker

from components.backups.configuration import ServerPlace, render_files
from components.backups.restoring import Fresh
from components.backups.settings import as_duration
from components.nodes.data import NodeData, NodeDataInputs
from components.nodes.docker.backup_image import CONTEXT, find_built, get_recipe, needs_backups, tag
from components.nodes.docker.container_files import RUN
from components.nodes.docker.destroy_guard import DestroyGuard, DestroyGuardInputs, GuardedHost
from components.nodes.docker.engine import STOP_SECONDS, Engine
from components.nodes.docker.host_engine import HostEngine, HostEngineInputs
from components.nodes.docker.image import VOLUME_FOLDER
from components.nodes.docker.keypair import AUTHORITY, KEYPAIR
from components.nodes.docker.pooler import FOLDER, get_container_names, get_pooler_ports, render_ini, render_userlist
from components.nodes.docker.schedule import render_schedule
from components.nodes.docker.shape import BACKUPS, POSTGRES_PORT, RESTORED, get_shape
from components.nodes.docker.volumes import CLUSTER, MANAGED_BY, owner_of, volume_name
from components.nodes.node import Node, node_names, schedule_name
from components.nodes.restore import RestorePlan, RestorePlanInputs
from components.nodes.returning import RETURN_SECONDS
from components.nodes.server_settings import get_start_settings
from components.paths import PROJECT
from components.resources.certificates import ServerCertificate, ServerCertificateInputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.access import Access
    from components.backups.settings import ScheduleSettings
    from components.nodes.docker.host import DockerHost
    from components.resources.certificates import CertificateAuthority
    from components.resources.pooling import PoolerLogin
    from components.settings import PoolerSettings, Settings

__all__ = ["DockerNodes"]


_INIT: Final = ("tini", "--")
"""Adopts what a backup leaves behind, which goes on by itself. The postmaster would take it for a backend of its own that has
crashed, unless it ends with 0 or 1, and end all sessions."""
_FOLDER: Final = Path(__file__).parent / "files"


@dataclass(frozen=True)
class _Site:
    """What a host has for all its nodes."""

    suffix: str
    """What names of resources end with; empty on the coordinator's host, so that a stack may come to have more hosts."""
    provider: docker.Provider
    image: docker.RemoteImage
    """Of the nodes: the declared one, or the one that is built on it."""
    built: str
    """Id of the one that is built on it, where the engine has it already; else empty."""
    network: docker.Network


class DockerNodes(pulumi.ComponentResource):
    """On each host the network, and each node with its volume. On one host, only the coordinator is published."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        engine: Engine,
        cluster_id: pulumi.Output[str],
        access: Access,
        authority: CertificateAuthority | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("citus:docker:Nodes", name, None, opts)
        self._authority = authority
        self._name = name
        self._settings = settings
        self._engine = engine
        self._cluster_id = cluster_id
        self._labels: dict[str, pulumi.Input[str]] = {CLUSTER: cluster_id, MANAGED_BY: engine.stack}
        names = node_names(settings)
        on_hosts = {name: engine.host_of(name) for name in names}
        self._sites = {host.name: self._site(host) for host in dict.fromkeys(on_hosts.values())}
        self.plan = self._plan_restore()
        volumes = {node: self._volume(node) for node in names}
        self._data = {node: self._node_data(node, volumes[node], access) for node in names}
        self._last_remade: list[pulumi.Resource] = []
        self.workers = [self._node(node, volumes[node]) for node in names[1:]]
        self.coordinator = self._node(names[0], volumes[names[0]])
        self.register_outputs({"network": self._of(names[0]).network.name})

    def _site(self, host: DockerHost) -> _Site:
        name, settings = self._name, self._settings
        suffix = "" if host == self._engine.coordinator else f"-{host.name}"
        first = []
        if host.name:
            nodes = [node for node in node_names(settings) if self._engine.host_of(node) == host]
            found = any(owner_of(host.containers.get(node, {}).get("Labels")) for node in nodes)
            inputs = HostEngineInputs(host=host.name, engine=host.id, nodes=tuple(nodes), found=found)
            first.append(HostEngine(f"{name}-host-{host.name}", inputs, pulumi.ResourceOptions(parent=self)))
        # By itself the provider would choose an engine by other rules than those by which the engine was checked.
        provider = docker.Provider(
            f"{name}-engine{suffix}",
            host=host.endpoint.host,
            context="",
            cert_path=host.endpoint.certificates,
            ssh_opts=host.endpoint.options if host.endpoint.host.startswith("ssh://") and host.declared else None,
            opts=pulumi.ResourceOptions(parent=self, depends_on=first),
        )
        image = docker.RemoteImage(
            f"{name}-image{suffix}",
            name=settings.image,
            keep_locally=True,
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        )
        built = find_built(host.client, settings.image) if needs_backups(settings) else ""
        if needs_backups(settings):
            image = self._build(f"{name}-nodes-image{suffix}", image, provider, is_there=bool(built))
        hook = self._engine.reconnect(host, settings.network)
        reconnect = pulumi.ResourceHook(f"reconnect-{settings.network}{suffix}", hook)
        network = docker.Network(
            f"{name}-network{suffix}",
            name=settings.network,
            driver="bridge",
            labels=[docker.NetworkLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            opts=self._child(host, provider, "network", settings.network, [reconnect]),
        )
        return _Site(suffix, provider, image, built, network)

    def _build(
        self, name: str, base: docker.RemoteImage, provider: docker.Provider, *, is_there: bool
    ) -> docker.RemoteImage:
        """Build the nodes' image with what backups need on top of the declared one; or take the one that somebody has loaded."""
        build = docker.RemoteImageBuildArgs(
            context=str(CONTEXT.relative_to(PROJECT)),
            build_args={
                "BASE": base.name,
                "BASE_ID": base.image_id,
                "RECIPE": get_recipe(self._settings.image),
            },
            network_mode="host",  # the bridge of an engine may have no way to the packages
        )
        return docker.RemoteImage(
            name,
            name=tag(self._settings.image),
            build=None if is_there else build,
            triggers=None if is_there else {"base": base.image_id},
            keep_locally=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=provider,
                depends_on=[base],
                ignore_changes=["build", "triggers"] if is_there else None,  # one that was built here stays as it is
            ),
        )

    def _of(self, name: str) -> _Site:
        """Return the site of a node, or of its pooler."""
        return self._sites[self._engine.host_of(name).name]

    def _key(self, node: str) -> str:
        """Return what the resources of a node are called."""
        return f"{node}{self._of(node).suffix}"

    def guard(self, after: Sequence[pulumi.Resource]) -> None:
        """Declare what a destroy does first; `after` is everything else."""
        containers = get_container_names(self._settings)
        DestroyGuard(
            f"{self._name}-guard",
            DestroyGuardInputs(
                network=self._settings.network,
                containers=tuple(containers) if not self._settings.hosts else (),
                owner=self._of(containers[0]).network.labels.apply(_owner_of),
                cluster_id=self._cluster_id,
                engine=self._engine.coordinator.id,
                address=self._engine.coordinator.endpoint.host,
                hosts=tuple(
                    GuardedHost(
                        name=host.name,
                        network=str(host.locate(self._settings.network)),
                        containers=tuple(it for it in containers if self._engine.host_of(it) == host),
                        engine=host.id,
                    )
                    for host in self._engine.hosts.values()
                    if self._settings.hosts and host.name in self._sites
                )
                or None,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[*after, *(site.network for site in self._sites.values())]),
        )

    def pool(
        self, pooler: PoolerSettings, login: PoolerLogin, after: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Declare the poolers, each of which is there once it lets the stack's user in."""
        ports = get_pooler_ports(self._settings)
        images = {
            site.suffix: docker.RemoteImage(
                f"{self._name}-pooler-image{site.suffix}",
                name=pooler.image,
                keep_locally=True,
                opts=pulumi.ResourceOptions(parent=self, provider=site.provider),
            )
            for site in {self._of(name).suffix: self._of(name) for name in ports}.values()
        }
        entered = zip([self.coordinator, *self.workers], ports.items(), strict=False)
        return [
            self._pooler(pooler, images[self._of(name).suffix], node, name, port, login, after)
            for node, (name, port) in entered
        ]

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
            "pgbouncer.ini": render_ini(self._settings, pooler, node.name, connections),
            "userlist.txt": login.password.apply(render_userlist),
        }
        certificate = self._certificate(name, node.name)
        if certificate and self._authority:
            files |= {"server.crt": certificate.certificate, "server.key": certificate.keypair}
            files[AUTHORITY] = self._authority.certificate
        else:
            files |= {"server.crt": login.certificate, "server.key": login.key}
        answers = pulumi.ResourceHook(f"await-{name}", self._engine.await_pooler(self._settings, name, port))
        published = docker.ContainerPortArgs(
            internal=POSTGRES_PORT, external=port, ip=self._engine.host_of(name).bind_address
        )
        after = [login, node.resource, *after]
        return self._beside(name, image, "start_pooler.sh", files, after, ports=[published], hooks=[answers])

    def schedule(self, schedule: ScheduleSettings, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """Declare the container that makes backups at their times."""
        name, coordinator = schedule_name(self._settings.name_prefix), node_names(self._settings)[0]
        files: dict[str, pulumi.Input[str]] = {
            file: pulumi.Output.secret(text)
            for file, text in render_schedule(self._settings, schedule, coordinator).items()
        }
        if self._authority:
            files[AUTHORITY] = self._authority.certificate
        return [self._beside(name, self._of(coordinator).image, "start_schedule.sh", files, after)]

    def _beside(
        self,
        name: str,
        image: docker.RemoteImage,
        script: str,
        files: Mapping[str, pulumi.Input[str]],
        after: Sequence[pulumi.Resource],
        *,
        ports: Sequence[docker.ContainerPortArgs] = (),
        hooks: Sequence[pulumi.ResourceHook] = (),
    ) -> docker.Container:
        """Declare a container that is no node: what it runs is a script of this project, with files that are its own."""
        host, site = self._engine.host_of(name), self._of(name)
        texts = {script: (_FOLDER / script).read_text("utf-8"), **files}
        return docker.Container(
            f"{name}{site.suffix}",
            name=name,
            image=image.image_id,
            user="root",
            entrypoints=["sh", f"{FOLDER}/{script}"],
            command=[],
            uploads=[
                docker.ContainerUploadArgs(
                    file=f"{FOLDER}/{file}", content=content, permissions="0644" if file == AUTHORITY else "0600"
                )
                for file, content in texts.items()
            ],
            ports=list(ports) or None,
            network_mode="bridge",
            networks_advanced=[{"name": site.network.name, "aliases": [name]}],
            labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            restart="unless-stopped",
            must_run=True,
            wait=False,
            opts=pulumi.ResourceOptions.merge(
                self._child(host, site.provider, "container", name, hooks),
                pulumi.ResourceOptions(additional_secret_outputs=["uploads"], depends_on=list(after)),
            ),
        )

    def _await_when_remade(self, name: str) -> list[pulumi.ResourceHook]:
        """Return a hook for a container that is made again: what comes after it waits until its server is there."""
        within: float = self._settings.ready_timeout
        if self.plan and self._engine.restores and self._settings.restore_from:
            within = as_duration(self._settings.restore_from.within).total_seconds()
        elif name in self._engine.returning.names:
            within = RETURN_SECONDS
        elif name not in self._engine.remade:
            return []
        return [pulumi.ResourceHook(f"await-{name}", self._engine.await_server(name, within))]

    def _ignored(self, name: str) -> list[str]:
        """Return what changes in a container that stays: UserPassword sees to the password, and its scripts do as they are."""
        return ["uploads"] if self._engine.keeps(name) else []

    def _child(
        self,
        host: DockerHost,
        provider: docker.Provider,
        kind: str,
        name: str,
        after_create: Sequence[pulumi.ResourceHook] = (),
        *,
        ignored: Sequence[str] = (),
    ) -> pulumi.ResourceOptions:
        look_first = pulumi.ResourceHookOptions(on_dry_run=True)
        hook_name = f"make-room-for-{kind}-{name}{host.on.replace(' ', '-')}"
        hook = pulumi.ResourceHook(hook_name, self._engine.make_room(host, kind, name), look_first)
        return pulumi.ResourceOptions(
            parent=self,
            provider=provider,
            hooks=pulumi.ResourceHookBinding(before_create=[hook], after_create=list(after_create)),
            delete_before_replace=True,
            # Docker cannot change them: what was made before clusters had ids keeps the labels that it has.
            ignore_changes=["labels", *ignored],
        )

    def _volume(self, node: str) -> docker.Volume:
        name, site = volume_name(node), self._of(node)
        return docker.Volume(
            f"{self._key(node)}-data",
            name=name,
            labels=[docker.VolumeLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            opts=pulumi.ResourceOptions.merge(
                self._child(self._engine.host_of(node), site.provider, "volume", name),
                pulumi.ResourceOptions(retain_on_delete=True),
            ),
        )

    def _node_data(self, node: str, volume: docker.Volume, access: Access) -> NodeData:
        host, coordinator = self._engine.host_of(node), node_names(self._settings)[0]
        reached_name, reached_port = self._engine.reached(node)
        is_apart = host != self._engine.coordinator
        return NodeData(
            f"{self._key(node)}-keeper",
            NodeDataInputs(
                server=access.server,
                ready_timeout=access.ready_timeout,
                node_name=reached_name,
                node_port=reached_port,
                is_coordinator=node == coordinator,
                place=volume.name.apply(lambda name: f"volume:{host.locate(name)}"),
                owner=volume.labels.apply(_owner_of),
                cluster_id=self._cluster_id,
                coordinator=str(self._engine.coordinator.locate(coordinator)) if is_apart else None,
                elsewhere=tuple(
                    str(self._engine.hosts[name].locate(self._settings.network))
                    for name in self._sites
                    if name != host.name
                )
                or None,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[volume]),
        )

    def _node(self, name: str, volume: docker.Volume) -> Node:
        settings, host, site = self._settings, self._engine.host_of(name), self._of(name)
        verdict = self._engine.verdict_of(name)
        certificate = self._certificate(name, name)
        is_coordinator = name == node_names(settings)[0]
        shape = self._engine.shapes.get(name) or get_shape(settings, "", of_coordinator=is_coordinator)
        published = self._engine.published(name)
        # All data goes after the coordinator, and after all containers of its host: then it is the whole cluster that goes.
        data = [it for node, it in self._data.items() if is_coordinator or self._engine.host_of(node) == host]
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
        if certificate:
            rule = "" if is_coordinator else "clientcert=verify-ca"
            script = (_FOLDER / "yy_verify.sh").read_text("utf-8").replace("RULE", rule)
            uploads += [
                docker.ContainerUploadArgs(file="/docker-entrypoint-initdb.d/yy_verify.sh", content=script),
                *self._trusted(certificate),
            ]
        repository_files = self._repository_files(name, verdict.data_folder)
        uploads += [
            docker.ContainerUploadArgs(file=f"{FOLDER}/{file}", content=content, permissions="0600")
            for files in (repository_files, self._restore_files(name, verdict.data_folder))
            for file, content in files.items()
        ]
        container = docker.Container(
            self._key(name),
            name=name,
            image=site.image.image_id,
            entrypoints=[*(_INIT if settings.backup else ()), "bash", "/etc/citus-pulumi/start_node.sh"],
            command=list(shape.command),
            memory=shape.memory_mb,
            memory_swap=shape.memory_mb,
            cpus=shape.cpus,
            envs=[
                f"POSTGRES_USER={settings.user}",
                f"POSTGRES_DB={settings.database}",
                f"POSTGRES_INITDB_ARGS=--no-sync --auth-host=scram-sha-256 --encoding=UTF8 --locale={verdict.locale}",
                f"PGDATA={verdict.data_folder}",
            ],
            uploads=uploads,
            volumes=[
                docker.ContainerVolumeArgs(volume_name=volume.name, container_path=VOLUME_FOLDER),
                *(
                    docker.ContainerVolumeArgs(
                        host_path=what if what.startswith("/") else None,
                        volume_name=None if what.startswith("/") else what,
                        container_path=where,
                    )
                    for what, where in shape.repositories
                ),
            ],
            network_mode="bridge",
            networks_advanced=[{"name": site.network.name, "aliases": [name]}],
            ports=[docker.ContainerPortArgs(internal=POSTGRES_PORT, external=port, ip=ip) for ip, port in published]
            or None,
            labels=[docker.ContainerLabelArgs(label=label, value=value) for label, value in self._labels.items()],
            restart="unless-stopped",
            shm_size=shape.shared_memory_mb,
            stop_timeout=STOP_SECONDS,
            destroy_grace_seconds=STOP_SECONDS,
            must_run=True,
            wait=False,
            opts=pulumi.ResourceOptions.merge(
                self._child(
                    host,
                    site.provider,
                    "container",
                    name,
                    self._await_when_remade(name),
                    ignored=self._ignored(name),
                ),
                pulumi.ResourceOptions(additional_secret_outputs=["uploads"], depends_on=[*data, *self._last_remade]),
            ),
        )
        if name in self._engine.remade:
            self._last_remade = [container]
        reached_name, reached_port = self._engine.reached(name)
        return Node(
            name=name,
            key=self._key(name),
            resource=container,
            generation=container.id,
            node_name=reached_name,
            node_port=reached_port,
            log=self._engine.log_of(name),
            passfile=f"docker:{host.locate(name)}",
            keypair=certificate.keypair if certificate else None,
            repository_files=repository_files,
        )

    def _repository_files(self, name: str, data: str) -> dict[str, pulumi.Output[str]]:
        """Return what a node's pgBackRest reads, by the names of the files; nothing where nothing is backed up."""
        settings = self._settings
        if not settings.backup:
            return {}
        server = ServerPlace(name, data, POSTGRES_PORT, settings.user, settings.database, RUN)
        files = render_files(settings.backup, BACKUPS, server)
        return {file: pulumi.Output.secret(content) for file, content in files.items()}

    def _plan_restore(self) -> RestorePlan | None:
        """Declare what the cluster is made of; None where it is made empty."""
        settings, source = self._settings, self._settings.restore_from
        if source is None:
            return None
        host, site = self._engine.coordinator, self._of(node_names(settings)[0])
        # What is there already tells a preview what the repository holds.
        image = pulumi.Output.from_input(site.built or site.image.image_id)
        inputs = RestorePlanInputs.of(
            settings,
            source,
            image.apply(lambda it: f"docker:{host.locate(it)}"),
            RESTORED,
            server=self._engine.verdict_of(node_names(settings)[0]).server,
            needed=self._engine.restores,
        )
        return RestorePlan(f"{self._name}-restore-plan", inputs, pulumi.ResourceOptions(parent=self))

    def _restore_files(self, name: str, data: str) -> dict[str, pulumi.Output[str]]:
        """Return what a node needs that is made of a backup, by the names of the files; nothing where it is not."""
        settings, returning = self._settings, self._engine.returning
        is_whole = self.plan and self._engine.restores and settings.restore_from
        if not is_whole and name not in returning.names:
            return {}
        of_others = "host all all all scram-sha-256"
        if settings.verifies:
            rule = "" if name == node_names(settings)[0] else " clientcert=verify-ca"
            of_others = f"hostssl all all all scram-sha-256{rule}"
        own = [f"host all all {address} scram-sha-256" for address in ("127.0.0.1/32", "::1/128")]
        rules = "\n".join(["local all all trust", *own, of_others, ""])
        configuration = "# Written when the node was made of a backup.\n"
        if settings.verifies:
            configuration += f"citus.node_conninfo = 'sslmode=verify-full sslrootcert={RUN}/{AUTHORITY}'\n"
        server = ServerPlace(name, data, POSTGRES_PORT, settings.user, settings.database, RUN)
        fresh = Fresh(rules, configuration)
        if self.plan and is_whole:
            reached = {node: self._engine.reached(node) for node in node_names(settings)}
            files = self.plan.render(settings, server, RESTORED, reached, self._cluster_id, fresh)
        else:
            verified = {"sslmode": "verify-full", "sslrootcert": f"{RUN}/{AUTHORITY}"} if settings.verifies else {}
            coordinator = self._engine.reached(node_names(settings)[0])
            files = returning.render(settings, server, BACKUPS, coordinator, fresh, **verified)
        script = pulumi.Output.from_input((_FOLDER.parent.parent / "restore_node.sh").read_text("utf-8"))
        return {**files, "restore_node.sh": script}

    def _certificate(self, name: str, of: str) -> ServerCertificate | None:
        """Declare the certificate of a node, or of its pooler; None where nodes do not verify each other.

        Args:
            name: of the container.
            of: the node that it is, or that it stands before.
        """
        if self._authority is None:
            return None
        host = self._engine.host_of(name)
        further = [part.strip() for part in self._settings.certificate_names.split(",") if part.strip()]
        addresses = [name, host.address, "localhost", "127.0.0.1", "::1"]
        inputs = ServerCertificateInputs(
            server=name,
            addresses=tuple(
                dict.fromkeys([*addresses, *(further if name != of or of == node_names(self._settings)[0] else [])])
            ),
            days=self._settings.certificate_days,
            authority=self._authority.certificate,
            authority_key=self._authority.key,
        )
        return ServerCertificate(
            f"{name}{self._of(name).suffix}-certificate", inputs, pulumi.ResourceOptions(parent=self)
        )

    def _trusted(self, certificate: ServerCertificate) -> list[docker.ContainerUploadArgs]:
        """Return what a container is given to prove itself, and to verify others."""
        assert self._authority  # noqa: S101 - which made the certificate
        files = {AUTHORITY: self._authority.certificate, KEYPAIR: certificate.keypair}
        return [
            docker.ContainerUploadArgs(file=f"{FOLDER}/{file}", content=content, permissions="0600")
            for file, content in files.items()
        ]


def _owner_of(labels: Sequence[Any] | None) -> str:
    """Return the owner that a thing's own labels name, as Pulumi has them."""
    found = {label["label"]: label["value"] for label in labels or ()}
    return str(found.get(CLUSTER) or found.get(MANAGED_BY) or "")
