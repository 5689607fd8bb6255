"""What each line of a listing says: statements, answers, waits, crashes, ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orchestrator.explorer.model import NOTHING, meet, union
from orchestrator.explorer.names import listed, name_of
from orchestrator.explorer.statement_text import Piece, Shown, compact, printable, value_text, verb
from orchestrator.explorer.transactions import ENDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Ending, Footprint, Record

#: Points that are no statements, in words.
_POINTS: Final = {
    "start": "begins",
    "dequeue": "takes its message",
    "acknowledge": "acknowledges its message",
    "retry": "asks for a retry",
    "pause": "pauses",
}
_BEFORE: Final = {
    "dequeue": "it takes its message",
    "acknowledge": "it acknowledges its message",
    "retry": "it asks for a retry",
}
#: Rows that are worth a listing's width.
_ROWS: Final = 3
#: An error's longest form.
_ERROR: Final = 60


class Held:
    """What the workers' open transactions hold while a listing is laid out."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], Footprint] = {}

    def take(self, record: Record) -> None:
        """Count a step as done, or as sent where it waits."""
        point, session = record.point, (record.worker, record.point.session)
        if record.choice != record.worker:
            for each in [key for key in self._open if key[0] == record.worker]:
                del self._open[each]
        elif point.kind in ENDS:
            self._open.pop(session, None)
        elif point.kind == "statement" and not point.alone:
            self._open[session] = union(
                self._open.get(session, NOTHING), NOTHING if record.blocked else point.footprint
            )

    def answered(self, record: Record) -> None:
        """Count what a statement that waited has got."""
        session = (record.worker, record.point.session)
        if session in self._open and not record.error:
            self._open[session] = union(self._open[session], record.point.footprint)

    @property
    def workers(self) -> tuple[int, ...]:
        """Those with an open transaction."""
        return tuple(sorted({worker for worker, _ in self._open}))

    def connection(self, record: Record) -> int:
        """Number a step's connection where its worker has another transaction open, else 0."""
        session = record.point.session
        return session + 1 if any(key[0] == record.worker and key[1] != session for key in self._open) else 0

    def against(self, record: Record) -> tuple[int, ...]:
        """Name those that hold what a statement waits for; where no row says it, those that have written at all."""
        wanted = record.point.footprint
        others = {key[0]: held for key, held in self._open.items() if key[0] != record.worker}
        crossing = [
            worker
            for worker, held in others.items()
            if meet(wanted.locks, held.locks | held.shares) or meet(wanted.shares, held.locks)
        ]
        return tuple(crossing or [worker for worker, held in others.items() if held.writes])


def statement_of(record: Record, connection: int = 0) -> Shown:
    """Give what a step does, for reading; with the number of its connection where the worker has several at work."""
    point = record.point
    if point.kind != "statement":
        shown = _plain(point.kind.upper() if point.kind in ENDS else _POINTS.get(point.kind, point.kind))
    else:
        shown = compact(point.statement, point.parameters)
    return Shown((Piece("symbol", f"[{connection}] "), *shown.pieces), shown.filled) if connection else shown


def crash_of(record: Record) -> Shown:
    """Say where a worker crashes."""
    if record.point.kind in _BEFORE:
        return _plain(f"CRASHES before {_BEFORE[record.point.kind]}")
    return _plain(f"CRASHES before {statement_of(record).text}")


def again_of(record: Record) -> Shown:
    """Name a statement that goes on after a wait."""
    return _plain(f"… {verb(statement_of(record)) or record.point.kind.upper()} goes on")


def redelivered() -> Shown:
    """Say that a crashed worker's message comes again."""
    return _plain("(its message comes again)")


def taken_again() -> Shown:
    """Say that a worker takes the message that it had crashed with."""
    return _plain("takes its message again")


def ending_of(ending: Ending) -> Shown:
    """Say what came out of a body."""
    return _plain(f"ends with {_error(f'{type(ending.error).__name__}: {ending.error}')}")


def waits_of(workers: Sequence[int], names: Sequence[str]) -> str:
    """Say whom a statement waits for."""
    return f"waits for {listed([name_of(worker, names) for worker in workers])}" if workers else "waits"


def answer_of(record: Record) -> str:
    """Say what a statement gave."""
    if record.error:
        return f"-> {_error(record.error)}"
    if record.rows is not None:
        return f"-> {_rows(record.rows, record.count)}"
    if record.count < 0 or record.point.kind in ENDS:
        return ""
    committed = ", committed" if record.point.alone and record.point.footprint.writes else ""
    return f"-> {record.count} row{'' if record.count == 1 else 's'}{committed}"


def _rows(rows: Sequence[tuple[Any, ...]], count: int) -> str:
    if not rows:
        return "no rows" if count <= 0 else f"{count} row{'' if count == 1 else 's'}"
    more = max(count, len(rows)) - min(len(rows), _ROWS)
    return ", ".join(map(_row, rows[:_ROWS])) + (f" and {more} more" if more else "")


def _row(row: tuple[Any, ...]) -> str:
    text = ", ".join(map(value_text, row))
    return text if len(row) == 1 else f"({text})"


def _plain(text: str) -> Shown:
    return Shown((Piece("symbol", printable(text)),))


def _error(text: str) -> str:
    """Give an error's class and its message's first line, unless that says the same ("DeadlockDetected")."""
    line = printable(" ".join(text.split("\n", 1)[0].split()))
    name, _, message = line.partition(": ")
    if message.replace(" ", "").lower() in {"", name.lower()}:
        return name.rstrip(":")
    return line if len(line) <= _ERROR else f"{line[: _ERROR - 1]}…"
