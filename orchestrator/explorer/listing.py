"""An execution as a listing: a column for each worker, a line for each statement, and what went wrong in a sentence.

`lay_out` decides what is said; `render` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.explorer.listing_text import render
from orchestrator.explorer.listing_words import (
    Held,
    again_of,
    answer_of,
    crash_of,
    ending_of,
    redelivered,
    statement_of,
    taken_again,
    waits_of,
)
from orchestrator.explorer.names import name_of
from orchestrator.explorer.stories import tell
from orchestrator.explorer.timeline import answered
from orchestrator.explorer.transactions import ENDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.explorer.judging import Anomaly
    from orchestrator.explorer.model import Execution, Record

__all__ = ["Line", "Listing", "lay_out", "render"]

#: More stories about one execution hide the one that counts.
_STORIES: Final = 2


class Line(NamedTuple):
    """One line: what one worker does."""

    #: The step's number, from 1; None where the line is no step of its own.
    step: int | None
    worker: int
    text: str
    #: What the statement gave, or whom it waits for.
    answer: str = ""
    #: "step", "end" (COMMIT, ROLLBACK), "blocked", "again", "error", "crash", "redelivery" or "ending".
    mark: str = "step"
    #: The other workers that have a transaction open meanwhile.
    open: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All that a listing says."""

    #: Each worker's name.
    names: tuple[str, ...]
    #: What each worker runs, to stand behind its name; empty where nobody said.
    titles: tuple[str, ...] = ()
    lines: tuple[Line, ...]
    #: What went wrong: what happened, then what the judges say of it.
    told: tuple[Anomaly, ...] = ()
    #: Statements show values that were sent apart from their text.
    filled: bool = False


def lay_out(
    execution: Execution,
    names: Sequence[str] = (),
    anomalies: Sequence[Anomaly] = (),
    story: Sequence[Anomaly] | None = None,
    titles: Sequence[str] = (),
) -> Listing:
    """Decide what a listing says; without a story it is told from the execution."""
    told = tell(execution, names) if story is None else story
    laying = _Laying(execution, names)
    return Listing(
        names=tuple(name_of(worker, names) for worker in range(execution.workers)),
        titles=tuple(titles),
        lines=tuple(laying.lines()),
        told=_once([*told[:_STORIES], *anomalies]),
        filled=laying.filled,
    )


def _once(told: Sequence[Anomaly]) -> tuple[Anomaly, ...]:
    """Leave out what is said already, of this row or another worker."""
    return tuple({(each.name, each.witness): each for each in reversed(told)}.values())[::-1]


class _Laying:
    """A listing's lines in the making."""

    def __init__(self, execution: Execution, names: Sequence[str]) -> None:
        self.filled = False
        self._execution = execution
        self._names = names
        self._held = Held()
        self._crashed: set[int] = set()
        self._last = {record.worker: record for record in answered(execution.records)}

    def lines(self) -> Iterator[Line]:
        """Give the lines in the order in which things happened."""
        later: dict[int, list[Record]] = {}
        for record in self._execution.records:
            if record.answered != record.number:
                later.setdefault(record.answered, []).append(record)
        for record in self._execution.records:
            yield from self._sent(record)
            for waiting in later.get(record.number, ()):
                yield from self._goes_on(waiting)

    def _sent(self, record: Record) -> Iterator[Line]:
        """Give the lines of a step when it is taken."""
        others = tuple(worker for worker in self._held.workers if worker != record.worker)
        again = record.worker in self._crashed
        self._crashed.discard(record.worker)
        if again and record.point.kind != "dequeue":
            yield Line(None, record.worker, redelivered().text, mark="redelivery", open=others)
        if record.choice != record.worker:
            self._crashed.add(record.worker)
            shown, answer, mark = crash_of(record), "", "crash"
        elif again and record.point.kind == "dequeue":
            shown, answer, mark = taken_again(), "", "redelivery"
        else:
            shown, (answer, mark) = statement_of(record, self._held.connection(record)), self._answer(record)
        self.filled = self.filled or shown.filled
        yield Line(record.number + 1, record.worker, shown.text, answer, mark, others)
        self._held.take(record)
        yield from self._end(record, record.number)

    def _answer(self, record: Record) -> tuple[str, str]:
        if record.blocked:
            waits = waits_of(self._held.against(record), self._names)
            at_once = record.error and record.answered == record.number
            return (f"{waits} {answer_of(record)}", "error") if at_once else (waits, "blocked")
        if record.error:
            return answer_of(record), "error"
        return answer_of(record), "end" if record.point.kind in ENDS else "step"

    def _goes_on(self, record: Record) -> Iterator[Line]:
        """Give the line of a statement that is answered after a wait."""
        self._held.answered(record)
        others = tuple(worker for worker in self._held.workers if worker != record.worker)
        mark = "error" if record.error else "again"
        yield Line(None, record.worker, again_of(record).text, answer_of(record), mark, others)
        yield from self._end(record, record.answered)

    def _end(self, record: Record, step: int) -> Iterator[Line]:
        """Give a line for an exception that came out of the body after its last step."""
        ending = self._execution.endings[record.worker] if self._execution.endings else None
        if ending and ending.error and self._last[record.worker] is record and record.answered == step:
            others = tuple(worker for worker in self._held.workers if worker != record.worker)
            yield Line(None, record.worker, ending_of(ending).text, mark="ending", open=others)
