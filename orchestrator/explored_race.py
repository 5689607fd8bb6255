"""One schedule's messages, as broker and Celery hand them to the workers."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from celery.app.trace import build_tracer

from orchestrator.explorer.hub import Crash
from orchestrator.explorer.model import Footprint, Place, Point
from worker import tasks
from worker.contract import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.explored_slots import Slots
    from orchestrator.explorer.hub import Hub
    from worker.contract import Operation, Settings

#: Who takes a message changes what the next one finds.
_QUEUE: Final = Footprint(locks=frozenset([Place("queue")]))


class Delivery(NamedTuple):
    """A message on its way to a worker; the earliest is the least."""

    due_ns: int
    id: str
    kwargs: dict[str, Any]


def messages(operations: Sequence[Operation], settings: Settings) -> dict[int, Delivery]:
    """Pack each operation, by its number, into a message, as it comes from the wire."""
    return {
        one.operation: Delivery(
            0, f"explored.{one.operation}", msgspec.to_builtins(Batch(settings=settings, operations=[one]))
        )
        for one in operations
    }


class Task:
    """The one task, run as Celery runs it; its `apply` would make the tracer anew for every message."""

    def __init__(self) -> None:
        # Untyped, since the stubs don't know an attribute of the task's own.
        self._task: Any = tasks.race.app.tasks[tasks.race.name]
        self._trace = build_tracer(self._task.name, self._task, eager=True, propagate=True, app=self._task.app)

    def run(self, message: Delivery, *, redelivered: bool) -> None:
        """Run it for a message."""
        self._trace(message.id, [], message.kwargs, _request(message.id, redelivered=redelivered))

    @contextmanager
    def published_to(self, put: Callable[..., None]) -> Iterator[None]:
        """Let what the task publishes come to `put`."""
        self._task.apply_async = put
        try:
            yield
        finally:
            del self._task.apply_async


def _request(id_: str, *, redelivered: bool) -> dict[str, Any]:
    """Write what a worker tells Celery of a message."""
    return {
        "id": id_,
        "task": tasks.race.name,
        "root_id": id_,
        "retries": 0,
        "is_eager": False,
        "hostname": "explored",
        "headers": {},  # where there are none Celery looks for them, at length
        "ignore_result": True,
        "delivery_info": {"exchange": None, "routing_key": None, "priority": None, "redelivered": redelivered},
    }


class Race:
    """One schedule: who works on which message."""

    def __init__(
        self, hub: Hub, slots: Slots, messages: Sequence[Delivery], workers: int, celery: Task, *, acknowledges: bool
    ) -> None:
        self._hub, self._slots, self._celery, self._acknowledges = hub, slots, celery, acknowledges
        self._first = messages[:workers]
        self._queue = deque(messages[workers:])
        self._shared = len(messages) > workers
        self._again: list[list[Delivery]] = [[] for _ in range(workers)]

    def work(self, worker: int) -> str:
        """Work as a worker's slot does, until no message is left; gives how its operations ended."""
        message: Delivery | None = self._first[worker]
        while message is not None:
            self._deliver(message)
            message = self._take(worker)
        return ", ".join(self._slots.ends[worker])

    def put(self, *, kwargs: dict[str, Any], task_id: str, countdown: float, **_options: object) -> None:
        """Take a message that the task publishes for its own retry, as `apply_async` would."""
        self._hub.stand(Point("retry", task_id))
        slots = self._slots
        due = slots.now() + round(countdown * 1_000_000_000)
        wire = msgspec.json.decode(msgspec.json.encode(kwargs))
        self._again[slots.slot()].append(Delivery(due, task_id, wire))

    def _deliver(self, message: Delivery) -> None:
        """Let Celery run the task, and again where the worker crashes before it has acknowledged the message."""
        redelivered = False
        while True:
            self._hub.delivered()
            try:
                self._celery.run(message, redelivered=redelivered)
                if self._acknowledges:
                    self._hub.stand(Point("acknowledge", message.id))
            except Crash:
                redelivered = True
                continue
            return

    def _take(self, worker: int) -> Delivery | None:
        """Give the worker's own retry, whose time then comes, else what the plan has left."""
        if again := self._again[worker]:
            message = min(again)
            again.remove(message)
            self._slots.clock.reach(message.due_ns)
            return message
        if not self._shared:
            return None
        self._hub.stand(Point("dequeue", footprint=_QUEUE))
        return self._queue.popleft() if self._queue else None
