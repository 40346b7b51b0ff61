"""What the dynamic resources share: the password, how states are compared, and a locked session for those that speak SQL.

Providers are pickled by reference and shared by threads: they keep nothing but what `configure` gave them. Renaming
this module or a provider's class breaks the stacks that are already up.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import pulumi
from pulumi.dynamic import (
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from components.output import print_anything

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.postgres import Connection

__all__ = ["ComparingProvider", "ServerArgs", "SqlProvider", "SqlResource"]

READ_TIMEOUT = 5
"""Seconds that a refresh waits for the coordinator before it leaves a resource as it was last seen."""


class ServerArgs(TypedDict):
    """Where the coordinator is reached from the machine that runs the program."""

    name: pulumi.Input[str]
    host: pulumi.Input[str]
    port: pulumi.Input[int]
    database: pulumi.Input[str]
    user: pulumi.Input[str]
    log: pulumi.Input[str]
    """Where its log is, as logs.py takes it."""


class SqlResource(Resource):
    """A dynamic resource of this project, with its inputs as properties."""


class ComparingProvider(ResourceProvider):
    """Base of the providers. A subclass names the properties whose change means work, and does the work."""

    serialize_as_secret_always = False
    compared: ClassVar[tuple[str, ...]] = ()
    """Properties whose difference between state and program makes an update."""
    replacing: ClassVar[tuple[str, ...]] = ()
    """Those of them that make another resource of it."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Properties that the provider adds to the inputs."""

    def configure(self, req: ConfigureRequest) -> None:
        """Take the password from the stack's settings, so that it is no property of any resource."""
        print_anything("utf-8")  # Pulumi reads it, whatever this process takes for the terminal's encoding
        self.password: str = req.config.require("citus:password")
        self._config = req.config

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare the named properties; one that is not known yet counts as changed, and never replaces."""
        changed = [name for name in self.compared if _olds.get(name) != _news.get(name)]
        known = [name for name in changed if not isinstance(_news.get(name), pulumi.output.Unknown)]
        replaces = [name for name in known if name in self.replacing]
        return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make what is declared, or take it over where it is there already."""
        return CreateResult(self.identify(props), {**props, **self.ensure(props, {})})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Bring it to what is declared."""
        return UpdateResult({**_news, **self.ensure(_news, _olds)})

    def identify(self, props: dict[str, Any]) -> str:
        """Return the id of the resource with these inputs."""
        raise NotImplementedError

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Bring it to its inputs and return what the provider adds to them; `olds` is empty where it is new."""
        raise NotImplementedError

    def seen(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return what a refresh found, as inputs too: `check` then compares the program with what is really there."""
        inputs = {name: value for name, value in props.items() if name not in (*self.outputs, "__provider")}
        return ReadResult(id_, props, inputs)


class SqlProvider(ComparingProvider):
    """Base of the providers that speak to the coordinator."""

    @contextmanager
    def connection(self, props: dict[str, Any], doing: str) -> Iterator[Connection]:
        """Yield a connection to the coordinator, waiting for it at most `ready_timeout` seconds.

        Raises:
            StackError: whatever the database refuses, told as what was being done.
        """
        # Imported here: a run that changes nothing compares states and needs no driver.
        from components import postgres  # noqa: PLC0415

        server = postgres.Server.of(props["server"])
        timeout = int(props["ready_timeout"])
        with postgres.reworded(doing, server), postgres.connected(server, self.password, timeout=timeout) as connection:
            yield connection

    def as_set(self, props: dict[str, Any]) -> dict[str, Any]:
        """Return the properties of a resource that is deleted, with the coordinator where the settings have it now.

        The state tells where it was when the resource was last updated; an update of the same run may have moved it.
        """
        # pydantic takes a while, and few runs delete anything
        from pydantic.alias_generators import to_camel  # noqa: PLC0415

        from components.nodes import reached_at  # noqa: PLC0415
        from components.settings import Settings  # noqa: PLC0415

        def setting(name: str) -> str:
            alias = to_camel(name)
            return self._config.get(f"citus:{alias}") or str(Settings.model_fields[name].default)

        server = {**props["server"], "database": setting("database"), "user": setting("user")}
        server |= {"host": reached_at(setting("bind_address")), "port": int(setting("port"))}
        return {**props, "server": server}

    @contextmanager
    def session(
        self, props: dict[str, Any], doing: str, *, on_all_nodes: bool = False, node: tuple[str, int] | None = None
    ) -> Iterator[Connection]:
        """Yield a connection that holds the cluster's lock; for work `on_all_nodes`, once each of them answers.

        `node` is one that the work is about, and that may not be registered. Work has no deadline as long as nodes answer and
        nobody's lock is in its way.
        """
        from components import catalog, watch  # noqa: PLC0415
        from components.postgres import Server  # noqa: PLC0415

        server, timeout = Server.of(props["server"]), int(props["ready_timeout"])
        with (
            self.connection(props, doing) as connection,
            catalog.exclusive(connection, doing=doing, timeout=timeout) as within,
        ):
            if on_all_nodes:
                catalog.wait_until_nodes_answer(connection, within)
            with watch.watched(connection, server, self.password, doing=doing, timeout=timeout, also=node):
                if on_all_nodes:
                    with catalog.silent_nodes_named(connection, doing):
                        yield connection
                else:
                    yield connection

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Compare with the live cluster; a coordinator that does not answer leaves the resource as it was last seen."""
        from components import postgres  # noqa: PLC0415
        from components.errors import NotReadyError  # noqa: PLC0415

        server = postgres.Server.of(props["server"])
        try:
            with (
                postgres.reworded(f"reading {id_}", server),
                postgres.connected(server, self.password, timeout=READ_TIMEOUT) as connection,
            ):
                found = self.find(connection, id_, props)
        except NotReadyError as error:
            print(f"{id_} is left as it was last seen: {error}")  # noqa: T201
            return self.unreachable(id_, props)
        if found is None:
            return ReadResult("", {})
        return self.seen(id_, {**props, **found})

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return the properties as they are in the cluster now, or None where the resource is gone."""
        raise NotImplementedError

    def unreachable(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Say what a refresh records where the coordinator does not answer."""
        return ReadResult(id_, dict(props))
