"""What the providers that speak SQL share: a session that holds the cluster's lock."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pulumi.dynamic import ReadResult, Resource

from components.access import Access
from components.database.client import connected
from components.database.session import working
from components.errors import AccessError, NotReadyError
from components.reports import NotRefreshed, report
from components.resources.provider import DeclarativeProvider
from components.resources.wire import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["SqlProvider", "SqlResource"]

READ_TIMEOUT = 5
"""Seconds that a refresh waits for the coordinator before it leaves a resource as it was last seen."""
A = TypeVar("A", bound=Access)


class SqlResource(Resource):
    """A dynamic resource of this project, with its inputs as properties."""


class SqlProvider(DeclarativeProvider[A]):
    """Base of the providers that speak to the coordinator."""

    asks_nodes: ClassVar[bool] = False
    """Whether a refresh asks the nodes, too: where one does not answer, the resource is left as it was last seen."""

    def find(self, connection: Connection, inputs: A, state: Props) -> Props | None:
        """Return the properties as they are in the cluster now, or None where the resource is gone."""
        raise NotImplementedError

    def read(self, id_: str, props: Props) -> ReadResult:
        """Compare with the live cluster; a coordinator that does not answer leaves the resource as it was last seen."""
        inputs = self.read_inputs(props)
        try:
            with self.connection(replace(inputs, ready_timeout=READ_TIMEOUT), f"reading {id_}") as connection:
                found = self._find(connection, inputs, props)
        except NotReadyError as error:
            if error.nodes and not self.asks_nodes:  # the coordinator answers
                raise
            silent = ", ".join(error.nodes) or ("a node" if self.asks_nodes else "the coordinator")
            print(f"{id_}: not refreshed, {silent} is unreachable: {error}")  # noqa: T201
            report(NotRefreshed(id_, error.message))
            return self.unreachable(id_, props)
        if found is None:
            return ReadResult("", {})
        return self.read_result(id_, {**props, **found})

    def _find(self, connection: Connection, inputs: A, props: Props) -> Props | None:
        try:
            return self.find(connection, inputs, props)
        except AccessError as refusal:
            if not self.asks_nodes:
                raise
            raise NotReadyError(str(refusal)) from refusal  # a node's: the coordinator has let us in

    def unreachable(self, id_: str, props: Props) -> ReadResult:
        """Say what a refresh records where the coordinator does not answer."""
        return ReadResult(id_, dict(props))

    @contextmanager
    def connection(self, access: Access, doing: str) -> Iterator[Connection]:
        """Yield a connection to the coordinator, waiting for it at most `ready_timeout` seconds.

        Raises:
            StackError: whatever the database refuses, told as what was being done.
        """
        with connected(access.server, self.password, doing=doing, timeout=access.ready_timeout) as connection:
            yield connection

    def as_set(self, props: Props) -> Access:
        """Return how the coordinator of a resource that is deleted is reached by the settings of now.

        The state tells where it was when the resource was last updated; an update of the same run may have moved it.
        """
        # pydantic takes a tenth of a second, and few runs delete anything
        from pydantic.alias_generators import to_camel  # noqa: PLC0415

        from components.settings import Settings, find_address  # noqa: PLC0415

        def setting(name: str) -> str:
            alias = to_camel(name)
            return self._config.get(f"citus:{alias}") or str(Settings.model_fields[name].default)

        def mapping(name: str) -> dict[str, Any]:
            return dict(json.loads(self._config.get(f"citus:{to_camel(name)}") or "{}"))

        access = read(Access, props)
        server = replace(
            access.server,
            host=find_address(mapping("hosts"), mapping("host_of"), setting("bind_address")),
            port=int(setting("port")),
            database=setting("database"),
            user=setting("user"),
        )
        return replace(access, server=server)

    @contextmanager
    def session(
        self, access: Access, doing: str, *, on_all_nodes: bool = False, node: tuple[str, int] | None = None
    ) -> Iterator[Connection]:
        """Yield a connection that holds the cluster's lock; for work `on_all_nodes`, once each of them answers.

        `node` is one that the work is about, and that may not be registered. Work has no deadline as long as nodes answer and
        nobody's lock is in its way.
        """
        server, timeout = access.server, access.ready_timeout
        with working(
            server, self.password, doing=doing, timeout=timeout, on_all_nodes=on_all_nodes, also=node
        ) as connection:
            if access.unsafe_triggers:
                connection.execute("set citus.enable_unsafe_triggers = on")
            yield connection
