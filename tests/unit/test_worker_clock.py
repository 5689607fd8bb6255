"""The clock's readings: at a process's start, now and then, and when it shuts down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from worker import clock, config, runtime
from worker.contract import ClockLine, Line
from worker.errors import LostConnection
from worker.link import Answer
from worker.runtime import CLOCK_EVERY_NS, Identity, ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker.link import Link

SCHEMA = "rowrace_abcd_1"


class Clocked:
    """A link to a database whose clock is 7 seconds ahead of a local one that every look moves on by a tick."""

    def __init__(self, ticks: Callable[[], int], trips: list[int] | None = None) -> None:
        self.time = 0
        self.closed = 0
        self._ticks = ticks
        #: Nanoseconds that each answer takes, there and back.
        self._trips = iter(trips or [])

    def now(self) -> int:
        """The local clock."""
        self.time += self._ticks()
        return self.time

    def execute(self, *_: object) -> Answer:
        """Read the database clock in the middle of the round trip."""
        trip = next(self._trips, 0)
        self.time += trip
        return Answer([((self.time - trip // 2 + 7_000_000_000) // 1_000,)], 1)

    def close(self) -> None:
        """Count it."""
        self.closed += 1


def process(folder: Path, link: Any, monkeypatch: pytest.MonkeyPatch) -> ProcessRuntime:  # noqa: ANN401  # a stand-in
    """A process on this link, and on its clock."""
    made = ProcessRuntime(config.Config(journal_dir=folder), Identity("n", "solo"))
    monkeypatch.setattr(made, "now", link.now)
    monkeypatch.setattr(made, "connect", lambda: link)
    return made


def readings(folder: Path, schema: str = SCHEMA) -> list[ClockLine]:
    """The clock lines of a schema's only journal."""
    (path,) = (folder / schema).iterdir()
    lines = [msgspec.json.decode(line, type=Line) for line in path.read_bytes().splitlines()]
    return [line for line in lines if isinstance(line, ClockLine)]


def test_the_quickest_of_several_round_trips_is_kept() -> None:
    """Half of it, and the database clock's own resolution, is how far off the offset may be."""
    link: Any = Clocked(lambda: 0, [90_000, 40_000, 20_000, 60_000, 80_000])
    assert ClockLine(140_000, 7_000_000_000, 11_000) == clock.measure(link, link.now)


def test_the_clock_is_read_at_the_start_and_then_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first attempt of a schema, and before those that begin a second or more after the last reading."""
    link: Any = Clocked(lambda: 0)
    made = process(tmp_path, link, monkeypatch)
    for step in (0, CLOCK_EVERY_NS - 1, 1, CLOCK_EVERY_NS // 2, CLOCK_EVERY_NS):
        link.time += step
        made.tend(link, SCHEMA)
    assert [0, CLOCK_EVERY_NS, CLOCK_EVERY_NS * 5 // 2] == [line.mono_ns for line in readings(tmp_path)]


def test_each_schema_s_journal_has_its_own_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history holds only what its own journals say."""
    link: Any = Clocked(lambda: 0)
    made = process(tmp_path, link, monkeypatch)
    for schema in (SCHEMA, "rowrace_abcd_2"):
        made.tend(link, schema)
        assert [7_000_000_000] == [line.offset_ns for line in readings(tmp_path, schema)]


def test_the_clock_is_read_once_more_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short ago the last reading was; every open journal is told, and the connection given back."""
    link: Any = Clocked(lambda: 0)
    made = process(tmp_path, link, monkeypatch)
    for schema in (SCHEMA, "rowrace_abcd_2"):
        made.tend(link, schema)
    link.time += 5
    made.finish()
    assert [[0, 5], [0, 5]] == [
        [line.mono_ns for line in readings(tmp_path, schema)] for schema in (SCHEMA, "rowrace_abcd_2")
    ]
    assert 1 == link.closed


def test_a_process_that_ran_nothing_reads_no_clock_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It doesn't even connect."""
    made = process(tmp_path, Clocked(lambda: 0), monkeypatch)
    monkeypatch.setattr(made, "connect", lambda: pytest.fail("connected"))
    made.finish()


def test_a_database_that_is_gone_disturbs_no_shutdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where the connection can't be made, nor where it breaks in the middle."""
    link: Any = Clocked(lambda: 0)
    made = process(tmp_path, link, monkeypatch)
    made.tend(link, SCHEMA)

    def lost(*_: object) -> Link:
        raise LostConnection(in_commit=False)

    monkeypatch.setattr(link, "execute", lost)
    made.finish()
    monkeypatch.setattr(made, "connect", lost)
    made.finish()
    assert 1 == link.closed
    assert 1 == len(readings(tmp_path))


def test_a_clock_that_can_t_be_read_is_left_to_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt meets the same broken connection, and records it."""
    link: Any = Clocked(lambda: 0)
    made = process(tmp_path, link, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(link, "execute", lambda *_: (_ for _ in ()).throw(LostConnection(in_commit=False)))
        made.tend(link, SCHEMA)
    link.time += CLOCK_EVERY_NS
    made.tend(link, SCHEMA)
    assert [CLOCK_EVERY_NS] == [line.mono_ns for line in readings(tmp_path)]


def test_the_process_s_own_runtime_takes_the_last_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that belongs to the process this one was forked from is left alone."""
    link: Any = Clocked(lambda: 0)
    made = process(tmp_path, link, monkeypatch)
    made.tend(link, SCHEMA)
    own = 10**9  # no system numbers its processes so high
    monkeypatch.setattr(runtime, "_runtimes", {own: made})
    runtime.finish()
    assert 1 == len(readings(tmp_path))
    monkeypatch.setattr("worker.runtime.os.getpid", lambda: own)
    runtime.finish()
    assert 2 == len(readings(tmp_path))
