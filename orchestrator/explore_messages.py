"""Messages that bodies send: those would reach a real broker, once in every schedule."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from orchestrator.controlled.database import Uncontrolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CELERY: Final = "celery.app.base"


@contextmanager
def unsent(current: Callable[[], int | None]) -> Iterator[None]:
    """Refuse a worker's `delay` and `apply_async`; where Celery is set to run tasks eagerly, nothing is sent."""
    module: Any = sys.modules.get(_CELERY)
    if module is None:
        yield
        return
    real = module.Celery.send_task

    def send_task(self: Any, name: str, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as Celery's
        if current() is None:
            return real(self, name, *args, **options)
        raise Uncontrolled(
            f"A body sends the task {name} to the broker, where every schedule would leave a message: explore that "
            "task as a body of its own, and set task_always_eager, or replace the sending, in this one."
        )

    module.Celery.send_task = send_task
    try:
        yield
    finally:
        module.Celery.send_task = real
