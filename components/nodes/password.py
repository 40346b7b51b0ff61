"""UserPassword: the password of this stack's user on every node, as a dynamic resource; changed without a restart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pulumi

from components.access import Access, Server
from components.database import drain, health, passwords
from components.database.client import connected
from components.database.connections import find_accepted
from components.database.moves import parse_address
from components.database.session import working
from components.database.statements import get_value
from components.errors import AccessError, StackError
from components.nodes.passfile import Passfile, open_passfile
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulumi.dynamic import ReadResult

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["PasswordOfNode", "UserPassword", "UserPasswordInputs"]


@dataclass(frozen=True, kw_only=True)
class PasswordOfNode:
    """A node that has the password, and shows it to others."""

    node_name: str
    node_port: int
    passfile: Given[str]
    """As open_passfile takes it."""
    generation: Given[str]
    """Changes when its server is another one: what it shows is then looked at."""

    @property
    def address(self) -> tuple[str, int]:
        """Return how other nodes reach it."""
        return self.node_name, self.node_port


@dataclass(frozen=True, kw_only=True)
class UserPasswordInputs(Access):
    """Inputs of UserPassword."""

    mark: Given[str]
    """Changes with the password. A secret."""
    nodes: tuple[PasswordOfNode, ...]
    """The coordinator first."""


class UserPasswordProvider(SqlProvider[UserPasswordInputs]):
    """The password of the settings, on every node. Deleting it does nothing."""

    inputs = UserPasswordInputs
    compared = ("mark", "nodes")

    def announce(self, before: Props, inputs: UserPasswordInputs) -> Iterator[str]:
        """Say that the password changes."""
        if before and before.get("mark") != inputs.mark and inputs.mark:
            told = "changes on all nodes at one moment: nothing restarts, and statements wait for some hundredths of a second"
            yield f"the password of {inputs.server.user} {told}"

    def identify(self, inputs: UserPasswordInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "password"

    def read(self, id_: str, props: Props) -> ReadResult:
        """Return it as it is: the other resources try it."""
        return self.read_result(id_, props)

    def ensure(self, inputs: UserPasswordInputs, before: Props) -> Props:
        """Change the password where it is another one; end a change that was interrupted."""
        _Change(inputs, self.password).ensure()
        return {}


class _Change:
    """A change of the password, from whatever an earlier one left."""

    def __init__(self, inputs: UserPasswordInputs, password: str) -> None:
        self._inputs = inputs
        self._new = password
        self._user = inputs.server.user
        self._files: dict[tuple[str, int], Passfile] = {
            node.address: open_passfile(known(node.passfile)) for node in inputs.nodes
        }

    def ensure(self) -> None:
        """Bring every node to the new password."""
        found = {address: file.read() for address, file in self._files.items()}
        shown = {password for password, _ in found.values()}
        interrupted = any(former for _, former in found.values())
        if shown == {self._new} and not interrupted:
            return
        candidates = [self._new, *(text for pair in found.values() for text in pair if text)]
        now = self._find_accepted(self._inputs.server, candidates)
        doing, timeout = f"changing the password of {self._user}", self._inputs.ready_timeout
        heirs: list[tuple[str, int]] = []
        with working(self._inputs.server, now, doing=doing, timeout=timeout) as connection:
            is_cluster = passwords.is_cluster(connection)
            if is_cluster and (shown != {now} or interrupted):
                self._repair(connection, now, found)
            if is_cluster and now != self._new:
                heirs = [address for address in self._files if passwords.inherits_password(connection, address)]
        for address in reversed(heirs):  # workers first
            print(f"{address[0]} restarts once: its server would show the password that it was started with")  # noqa: T201
            self._files[address].restart(timeout)
        if not is_cluster:
            self._change_each(candidates)
        elif now != self._new:
            try:
                with working(self._inputs.server, now, doing=doing, timeout=timeout) as connection:
                    self._change(connection)
            except BaseException:
                self._take_back(now)
                raise
        if shown != {self._new} or now != self._new:
            print(f"the password of {self._user} is the one of the settings, on every node")  # noqa: T201
        for file in self._files.values():
            file.settle()

    def _find_accepted(self, server: Server, candidates: Sequence[str]) -> str:
        if (accepted := find_accepted(server, candidates, self._inputs.ready_timeout)) is not None:
            return accepted
        msg = (
            f"{server} refuses the password of {self._user} that the settings have, and the one that its own node shows: "
            "somebody changed it in the database. Set that one with `pulumi config set --secret password`, or change it there "
            f"with `alter role {self._user} password …`"
        )
        raise AccessError(msg)

    def _change(self, connection: Connection) -> None:
        registered = {parse_address(worker) for worker in drain.get_workers(connection)}
        _, *workers = self._files
        others = [address for address in workers if address not in registered]
        for file in self._files.values():
            file.prepare(self._user, self._new, {})
        passwords.change_on_all_nodes(connection, self._new, others, self._switch, self._inputs.ready_timeout)

    def _take_back(self, now: str) -> None:
        """Let the nodes show the former password again where the coordinator still takes it: its transaction was rolled back."""
        with suppress(StackError):  # it cannot be asked, or a container is gone: the next run looks at what is there
            if self._find_accepted(self._inputs.server, [now, self._new]) == now:
                self._show(now, {})

    def _switch(self) -> None:
        with ThreadPoolExecutor(len(self._files)) as pool:
            list(pool.map(lambda file: file.switch(), self._files.values()))

    def _repair(self, connection: Connection, now: str, found: dict[tuple[str, int], tuple[str, str]]) -> None:
        """Let the nodes show what each of them takes, end what was prepared on them, and then all the same."""
        self._show(now, {})
        refusing = passwords.get_refusing(connection)
        if refusing:
            (other, *_) = [text for pair in found.values() for text in pair if text not in ("", now)] or [self._new]
            self._show(now, {f"{name}:{port}": other for name, port in refusing})
            get_value(connection, "recover_transactions")
            if left := passwords.get_refusing(connection):
                msg = f"{', '.join(f'{name}:{port}' for name, port in left)} takes neither password of {self._user}: set it there"
                raise AccessError(msg)
            passwords.change_on_all_nodes(connection, now, [], lambda: None, self._inputs.ready_timeout)
            self._show(now, {})
        health.wait_until_healthy(connection, self._inputs.ready_timeout)

    def _show(self, password: str, others: dict[str, str]) -> None:
        for file in self._files.values():
            file.prepare(self._user, password, others)
        self._switch()

    def _change_each(self, candidates: Sequence[str]) -> None:
        """Change it on servers that are no cluster, such as those of the stand-in: each is reached from here."""
        coordinator, timeout = self._inputs.server, self._inputs.ready_timeout
        for number, (name, port) in enumerate(self._files):
            server = replace(coordinator, host=name, port=port, name=f"{name}:{port}") if number else coordinator
            now = self._find_accepted(server, candidates)
            if now != self._new:
                with connected(server, now, doing="changing the password", timeout=timeout) as connection:
                    passwords.change_on_one(connection, self._new)
        self._show(self._new, {})


class UserPassword(SqlResource, module="citus", name="UserPassword"):
    """The password of this stack's user. No property of it is the password itself."""

    def __init__(self, name: str, inputs: UserPasswordInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(UserPasswordProvider(), name, write(inputs), opts)
