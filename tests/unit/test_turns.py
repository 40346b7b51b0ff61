"""Steps of one process take turns."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.database import turns
from components.database.turns import turn
from components.errors import NotReadyError


def test_steps_work_one_at_a_time() -> None:
    """Whoever has the turn works alone; steps of another cluster do not wait for it."""
    working: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with turn("a", doing=f"step {number}"):
            working.append(number)
            most.append(len(working))
            working.remove(number)

    with ThreadPoolExecutor(8) as pool, turn("b", doing="another cluster's"):
        list(pool.map(work, range(50)))

    assert most == [1] * 50


def test_only_those_who_waited_learn_that_a_step_gave_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step that waited while another gave up need not wait as long again; one that comes later knows nothing of it."""
    monkeypatch.setattr(turns, "FIRST_REPORT", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def give_up() -> None:
        with turn("c", doing="first"):
            begun.set()
            go_on.wait()
            raise NotReadyError("silent")

    def learn() -> bool:
        with turn("c", doing="second") as in_vain:
            return in_vain

    with ThreadPoolExecutor() as pool:
        first = pool.submit(give_up)
        begun.wait()
        second = pool.submit(learn)
        while "second: waiting for another step of this run: first (" not in capsys.readouterr().out:
            assert not second.done()
        go_on.set()
        with pytest.raises(NotReadyError):
            first.result()
        assert second.result()
    assert not learn()


def test_turn_is_free_after_any_error() -> None:
    """A step that fails, however it does, leaves the turn to the next."""
    with pytest.raises(ZeroDivisionError), turn("d", doing="fails"):
        _ = 1 / 0
    with turn("d", doing="next") as in_vain:
        assert not in_vain
