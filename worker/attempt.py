"""Runs one operation: attempts, their journal lines, retries."""

from __future__ import annotations

import logging
import random
from itertools import islice, repeat
from typing import TYPE_CHECKING, NamedTuple

from worker.access import Access
from worker.contract import CONFLICTS, EndLine, Outcome, Reason, StartLine, Via, Where
from worker.errors import Conflict, Duplicate, LostConnection, PoolTimeout, Refused
from worker.failpoints import Injected, Trap, armed
from worker.mistakes import Mistake, unordered
from worker.retry import pauses
from worker.statements import effects_of, statements
from worker.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.contract import Operation, Settings
    from worker.link import Link
    from worker.runtime import Runtime
    from worker.statements import Statements

logger = logging.getLogger(__name__)


class Result(NamedTuple):
    """How an attempt, or the last of several, ended."""

    outcome: Outcome
    reason: Reason | None
    #: Attempt number within the delivery.
    attempt: int
    #: Seconds to wait before the next attempt, which the caller must see to; None: this was the last.
    again: float | None


class _End(NamedTuple):
    outcome: Outcome
    reason: Reason | None
    #: Another attempt may succeed.
    retry: bool = False
    detail: str | None = None


_OK = _End(Outcome.OK, None)

_UNREACHABLE = _End(Outcome.FAIL, Reason.LOST_CONNECTION, retry=True)

#: A database that can't be reached has no backend to name.
_NOBODY = (0, 0)


def run(
    operation: Operation,
    settings: Settings,
    runtime: Runtime,
    *,
    attempt: int = 1,
    redelivered: bool = False,
    via: Via | None = None,
) -> Result:
    """Attempt an operation until it ends; via Celery, only once, and the caller sees to the next attempt.

    `attempt` numbers the first attempt made here; `via` overrides the settings' own.
    """
    inline = (via or settings.retry.via) is Via.INLINE
    waits: Iterator[float] | None = None
    trap = _trap(operation, settings, runtime, first=attempt == 1 and not redelivered)
    while True:
        token = runtime.token()
        start = StartLine(token, operation.operation, attempt, runtime.slot(), 0, *_NOBODY, redelivered)
        end = _once(operation, settings, runtime, start, trap)
        if not _again(end, settings, attempt):
            return Result(end.outcome, end.reason, attempt, None)
        waits = waits or _waits(settings, token, attempt)
        if not inline:
            return Result(end.outcome, end.reason, attempt, next(waits))
        runtime.pause(next(waits))
        attempt += 1


def give_up(operation: Operation, settings: Settings, runtime: Runtime, *, attempt: int, redelivered: bool) -> None:
    """Record that an operation is given up without being run, since its message took down too many workers."""
    if settings.recording:
        start = StartLine(runtime.token(), operation.operation, attempt, runtime.slot(), 0, *_NOBODY, redelivered)
        _without_a_backend(settings, runtime, start, _End(Outcome.FAIL, Reason.POISON))


def applied(operations: list[Operation], settings: Settings, runtime: Runtime) -> set[int]:
    """Name those of a message's operations that have taken effect; none where the database can't say."""
    if not settings.recording:
        return set()
    statement = effects_of(settings.schema)
    try:
        link = runtime.connect()
    except (LostConnection, PoolTimeout):
        return set()
    try:
        runtime.tend(link, settings.schema)
        numbers = [each.operation for each in operations]
        return {number for number in numbers if link.execute(statement, {"operation": number}).rows}
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the message must be given up
        logger.warning("What took effect in %s can't be told: %s", settings.schema, type(error).__name__)
        return set()
    finally:
        link.close()


def _again(end: _End, settings: Settings, attempt: int) -> bool:
    """Say whether another attempt follows."""
    return end.retry and attempt < settings.retry.attempts


def _trap(operation: Operation, settings: Settings, runtime: Runtime, *, first: bool) -> Trap | None:
    """Arm the failpoints that may strike this delivery; where nothing is recorded, none could be told of."""
    if not settings.failpoints or not settings.recording:
        return None
    chosen = armed(settings, operation.operation, first=first)
    if not chosen:
        return None
    return Trap(chosen, operation.operation, settings.seed, runtime, runtime.journal(settings.schema))


def _waits(settings: Settings, token: int, attempt: int) -> Iterator[float]:
    """Give the pauses that follow this attempt."""
    if Mistake.NO_BACKOFF in settings.mistakes:
        return repeat(0.0)
    seeded = random.Random(settings.seed << 64 | token)  # noqa: S311 - pauses are no secret
    return islice(pauses(settings.retry, seeded), attempt - 1, None)


def _once(operation: Operation, settings: Settings, runtime: Runtime, start: StartLine, trap: Trap | None) -> _End:
    """Make one attempt; when this returns, its connection is back in the pool."""
    try:
        link = runtime.connect()
    except LostConnection as error:
        logger.warning("The database can't be reached: %s", type(error.__cause__).__name__)
        return _without_a_backend(settings, runtime, start, _UNREACHABLE)
    except PoolTimeout as error:
        return _without_a_backend(
            settings, runtime, start, _End(Outcome.FAIL, Reason.ERROR, detail=type(error).__name__)
        )
    try:
        return _on(link, operation, settings, runtime, start, trap)
    finally:
        link.close()


def _on(
    link: Link, operation: Operation, settings: Settings, runtime: Runtime, start: StartLine, trap: Trap | None
) -> _End:
    words = statements(settings.scenario, settings.schema, link.dialect)
    access = Access(link, runtime, settings, words, start.token, operation.operation)
    if not settings.recording:
        return _mistaken(_body(access, words, operation, settings), settings, start.attempt)
    runtime.tend(link, settings.schema)
    journal = runtime.journal(settings.schema)
    journal.write(_started(start, runtime.now(), link.backend))
    access.trap = trap
    end = _mistaken(_body(access, words, operation, settings), settings, start.attempt)
    if trap is not None and end.outcome is Outcome.OK and _raises(access, Where.AFTER_COMMIT):
        end = _upset(end, settings)
    at = access.ended_ns or runtime.now()
    final = not _again(end, settings, start.attempt)
    line = EndLine(start.token, end.outcome, end.reason, final, at, access.accesses, end.detail)
    if trap is None:
        journal.write(line)
        return end
    raised = trap.log(line, link)
    return _upset(end, settings) if (final and _raises(access, Where.BEFORE_ACK)) or raised else end


def _raises(access: Access, where: Where) -> bool:
    """Let the failpoints of a point strike that lies behind the outcome; True where one of them raised."""
    try:
        access.reach(where)
    except Injected:
        logger.warning("An error after an operation's end changes nothing: failpoint %s", where)
        return True
    return False


def _upset(end: _End, settings: Settings) -> _End:
    """Take an error that came after COMMIT as the code does: it changes nothing, unless it runs the task again."""
    mistaken = end.outcome is Outcome.OK and Mistake.RETRY_AFTER_COMMIT in settings.mistakes
    return end._replace(retry=True) if mistaken else end


def _mistaken(end: _End, settings: Settings, attempt: int) -> _End:
    """Take an attempt's end as code with these mistakes does; without any, as it is."""
    made = settings.mistakes
    if not made:
        return end
    if end.outcome is Outcome.INFO and Mistake.BLIND_RETRY in made:
        return end._replace(retry=True)
    if end.reason is Reason.DEADLOCK and Mistake.NO_DEADLOCK_RETRY in made:
        return end._replace(retry=False)
    if end.reason in CONFLICTS and not _again(end, settings, attempt) and Mistake.SILENT_GIVE_UP in made:
        return _OK
    return end


def _body(access: Access, words: Statements, operation: Operation, settings: Settings) -> _End:
    """Run the strategy's body, and say how it ended; what is unknown stays unknown."""
    try:
        scenario = words.scenario
        if scenario.request is not None and Mistake.TRUSTING_TASK not in settings.mistakes:
            access.request(scenario.request(operation.params))
        change = scenario.change(operation)
        if Mistake.UNORDERED_KEYS in settings.mistakes:
            change = unordered(change)
        STRATEGIES[settings.strategy](access, change)
    except (Refused, Conflict) as error:
        return _End(Outcome.FAIL, error.reason, retry=isinstance(error, Conflict))
    except Duplicate:
        return _End(Outcome.FAIL, Reason.DUPLICATE)
    except LostConnection as error:
        return _End(Outcome.INFO if error.in_commit else Outcome.FAIL, Reason.LOST_CONNECTION, not error.in_commit)
    except Exception as error:  # noqa: BLE001 - whatever a body raises, its transaction was rolled back
        name = type(error).__name__
        logger.warning("Operation %d of %s failed: %s", operation.operation, settings.schema, name)
        return _End(Outcome.FAIL, Reason.ERROR, detail=name)
    return _OK


def _without_a_backend(settings: Settings, runtime: Runtime, start: StartLine, end: _End) -> _End:
    """Record an attempt that got no connection: surely without effect."""
    if settings.recording:
        journal, at = runtime.journal(settings.schema), runtime.now()
        final = not _again(end, settings, start.attempt)
        journal.write(_started(start, at, _NOBODY))
        journal.write(EndLine(start.token, end.outcome, end.reason, final, at, [], end.detail))
    return end


def _started(start: StartLine, at: int, backend: tuple[int, int]) -> StartLine:
    return StartLine(start.token, start.operation, start.attempt, start.slot, at, *backend, start.redelivered)
