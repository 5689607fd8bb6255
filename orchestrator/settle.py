"""Settling: an attempt of unknown outcome is judged only once its backend has ended, so nothing can commit later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

_LIVING: Final = """
    SELECT pid, round(extract(epoch FROM backend_start) * 1000000)::bigint
    FROM pg_stat_activity WHERE pid = ANY(%s)
"""

#: Pause between two looks, seconds.
_TICK: Final = 0.05


def living(connection: psycopg.Connection[Any], backends: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Say which of the backends (pid, start) still run; a pid that was given away again is another backend."""
    if not backends:
        return set()
    found = dict(connection.execute(_LIVING, ([pid for pid, _ in backends],)).fetchall())
    # A start is hidden where the backend is another user's: it may be the one that was asked for, and counts as such.
    return {(pid, start) for pid, start in backends if pid in found and found[pid] in (start, None)}


def terminate(connection: psycopg.Connection[Any], backends: set[tuple[int, int]]) -> None:
    """End the backends (pid, start) that still run, and with them what they hold locked."""
    for pid, _ in living(connection, backends):
        connection.execute("SELECT pg_terminate_backend(%s)", (pid,))


def ended(
    connection: psycopg.Connection[Any],
    attempts: Mapping[int, tuple[int, int]],
    grace: float,
    stop: Callable[[], bool] = lambda: False,
) -> dict[int, bool]:
    """Say, per attempt (token to backend), whether its backend has ended; waits for them within the grace period."""
    deadline = time.monotonic() + grace
    waiting = living(connection, set(attempts.values()))
    while waiting and time.monotonic() < deadline and not stop():
        time.sleep(_TICK)
        waiting = living(connection, waiting)
    return {token: backend not in waiting for token, backend in attempts.items()}
