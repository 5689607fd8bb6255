"""Runs one operation: attempts, their journal lines, retries."""

from __future__ import annotations

import logging
import random
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from worker.access import Access
from worker.contract import EndLine, Outcome, Reason, StartLine, Via
from worker.errors import Conflict, Duplicate, LostConnection, Refused
from worker.retry import pauses
from worker.statements import statements
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
    while True:
        token = runtime.token()
        start = StartLine(token, operation.operation, attempt, runtime.slot(), 0, *_NOBODY, redelivered)
        end = _once(operation, settings, runtime, start)
        if not end.retry or attempt >= settings.retry.attempts:
            return Result(end.outcome, end.reason, attempt, None)
        waits = waits or _waits(settings, token, attempt)
        if not inline:
            return Result(end.outcome, end.reason, attempt, next(waits))
        runtime.pause(next(waits))
        attempt += 1


def _waits(settings: Settings, token: int, attempt: int) -> Iterator[float]:
    """Give the pauses that follow this attempt."""
    seeded = random.Random(settings.seed << 64 | token)  # noqa: S311 - pauses are no secret
    return islice(pauses(settings.retry, seeded), attempt - 1, None)


def _once(operation: Operation, settings: Settings, runtime: Runtime, start: StartLine) -> _End:
    """Make one attempt; when this returns, its connection is back in the pool."""
    try:
        link = runtime.connect()
    except LostConnection as error:
        logger.warning("The database can't be reached: %s", type(error.__cause__).__name__)
        return _unreachable(settings, runtime, start)
    try:
        return _on(link, operation, settings, runtime, start)
    finally:
        link.close()


def _on(link: Link, operation: Operation, settings: Settings, runtime: Runtime, start: StartLine) -> _End:
    words = statements(settings.scenario, settings.schema, link.dialect)
    access = Access(link, runtime, settings, words, start.token, operation.operation)
    if not settings.recording:
        return _body(access, words, operation, settings)
    runtime.tend(link, settings.schema)
    journal = runtime.journal(settings.schema)
    journal.write(_started(start, runtime.now(), link.backend))
    end = _body(access, words, operation, settings)
    at = access.ended_ns or runtime.now()
    final = not end.retry or start.attempt >= settings.retry.attempts
    journal.write(EndLine(start.token, end.outcome, end.reason, final, at, access.accesses, end.detail))
    return end


def _body(access: Access, words: Statements, operation: Operation, settings: Settings) -> _End:
    """Run the strategy's body, and say how it ended; what is unknown stays unknown."""
    try:
        STRATEGIES[settings.strategy](access, words.scenario.change(operation))
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


def _unreachable(settings: Settings, runtime: Runtime, start: StartLine) -> _End:
    """Record an attempt that found no database: surely without effect."""
    end = _End(Outcome.FAIL, Reason.LOST_CONNECTION, retry=True)
    if settings.recording:
        journal, at = runtime.journal(settings.schema), runtime.now()
        final = start.attempt >= settings.retry.attempts
        journal.write(_started(start, at, _NOBODY))
        journal.write(EndLine(start.token, end.outcome, end.reason, final, at, []))
    return end


def _started(start: StartLine, at: int, backend: tuple[int, int]) -> StartLine:
    return StartLine(start.token, start.operation, start.attempt, start.slot, at, *backend, start.redelivered)
