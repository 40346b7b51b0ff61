"""Ends a wait for a node that has stopped answering. Citus itself would wait for ever, and cannot be cancelled there."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from components import catalog
from components.errors import NotReadyError, StackError
from components.postgres import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.postgres import Connection, Server

__all__ = ["watched"]


@contextmanager
def watched(connection: Connection, server: Server, password: str, *, doing: str, timeout: float) -> Iterator[None]:
    """Give up what is done inside once a node has not answered the coordinator for `timeout` seconds.

    Looks from a connection of its own, every few seconds: what ends sooner costs nothing. The coordinator's process
    goes on waiting, and undoes its work when the node answers again or has been stopped; it holds the cluster's lock
    until then, so that no other run works on half a state.

    Raises:
        NotReadyError: a node was silent for too long; names it.
    """
    done = threading.Event()
    silent: list[str] = []

    def watch() -> None:
        answered = time.monotonic()
        while not done.wait(catalog.PROBE_SECONDS):
            try:
                with connected(server, password, timeout=catalog.PROBE_SECONDS) as own:
                    found = catalog.get_silent_nodes(own, catalog.PROBE_SECONDS)
            except StackError as error:
                found = [str(error)]
            if not found:
                answered = time.monotonic()
            elif time.monotonic() - answered > timeout and not done.is_set():
                silent.extend(found)
                with socket.socket(fileno=os.dup(connection.fileno())) as ours:
                    ours.shutdown(socket.SHUT_RDWR)
                return

    process = connection.info.backend_pid
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except psycopg.OperationalError as error:
        if not silent:
            raise
        msg = (
            f"{doing}: gave up, for nodes have not answered for {timeout:.0f} s: {', '.join(silent)}; the coordinator's "
            f"process {process} undoes its work as soon as they answer or are restarted: see to them, then run up again"
        )
        raise NotReadyError(msg) from error
    finally:
        done.set()
        watcher.join()
