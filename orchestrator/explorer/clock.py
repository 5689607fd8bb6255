"""A clock that only the run itself moves, so that a run's times depend on nothing but its schedule."""

from __future__ import annotations

#: What one reading adds; any positive number makes readings strictly increasing.
TICK_NS = 1_000


class VirtualClock:
    """Monotonic nanoseconds: every reading is later than the one before, and nothing else passes the time."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now = start_ns

    @property
    def now(self) -> int:
        """The time of the last reading, without taking one."""
        return self._now

    def read(self) -> int:
        """Give the time, a tick after the last reading."""
        self._now += TICK_NS
        return self._now

    def reach(self, moment_ns: int) -> None:
        """Let time pass until `moment_ns`, if it hasn't yet: a pause that costs nothing."""
        self._now = max(self._now, moment_ns)
