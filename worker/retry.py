"""Pauses between attempts, as Brooker describes them ("Exponential Backoff And Jitter", 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.contract import Jitter

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from worker.contract import Retry


def pauses(retry: Retry, draw: random.Random) -> Iterator[float]:
    """Give the pause before the second attempt, the third and so on, seconds, for ever."""
    base, cap = retry.base_ms / 1000, retry.cap_ms / 1000
    bound = previous = base
    while True:
        if retry.jitter is Jitter.NONE:
            yield min(cap, bound)
        elif retry.jitter is Jitter.FULL:
            yield draw.uniform(0, min(cap, bound))
        else:
            previous = min(cap, draw.uniform(base, max(base, previous * 3)))
            yield previous
        bound = min(cap, bound * 2)
