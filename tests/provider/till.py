"""A till: writers that insert, update and delete rows all the time, and know the fate of each of them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Till", "selling"]

REFUSED: Final = "could not find valid entry for shard"
"""What Citus says of a statement that it planned just when a split replaced the shard: nothing of it was done."""
PAUSE: Final = 0.002
"""Seconds between two statements of a writer: the machine is to have some time for the move, too."""


@dataclass
class Till:
    """What the writers have done. Their table has the columns tenant, id and count, and may have others."""

    table: str
    tenants: Sequence[Any]
    rows: dict[tuple[Any, int], int] = field(default_factory=dict)
    """The count of each row that must be there, by tenant and id."""
    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("insert", "update", "delete"), 0))
    longest: float = 0.0
    """Seconds that the slowest statement took, with its repetitions."""
    refused: int = 0
    """Statements that Citus refused, each repeated until it was done."""
    errors: list[str] = field(default_factory=list)
    """Whatever else went wrong."""

    def assert_whole(self, connection: psycopg.Connection[Any]) -> None:
        """No writer failed, and the table has exactly the rows that it must have: none lost, doubled or stale."""
        assert not self.errors, self.errors
        assert all(self.done.values()), self.done
        found = connection.execute(f"select tenant, id, count from {self.table}".encode()).fetchall()
        expected = [(tenant, id_, count) for (tenant, id_), count in self.rows.items()]
        missing, foreign = set(expected) - set(found), set(found) - set(expected)
        assert not missing, f"{len(missing)} rows lost or stale, as {sorted(missing)[:3]}, {sorted(foreign)[:3]}"
        assert not foreign, f"{len(foreign)} rows too many, as {sorted(foreign)[:3]}"
        assert len(found) == len(expected), "rows are doubled"

    def _write(
        self, connect: Callable[[], psycopg.Connection[Any]], number: int, writers: int, ended: threading.Event
    ) -> None:
        chance = random.Random(number)
        own = [key for key in self.rows if key[1] % writers == number]
        fresh = max((id_ for _, id_ in self.rows), default=0) // writers * writers + writers + number
        with connect() as connection:
            while not ended.is_set():
                action = chance.choice(("insert", "update", "update", "delete"))
                position = chance.randrange(len(own))
                key = (chance.choice(self.tenants), fresh) if action == "insert" else own[position]
                self._carry_out(connection, action, key)
                if action == "insert":
                    fresh += writers
                    own.append(key)
                    self.rows[key] = 0
                elif action == "update":
                    self.rows[key] += 1
                elif len(own) > 1:
                    own[position] = own[-1]
                    own.pop()
                    del self.rows[key]
                self.done[action] += 1
                ended.wait(PAUSE)

    def _carry_out(self, connection: psycopg.Connection[Any], action: str, key: tuple[Any, int]) -> None:
        text = {
            "insert": f"insert into {self.table} (tenant, id, count) values (%s, %s, 0)",
            "update": f"update {self.table} set count = count + 1 where tenant = %s and id = %s",
            "delete": f"delete from {self.table} where tenant = %s and id = %s",
        }[action]
        began = time.perf_counter()
        while True:
            try:
                done = connection.execute(text.encode(), key).rowcount
                break
            except psycopg.Error as error:
                if REFUSED not in str(error):
                    raise
                self.refused += 1
        self.longest = max(self.longest, time.perf_counter() - began)
        if done != 1:
            msg = f"{action} of {key} met {done} rows"
            raise AssertionError(msg)


@contextmanager
def selling(
    connect: Callable[[], psycopg.Connection[Any]], table: str, tenants: Sequence[Any], *, writers: int = 4
) -> Iterator[Till]:
    """Write to the table until the block ends; what it holds at the beginning is taken note of."""
    till = Till(table, tenants)
    with connect() as connection:
        for tenant, id_, count in connection.execute(f"select tenant, id, count from {table}".encode()):
            till.rows[tenant, id_] = count
    ended = threading.Event()

    def write(number: int) -> None:
        try:
            till._write(connect, number, writers, ended)
        except (psycopg.Error, AssertionError) as error:
            till.errors.append(f"writer {number}: {error}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield till
    finally:
        ended.set()
        for thread in threads:
            thread.join()
