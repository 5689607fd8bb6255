"""Progress: reads a group's journal lines, writes attempts down as they end, and counts what is settled.

Memory is bounded by one byte an operation, the attempts that are open or of unknown outcome, and one buffer of rows.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import astuple

from orchestrator.history.model import TABLES
from worker.contract import (
    CONFLICTS,
    COUNTER_BITS,
    ClockLine,
    EndLine,
    FaultLine,
    Line,
    Outcome,
    ProcessLine,
    Reason,
    StartLine,
    Where,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    #: Takes rows of one of the history's tables, column by column.
    Sink = Callable[[str, Mapping[str, list[Any]]], None]

#: Attempts kept before they are written down.
_BUFFER: Final = 4_000

#: Why an attempt failed that would have done its work had nothing been broken.
_HURT: Final = frozenset({Reason.LOST_CONNECTION, Reason.ERROR})

#: Where a failpoint's line names the operation that it strikes.
_STRUCK: Final = re.compile(r"operation ([0-9]+)")

#: An operation's states, weakest first: a stronger one replaces a weaker one.
UNSETTLED, FAILED, UNKNOWN, DONE = range(4)


class Counts(NamedTuple):
    """What a live view shows."""

    settled: int
    ok: int
    fail: int
    info: int
    attempts: int
    conflicts: int
    #: Ended attempts per node.
    nodes: dict[str, int]


class Progress:
    """What is known of one group's operations and attempts so far."""

    def __init__(self, operations: int, sink: Sink) -> None:
        #: Per operation, its state.
        self.states: NDArray[np.uint8] = np.zeros(operations, dtype=np.uint8)
        #: Per operation: its last end is unknown, or a failure for want of a service or by an error, not by a rule.
        self.hurt: NDArray[np.bool_] = np.zeros(operations, dtype=np.bool_)
        #: Started and not ended.
        self.open: dict[int, StartLine] = {}
        #: Ended with unknown outcome: held until settled.
        self.unknown: dict[int, tuple[StartLine, EndLine]] = {}
        self.nodes: dict[int, str] = {}
        self.attempts = 0
        self.conflicts = 0
        #: Lines that nobody can read: a node's disk was full, or something else wrote into the journal.
        self.torn = 0
        #: By failpoint ("where:action") that struck: per operation, whether it was struck.
        self.struck: dict[str, NDArray[np.bool_]] = {}
        #: Starts and ends heard of.
        self.lines = 0
        self._sink = sink
        self._decoder = msgspec.json.Decoder(Line)
        self._file_process: dict[str, int] = {}
        self._per_process: Counter[int] = Counter()
        self._attempts = _Rows("attempts")
        self._accesses = _Rows("accesses")
        self._processes = _Rows("processes")
        self._clocks = _Rows("clocks")
        self._faults = _Rows("faults")
        #: Per file, half lines that failpoints were about to leave: what they stand for follows whole.
        self._halves: Counter[str] = Counter()
        #: Per process, its last known offset to the database's clock, nanoseconds.
        self._offsets: dict[int, int] = {}

    def feed(self, file: str, lines: bytes) -> None:
        """Take whole journal lines of one file, in their order."""
        for line in self._decoded(file, lines):
            if isinstance(line, StartLine):
                self.lines += 1
                self.open[line.token] = line
            elif isinstance(line, EndLine):
                self._end(line)
            elif isinstance(line, ProcessLine):
                self._process(file, line)
            elif isinstance(line, ClockLine) and file in self._file_process:
                self._clocks.add((self._file_process[file], line.mono_ns, line.offset_ns, line.error_ns))
                self._offsets[self._file_process[file]] = line.offset_ns
            elif isinstance(line, FaultLine):
                self._fault(file, line)
        if len(self._attempts.rows) >= _BUFFER:
            self.flush()

    def _decoded(self, file: str, lines: bytes) -> Iterator[Line]:
        """Decode line by line, so that what stands before a torn one counts."""
        for text in lines.splitlines():
            try:
                yield self._decoder.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                if text and self._halves[file]:
                    self._halves[file] -= 1
                else:
                    self.torn += bool(text)

    def counts(self) -> Counts:
        """Count for the live view."""
        tally = np.bincount(self.states, minlength=4)
        nodes: Counter[str] = Counter()
        for process, ended in self._per_process.items():
            nodes[self.nodes.get(process, "?")] += ended
        settled = len(self.states) - int(tally[UNSETTLED])
        ok, fail, info = int(tally[DONE]), int(tally[FAILED]), int(tally[UNKNOWN])
        return Counts(settled, ok, fail, info, self.attempts, self.conflicts, dict(sorted(nodes.items())))

    def unasked(self, operations: NDArray[np.int64]) -> None:
        """Count operations as failed that nobody will run: what asked for them was rolled back and never published."""
        self.states[operations] = FAILED

    def ended(self) -> int:
        """Count operations that have ended, one way or another."""
        return int(np.count_nonzero(self.states))

    def settled(self) -> bool:
        """Say whether every operation has ended, one way or another, and no attempt is under way."""
        return not self.open and bool(self.states.all())

    def unfinished(self) -> NDArray[np.bool_]:
        """Per operation: it has not ended, or its last end is unknown, or a failure for want of a service.

        What a rule refused after an unknown end needs no other try: whether the first took effect shows by itself.
        """
        open_: NDArray[np.bool_] = (self.states == UNSETTLED) | ((self.states != DONE) & self.hurt)
        return open_

    def backends(self) -> dict[int, tuple[int, int]]:
        """Name the backend (pid, start) of every attempt whose outcome is unknown, open ones included."""
        starts = {**self.open, **{token: start for token, (start, _) in self.unknown.items()}}
        return {token: (start.backend_pid, start.backend_start_us) for token, start in starts.items()}

    def finish(self, ended: Mapping[int, bool]) -> None:
        """Write the attempts of unknown outcome down, with whether their backends have ended."""
        for token, (start, end) in self.unknown.items():
            self._attempt(start, end, ended=ended.get(token))
        for token, start in self.open.items():
            self._attempt(start, None, ended=ended.get(token))
        self.flush()

    def flush(self) -> None:
        """Hand the buffered rows to the history."""
        for rows in (self._attempts, self._accesses, self._processes, self._clocks, self._faults):
            rows.flush(self._sink)

    def _process(self, file: str, line: ProcessLine) -> None:
        self._file_process[file] = line.process
        if line.process not in self.nodes:
            self.nodes[line.process] = line.node
            self._processes.add((line.process, line.node, line.host, line.pid, line.pool))

    def _end(self, line: EndLine) -> None:
        self.lines += 1
        start = self.open.pop(line.token, None)
        if start is None:
            return  # shipped twice: the first one counted
        self.attempts += 1
        self.conflicts += line.reason in CONFLICTS
        self._per_process[line.token >> COUNTER_BITS] += 1
        if line.final or line.outcome is Outcome.INFO:
            self._settle(start.operation, line)
        if line.outcome is Outcome.INFO:
            self.unknown[line.token] = (start, line)
        else:
            self._attempt(start, line, ended=None)

    def _settle(self, operation: int, line: EndLine) -> None:
        if not 0 <= operation < len(self.states):
            return  # nobody planned it; the verifier will say so
        if line.outcome is Outcome.OK or line.reason is Reason.DUPLICATE:
            state = DONE  # a guard that refuses a second application proves the first
        else:
            state = UNKNOWN if line.outcome is Outcome.INFO else FAILED
        self.states[operation] = max(state, int(self.states[operation]))
        self.hurt[operation] = state == UNKNOWN or (state == FAILED and line.reason in _HURT)

    def _fault(self, file: str, line: FaultLine) -> None:
        """Note a failpoint that struck; its process measured its clock before its first attempt."""
        self._halves[file] += line.name.startswith(f"{Where.WHILE_LOGGING}:")
        struck = self.struck.setdefault(line.name, np.zeros(len(self.states), dtype=np.bool_))
        if (found := _STRUCK.search(line.detail)) and int(found[1]) < len(struck):
            struck[int(found[1])] = True
        at = line.mono_ns + self._offsets.get(line.token >> COUNTER_BITS, 0)
        self._faults.add((line.name, at // 1000, at // 1000, line.detail))

    def _attempt(self, start: StartLine, end: EndLine | None, *, ended: bool | None) -> None:
        self._attempts.add(attempt_row(start, end, ended=ended))
        for each in end.accesses if end else ():
            self._accesses.add((start.token, *astuple(each)))


class _Rows:
    """Rows of one table, until they are written as columns."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._columns = TABLES[table].names
        self.rows: list[tuple[Any, ...]] = []

    def add(self, row: tuple[Any, ...]) -> None:
        self.rows.append(row)

    def flush(self, sink: Sink) -> None:
        if self.rows:
            sink(self._table, dict(zip(self._columns, map(list, zip(*self.rows, strict=True)), strict=True)))
            self.rows = []


def attempt_row(start: StartLine, end: EndLine | None, *, ended: bool | None) -> tuple[Any, ...]:
    """Give an attempt's row of the history; `ended` says whether its backend has, None where that does not matter."""
    return (
        start.token,
        start.operation,
        start.token >> COUNTER_BITS,
        start.slot,
        start.attempt,
        start.redelivered,
        start.mono_ns,
        end.mono_ns if end else None,
        (end.outcome if end else Outcome.INFO).value,
        end.reason.value if end and end.reason else None,
        bool(end and end.final),
        start.backend_pid,
        start.backend_start_us,
        ended,
        end.detail if end else None,
    )
