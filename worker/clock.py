"""The local clock's offset to the database clock, with a bound that is proven, not hoped for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from worker.contract import ClockLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.link import Link

#: The database clock in microseconds since 1970.
DATABASE_CLOCK: Final = sa.select(
    sa.cast(sa.extract("epoch", sa.func.clock_timestamp()) * sa.literal_column("1000000"), sa.BigInteger)
)

#: Round trips per measurement; the quickest is kept, since its bound is the tightest.
TRIES: Final = 5

#: The database clock reads in microseconds, rounded.
_RESOLUTION_NS: Final = 1_000


def measure(link: Link, now: Callable[[], int]) -> ClockLine:
    """Ask the database clock a few times: it was read somewhere within the round trip, so half of it is the error."""
    return min((_once(link, now) for _ in range(TRIES)), key=lambda line: line.error_ns)


def _once(link: Link, now: Callable[[], int]) -> ClockLine:
    sent = now()
    answer = link.execute(DATABASE_CLOCK, {})
    received = now()
    middle = (sent + received) // 2
    error = (received - sent + 1) // 2 + _RESOLUTION_NS
    return ClockLine(middle, answer.rows[0][0] * 1_000 - middle, error)
