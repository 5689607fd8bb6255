"""Progress: what the journal's lines add up to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from orchestrator import progress as module
from orchestrator.history.model import TABLES
from orchestrator.progress import Counts, Progress
from orchestrator.tail import Tail
from worker.contract import (
    COUNTER_BITS,
    Access,
    ClockLine,
    EndLine,
    FaultLine,
    Outcome,
    ProcessLine,
    Reason,
    StartLine,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.contract import (
        Line,
    )


class Sink:
    """Keeps rows as a history would."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def __call__(self, table: str, data: Mapping[str, list[Any]]) -> None:
        """Take columns."""
        assert TABLES[table].names == list(data)
        self.rows[table] += [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]


def _token(number: int, process: int = 7) -> int:
    return process << COUNTER_BITS | number


def _start(number: int, operation: int, attempt: int = 1) -> StartLine:
    return StartLine(_token(number), operation, attempt, 0, 1_000 * number, 4_321, 99, redelivered=False)


def _end(number: int, outcome: Outcome, reason: Reason | None = None, *, final: bool = True) -> EndLine:
    accesses = [Access("r", "users", "3", 5, 5, 8, 1_000 * number + 1, 1)]
    return EndLine(_token(number), outcome, reason, final, 1_000 * number + 500, accesses)


def _feed(progress: Progress, *lines: Line, file: str = "f") -> None:
    progress.feed(file, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def _race(*lines: Line, operations: int = 3) -> tuple[Progress, Sink]:
    sink = Sink()
    progress = Progress(operations, sink)
    _feed(progress, ProcessLine(7, "node1", "here", 123, "prefork"), *lines)
    return progress, sink


def test_what_nobody_asks_for_has_ended() -> None:
    """It counts as failed, and is never thought to be lost."""
    progress, _ = _race(_start(1, 1), _end(1, Outcome.OK))
    progress.unasked(np.array([0, 2]))
    assert (True, 2) == (progress.settled(), progress.counts().fail)
    assert not progress.unfinished().any()


def test_attempts_are_written_with_their_ends() -> None:
    """A start and its end make one row of the history, and its accesses theirs."""
    progress, sink = _race(_start(1, 0), _end(1, Outcome.OK))
    progress.finish({})
    expected = {
        "token": _token(1),
        "operation": 0,
        "process": 7,
        "slot": 0,
        "attempt": 1,
        "redelivered": False,
        "start_ns": 1_000,
        "end_ns": 1_500,
        "outcome": "ok",
        "reason": None,
        "final": True,
        "backend_pid": 4_321,
        "backend_start_us": 99,
        "backend_ended": None,
        "detail": None,
    }
    assert [expected] == sink.rows["attempts"]
    access = {"mode": "r", "relation": "users", "key": "3", "seq": 5, "version": 5, "writer": 8}
    assert [{"token": _token(1), **access, "at_ns": 1_001, "rows": 1}] == sink.rows["accesses"]


def test_counts() -> None:
    """A conflict that is retried settles nothing; ok, fail and info do."""
    progress, _ = _race(
        _start(1, 0),
        _end(1, Outcome.FAIL, Reason.VERSION, final=False),
        _start(2, 0, attempt=2),
        _end(2, Outcome.OK),
        _start(3, 1),
        _end(3, Outcome.FAIL, Reason.INSUFFICIENT),
        _start(4, 2),
        _end(4, Outcome.INFO, Reason.LOST_CONNECTION),
    )
    assert Counts(3, 1, 1, 1, 4, 1, {"node1": 4}) == progress.counts()


@pytest.mark.parametrize("ends", [("ok", "fail"), ("fail", "ok"), ("info", "ok"), ("ok", "info")])
def test_any_ok_makes_an_operation_ok(ends: tuple[str, str]) -> None:
    """Whatever else its other attempts came to, and in whatever order."""
    first, second = (Outcome(end) for end in ends)
    progress, _ = _race(_start(1, 0), _end(1, first), _start(2, 0), _end(2, second))
    assert 1 == progress.counts().ok


def test_a_refused_second_application_proves_the_first() -> None:
    """`fail: duplicate` leaves the operation ok, even where the first attempt's end was never heard of."""
    progress, _ = _race(_start(1, 0), _end(1, Outcome.FAIL, Reason.DUPLICATE))
    assert (1, 0) == (progress.counts().ok, progress.counts().fail)


def test_settled_only_when_nothing_is_under_way() -> None:
    """An attempt that is open keeps the race from being over, even of an operation that is settled."""
    progress, _ = _race(_start(1, 0), _end(1, Outcome.OK), _start(2, 0), operations=1)
    assert not progress.settled()
    _feed(progress, _end(2, Outcome.FAIL, Reason.DUPLICATE))
    assert progress.settled()


def test_unknown_outcomes_wait_for_their_backends() -> None:
    """Open and info attempts are written last, with what became of their backends."""
    progress, sink = _race(_start(1, 0), _end(1, Outcome.INFO, Reason.LOST_CONNECTION), _start(2, 1))
    assert {_token(1): (4_321, 99), _token(2): (4_321, 99)} == progress.backends()
    progress.flush()
    assert [] == sink.rows["attempts"]
    progress.finish({_token(1): True, _token(2): False})
    found = [(row["token"], row["outcome"], row["end_ns"], row["backend_ended"]) for row in sink.rows["attempts"]]
    assert [(_token(1), "info", 1_500, True), (_token(2), "info", None, False)] == found


def test_clock_readings_belong_to_the_file_s_process() -> None:
    """A clock line names no process: its file does."""
    progress, sink = _race(ClockLine(10, 20, 3))
    progress.finish({})
    assert [{"process": 7, "mono_ns": 10, "offset_ns": 20, "error_ns": 3}] == sink.rows["clocks"]
    assert [{"process": 7, "node": "node1", "host": "here", "pid": 123, "pool": "prefork"}] == sink.rows["processes"]


def test_rows_are_written_while_the_race_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has ended does not stay in memory."""
    monkeypatch.setattr(module, "_BUFFER", 2)
    progress, sink = _race(_start(1, 0), _end(1, Outcome.OK), _start(2, 1), _end(2, Outcome.OK))
    assert 2 == len(sink.rows["attempts"])
    assert 2 == progress.attempts


@pytest.mark.parametrize(
    ("chunks", "read"),
    [
        ([(0, "ab\n"), (3, "cd\n")], ["ab\n", "cd\n"]),
        ([(0, "ab\n"), (0, "ab\n")], ["ab\n"]),
        ([(0, "ab\n"), (0, "ab\ncd\n")], ["ab\n", "cd\n"]),
        ([(3, "cd\n"), (0, "ab\n")], ["ab\n"]),
    ],
    ids=["in order", "twice", "overlapping", "behind a hole"],
)
def test_tail_reads_every_byte_once(chunks: list[tuple[int, str]], read: list[str]) -> None:
    """Chunks that were shipped twice, or that overlap, are read once; one behind a hole waits."""
    tail = Tail("rowrace_abcd_1")
    found = [tail._next("f", position, text.encode()).decode() for position, text in chunks]
    assert read == [each for each in found if each]


@pytest.mark.parametrize("operation", [-1, 3, 1 << 60])
def test_an_operation_that_nobody_planned_settles_none(operation: int) -> None:
    """Its attempt is written down, for the verifier to say so."""
    progress, sink = _race(_start(1, operation), _end(1, Outcome.OK))
    progress.finish({})
    assert (0, [operation]) == (progress.counts().settled, [row["operation"] for row in sink.rows["attempts"]])


def test_a_torn_line_takes_no_other_with_it() -> None:
    """A disk was full: what can be read counts, what can't is counted."""
    progress, _ = _race(_start(1, 0))
    progress.feed("f", b'["end",123\n\n\xff\n')
    _feed(progress, _end(1, Outcome.OK), ClockLine(1, 2, 3), file="torn at its first line")
    assert (1, 2) == (progress.counts().ok, progress.torn)


def test_half_a_line_that_a_failpoint_left_is_no_loss() -> None:
    """The whole line follows it; any further torn line in the file is one that nobody meant."""
    strike = FaultLine("while-logging:delay", _token(1), 5, "operation 1, process 123")
    progress, _ = _race(_start(1, 1), strike)
    progress.feed("f", b'["end",123\n')
    _feed(progress, _end(1, Outcome.OK))
    assert (1, 0) == (progress.counts().ok, progress.torn)
    progress.feed("f", b'["end",124\n')
    progress.feed("another", b'["end",125\n')
    assert 2 == progress.torn


def test_failpoints_say_whom_they_struck() -> None:
    """By point and action, operation by operation; one that nobody planned strikes nobody."""
    lines = (FaultLine("after-read:kill", _token(1), 5, f"operation {number}, process 123") for number in (1, 7))
    progress, _ = _race(*lines)
    assert {"after-read:kill": [False, True, False]} == {name: each.tolist() for name, each in progress.struck.items()}


@pytest.mark.parametrize(
    ("ends", "unfinished"),
    [
        ([], True),
        ([(Outcome.INFO, Reason.LOST_CONNECTION)], True),
        ([(Outcome.FAIL, Reason.ERROR)], True),
        ([(Outcome.FAIL, Reason.INSUFFICIENT)], False),
        ([(Outcome.OK, None)], False),
        ([(Outcome.INFO, Reason.LOST_CONNECTION), (Outcome.FAIL, Reason.INSUFFICIENT)], False),
        ([(Outcome.INFO, Reason.LOST_CONNECTION), (Outcome.FAIL, Reason.ERROR)], True),
        ([(Outcome.INFO, Reason.LOST_CONNECTION), (Outcome.FAIL, Reason.DUPLICATE)], False),
        ([(Outcome.OK, None), (Outcome.INFO, Reason.LOST_CONNECTION)], False),
    ],
)
def test_what_may_be_published_again(ends: list[tuple[Outcome, Reason | None]], *, unfinished: bool) -> None:
    """The last end decides, unless it was done; what a rule refuses would be refused in every further round."""
    lines = [line for number, end in enumerate(ends) for line in (_start(number, 0), _end(number, *end))]
    progress, _ = _race(*lines, operations=1)
    assert [unfinished] == progress.unfinished().tolist()
