"""psycopg's own methods, given to one exploration at a time: `Connection.wait`, and the connections' locks."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg import AsyncConnection, Connection

from orchestrator.controlled.database import Uncontrolled

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import FrameType

    from psycopg.waiting import Ready, Wait

    from orchestrator.explorer.hub import Hub

    #: What psycopg hands to `wait`.
    Driven = Generator[Wait, Ready | int, Any]

original_wait: Final = Connection.wait
_original_async_wait: Final = AsyncConnection.wait

#: Functions that open a pool's connections.
_MAKERS: Final = frozenset({("sqlalchemy.pool.base", "__connect"), ("psycopg_pool.pool", "_connect")})


class Controlling(Protocol):
    """Who has the driver."""

    hub: Hub | None

    def wait(self, connection: Connection[Any], generator: Driven, interval: float, timeout: float | None) -> Any:  # noqa: ANN401 - whatever the generator gives
        """Stand in for `Connection.wait`."""

    def guard(self, connection: Connection[Any]) -> None:
        """Look at a lock that is taken and about to be waited for."""


#: Set while an exploration has the driver.
_installed: Controlling | None = None


def being_made() -> bool:
    """Say whether a pool is setting a connection up; it may hold a lock, on which other workers would hang."""
    return any(each in _MAKERS for each in _callers())


def of_pool() -> bool:
    """Say whether a pool's own thread is calling."""
    return any(module.startswith("psycopg_pool.") for module, _ in _callers())


def _callers() -> Iterator[tuple[str, str]]:
    """Give module and name of each function on the stack, the innermost first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else tells who calls
    while frame is not None:
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_name
        frame = frame.f_back


@contextmanager
def installed(control: Controlling) -> Iterator[None]:
    """Have psycopg ask `control` for as long as the block runs; one at a time."""
    global _installed  # noqa: PLW0603 - the driver's class is one for the whole process, and so is who has it
    if _installed is not None:
        raise Uncontrolled("An exploration has psycopg under its control already; one at a time in a process.")
    _installed = control
    Connection.wait = _wait  # type: ignore[method-assign]  # put back below
    Connection.lock = _LOCK  # type: ignore[assignment]  # the class has none, each connection its own
    AsyncConnection.wait = _async_wait  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        Connection.wait = original_wait  # type: ignore[method-assign]  # as it was
        AsyncConnection.wait = _original_async_wait  # type: ignore[method-assign]  # as it was
        del Connection.lock  # type: ignore[misc]  # see above
        _installed = None


def _wait(self: Connection[Any], gen: Driven, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 - whatever the generator gives
    if _installed is None:
        return original_wait(self, gen, interval, timeout)
    return _installed.wait(self, gen, interval, timeout)


async def _async_wait(
    self: AsyncConnection[Any],
    gen: Driven,
    interval: float = 0.1,
    timeout: float | None = None,  # noqa: ASYNC109 - psycopg's own signature
) -> Any:  # noqa: ANN401 - whatever the generator gives
    if _installed is not None and _installed.hub is not None and _installed.hub.current is not None:
        raise Uncontrolled("A body uses asyncio; explore it with psycopg's blocking connections.")
    return await _original_async_wait(self, gen, interval, timeout)


class _Lock:
    """Stands before each connection's own lock: a worker must not wait there for another one, for both would hang."""

    def __get__(self, connection: Connection[Any] | None, _owner: object = None) -> Any:  # noqa: ANN401 - a lock
        if connection is None:
            return self
        lock = connection.__dict__["lock"]
        if lock.locked() and _installed is not None:
            _installed.guard(connection)
        return lock

    def __set__(self, connection: Connection[Any], lock: object) -> None:
        connection.__dict__["lock"] = lock


_LOCK: Final = _Lock()
