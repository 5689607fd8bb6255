"""The one task: decodes a message and runs its operations, a transaction each."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import msgspec
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError

from worker import attempt, config, runtime
from worker.app import app
from worker.contract import SCHEMA_PATTERN, TASK, Batch, Via
from worker.mistakes import KNOWN
from worker.scenarios import SCENARIOS
from worker.strategies import STRATEGIES

if TYPE_CHECKING:
    from celery import Task

    from worker.contract import Operation, Settings

logger = logging.getLogger(__name__)

_SCHEMA = re.compile(SCHEMA_PATTERN)


def decode(message: Any) -> Batch:  # noqa: ANN401 - whatever the broker delivered
    """Decode a message's keyword arguments; raises ValueError, msgspec's included, for one that can't be run."""
    batch = msgspec.convert(message, Batch)
    settings = batch.settings
    if not _SCHEMA.fullmatch(settings.schema):
        raise ValueError("its schema is not a group's")
    if settings.scenario not in SCENARIOS:
        raise ValueError("this worker doesn't know its scenario")
    if settings.strategy not in STRATEGIES:
        raise ValueError("this worker doesn't know its strategy")
    if not KNOWN.issuperset(settings.mistakes):
        raise ValueError("this worker doesn't know its mistakes")
    return batch


# A lost worker's message comes again at once, and as often as `_poison` lets it.
@app.task(name=TASK, bind=True, max_retries=None, default_retry_delay=0)
def race(self: Task[Any, None], *args: Any, **message: Any) -> None:  # noqa: ANN401 - `decode` judges them
    """Run a message's operations one after another; a message that can't be run is dropped with a line in the log."""
    try:
        batch = decode(args or message)  # positional arguments are no message of ours
    except ValueError as error:
        logger.error("Message %s is rejected: %s", self.request.id, error)  # noqa: TRY400 - it says enough
        raise Ignore from None  # acknowledged; Celery would print a traceback for Reject
    lost = self.request.retries  # workers that went down with this message, where Celery counts them
    redelivered = lost > 0 or bool((self.request.delivery_info or {}).get("redelivered"))
    if lost and _poison(lost):
        logger.error("Message %s took %d workers down, and is given up", self.request.id, lost)
        _give_up(batch)
        return
    for operation in batch.operations:
        _run(self, operation, batch, redelivered=redelivered)


def _poison(lost: int) -> bool:
    """Say whether a message has taken down as many workers as it may."""
    limit = config.read().max_deliveries
    return 0 < limit <= lost


def _give_up(batch: Batch) -> None:
    """End what the message's earlier deliveries left without effect."""
    process = runtime.current()
    done = attempt.applied(batch.operations, batch.settings, process)
    for operation in batch.operations:
        if operation.operation not in done:
            attempt.give_up(operation, batch.settings, process, attempt=batch.attempt, redelivered=True)


def _run(task: Task[Any, None], operation: Operation, batch: Batch, *, redelivered: bool) -> None:
    process, settings, first = runtime.current(), batch.settings, batch.attempt
    via = Via.INLINE if task.request.is_eager else None  # an eager task has no broker to come back by
    result = attempt.run(operation, settings, process, attempt=first, redelivered=redelivered, via=via)
    if result.again is not None and not _publish_again(task, operation, settings, result):
        process.pause(result.again)
        attempt.run(operation, settings, process, attempt=result.attempt + 1, redelivered=redelivered, via=Via.INLINE)


def _publish_again(task: Task[Any, None], operation: Operation, settings: Settings, result: attempt.Result) -> bool:
    """Send a message for this operation alone, to the queue that this one came from; False where the broker is gone."""
    batch = msgspec.to_builtins(Batch(settings=settings, operations=[operation], attempt=result.attempt + 1))
    options: dict[str, Any] = {
        "task_id": f"{task.request.root_id}.{operation.operation}.{result.attempt + 1}",
        "queue": (task.request.delivery_info or {}).get("routing_key"),
        "countdown": result.again,
        "retries": task.request.retries,  # counts lost workers, not attempts
        "argsrepr": "()",
        "kwargsrepr": "{}",
    }
    try:
        task.apply_async(kwargs=batch, **options)
    except OperationalError:
        return False
    return True
