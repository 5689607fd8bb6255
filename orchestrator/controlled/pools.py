"""Pools of connections that are used up: who waits for one there keeps everybody from giving one back."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from orchestrator.controlled.database import Uncontrolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_QUEUE: Final = "sqlalchemy.util.queue"


@contextmanager
def impatient(current: Callable[[], int | None]) -> Iterator[None]:
    """Refuse a worker's wait for a connection of SQLAlchemy's pool, which with pinned clocks would never end."""
    module: Any = sys.modules.get(_QUEUE)
    if module is None:
        yield
        return
    real = module.Queue.get

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401, FBT001, FBT002 - as SQLAlchemy's
        if not block or current() is None:
            return real(self, block, timeout)
        try:
            return real(self, False)  # noqa: FBT003 - as above
        except module.Empty:
            raise Uncontrolled(
                "The engine's pool has no connection left for a worker: other workers have them all, and none can go "
                "on while this one waits. Give the engine a larger pool_size."
            ) from None

    module.Queue.get = get
    try:
        yield
    finally:
        module.Queue.get = real
