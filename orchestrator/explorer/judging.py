"""What is wrong with a schedule that was run: judges are functions from an execution to the anomalies in it."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.explorer.names import name_of
from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Step
    from orchestrator.explorer.search import Arena


class JudgeError(ExplorerError):
    """A judge could not judge: the schedule is neither right nor wrong as far as anybody knows."""


class Anomaly(NamedTuple):
    """Something that went wrong; those of one name and one witness are the same thing in another schedule."""

    name: str
    #: One sentence about this schedule.
    sentence: str
    #: What it went wrong with, as far as that is the same in every schedule: a row, a check.
    witness: str = ""


class Outcome(NamedTuple):
    """What an invariant may look at when every body has ended."""

    #: What each body returned, or the exception that came out of it.
    results: tuple[object, ...]
    #: Each table's rows, as dictionaries by column.
    rows: dict[str, list[dict[str, Any]]]


Judge = Callable[["Execution"], Sequence[Anomaly]]
#: True and None: it holds; False: it does not; a text: what is wrong; an AssertionError says the same.
Check = Callable[[Outcome], "bool | str | None"]
#: Each table's columns.
Columns = Mapping[str, Sequence[str]]


def outcome_of(execution: Execution, columns: Columns | None = None) -> Outcome:
    """Give an execution's end as an invariant sees it; `columns` names what the state's rows hold."""
    results = tuple(end.value if end.error is None else end.error for end in execution.endings)
    state = execution.state or {}
    return Outcome(results, {table: [_row(table, row, columns or {}) for row in rows] for table, rows in state.items()})


def _row(table: str, row: Any, columns: Columns) -> dict[str, Any]:  # noqa: ANN401 - whatever the arena keeps
    if isinstance(row, Mapping):
        return dict(row)
    names = columns.get(table)
    if names is None or len(names) != len(row):
        raise JudgeError(f"The rows of {table} can't be shown to the invariant: their columns are not known.")
    return dict(zip(names, row, strict=True))


# invariants


def invariant_judge(check: Check, columns: Columns | None = None) -> Judge:
    """Make a judge of a condition on what is left at the end; a schedule that was cut short has no end to judge."""
    name = getattr(check, "__name__", type(check).__name__)
    title = "The invariant" if name == "<lambda>" else f"The invariant {name}"

    def judge(execution: Execution) -> Sequence[Anomaly]:
        if execution.cut:
            return ()
        sentence = _checked(check, outcome_of(execution, columns), title)
        return (Anomaly("invariant", sentence, name),) if sentence else ()

    return judge


def _checked(check: Check, outcome: Outcome, title: str) -> str:
    """Say what a check found; nothing where it holds."""
    try:
        answer = check(outcome)
    except AssertionError as error:
        return f"{title} does not hold: {_assertion(error)}"
    except ExplorerError:
        raise
    except Exception as error:
        raise JudgeError(f"{title} could not be checked: it raised {type(error).__name__}: {error}") from error
    if isinstance(answer, str):
        return answer
    if inspect.iscoroutine(answer) or inspect.isgenerator(answer):
        answer.close()
        raise JudgeError(f"{title} could not be checked: it is a coroutine or a generator, which a call only makes.")
    return "" if answer is None or answer else f"{title} does not hold."


def _assertion(error: AssertionError) -> str:
    """Say what an assertion says: its message's first line, or its own line."""
    if message := str(error).strip():
        return message.split("\n", 1)[0]
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line if frames else "") or "an assertion failed"


# errors and locks


def errors_judge(allowed: Sequence[type[Exception]] = (), names: Sequence[str] = ()) -> Judge:
    """Make a judge for which an exception that comes out of a body is wrong, unless it is one of those allowed."""
    types = tuple(allowed)

    def judge(execution: Execution) -> Sequence[Anomaly]:
        return tuple(
            Anomaly(f"uncaught {type(error).__name__}", _uncaught(name_of(worker, names), error))
            for worker, (_, error) in enumerate(execution.endings)
            if error is not None and not isinstance(error, types)
        )

    return judge


def _uncaught(name: str, error: Exception) -> str:
    message = " ".join(str(error).split("\n", 1)[0].split())
    return f"{name} ended with {type(error).__name__}{': ' if message else ''}{message}, which it did not catch."


def stuck_judge(names: Sequence[str] = ()) -> Judge:
    """Make a judge for which a wait that nobody left could have ended is wrong."""

    def judge(execution: Execution) -> Sequence[Anomaly]:
        return tuple(
            Anomaly("stuck", f"{name_of(worker, names)} waited for a lock when nobody was left who could free it.")
            for worker in execution.stuck
        )

    return judge


# serializability


class SerialOutcome(NamedTuple):
    """How one order of the bodies, one after another, ends."""

    #: Each body's end, in words.
    endings: tuple[str, ...]
    state: Any


def serial_outcome(execution: Execution) -> SerialOutcome:
    """Give what two executions must have in common to be the same to everybody outside."""
    return SerialOutcome(tuple(end.shown for end in execution.endings), execution.state)


class InOrder:
    """Runs each worker to its end in the order given; while one waits, those after it go on."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = tuple(order)

    def choose(self, ready: Sequence[int], step: Step) -> int:  # noqa: ARG002 - the order is all that counts
        """Name the first in the order that can run."""
        return next((worker for worker in self._order if worker in ready), ready[0])


def serial_outcomes(arena: Arena, limit: int = 4) -> tuple[SerialOutcome, ...]:
    """Run the bodies in each of their orders, one after another, and give the different ends."""
    if arena.workers > limit:
        raise JudgeError(f"{arena.workers} workers have too many orders to run them all; the limit is {limit} workers.")
    found: list[SerialOutcome] = []
    for order in permutations(range(arena.workers)):
        outcome = serial_outcome(arena.run(InOrder(order)))
        if outcome not in found:
            found.append(outcome)
    return tuple(found)


def serial_judge(
    outcomes: Sequence[SerialOutcome], view: Callable[[SerialOutcome], object] = lambda outcome: outcome
) -> Judge:
    """Make a judge for which an end is wrong that no order of the bodies, one after another, gives.

    `view` says what of an end counts (not, say, keys drawn from a sequence).  A body that ended with an error that it
    has in no order gave up because of the others; what is left then is no order of all bodies, and is not judged here.
    """
    expected = [view(outcome) for outcome in outcomes]
    known = [{each.endings[worker] for each in outcomes} for worker in range(len(outcomes[0].endings))]

    def judge(execution: Execution) -> Sequence[Anomaly]:
        outcome = serial_outcome(execution)
        gave_up = any(
            end.error is not None and shown not in usual
            for end, shown, usual in zip(execution.endings, outcome.endings, known, strict=True)
        )
        if execution.cut or gave_up or view(outcome) in expected:
            return ()
        return (Anomaly("not serializable", "No order of the workers, one after another, ends like this."),)

    return judge


def combine(*judges: Judge) -> Judge:
    """Make one judge of several: what one of them finds counts even when another could not judge."""

    def judge(execution: Execution) -> Sequence[Anomaly]:
        found: dict[Anomaly, None] = {}
        failed: JudgeError | None = None
        for each in judges:
            try:
                found.update(dict.fromkeys(each(execution)))
            except JudgeError as error:
                failed = failed or error
        if failed is not None and not found:
            raise failed
        return tuple(found)

    return judge
