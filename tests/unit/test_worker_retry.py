"""Pauses between attempts."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from worker.contract import Jitter, Retry
from worker.retry import pauses


def _first(retry: Retry, count: int, seed: int = 1) -> list[float]:
    return list(islice(pauses(retry, random.Random(seed)), count))  # noqa: S311 - no secret


def test_without_jitter_pauses_double_up_to_the_cap() -> None:
    """No jitter: base, twice base, and so on, never above the cap."""
    retry = Retry(base_ms=10, cap_ms=60, jitter=Jitter.NONE)
    assert [0.01, 0.02, 0.04, 0.06, 0.06] == _first(retry, 5)


@pytest.mark.parametrize("seed", range(20))
def test_full_jitter_stays_below_the_doubling_bound(seed: int) -> None:
    """Full jitter draws between nothing and what no jitter would wait."""
    bounds = _first(Retry(base_ms=10, cap_ms=60, jitter=Jitter.NONE), 8)
    drawn = _first(Retry(base_ms=10, cap_ms=60, jitter=Jitter.FULL), 8, seed)
    assert [] == [pair for pair in zip(drawn, bounds, strict=True) if not 0 <= pair[0] <= pair[1]]


@pytest.mark.parametrize("seed", range(20))
def test_decorrelated_jitter_draws_between_base_and_thrice_the_last_pause(seed: int) -> None:
    """Decorrelated jitter: min(cap, uniform(base, 3 x last)), the last one starting at base."""
    drawn = _first(Retry(base_ms=10, cap_ms=60, jitter=Jitter.DECORRELATED), 8, seed)
    bounds = [min(0.06, 3 * last) for last in [0.01, *drawn[:-1]]]
    assert [] == [pair for pair in zip(drawn, bounds, strict=True) if not 0.01 <= pair[0] <= pair[1]]


@pytest.mark.parametrize("jitter", Jitter)
def test_ten_thousand_pauses_overflow_nothing(jitter: Jitter) -> None:
    """However many attempts there are, the pause stays within the cap."""
    assert max(_first(Retry(base_ms=1, cap_ms=100, jitter=jitter), 10_000)) <= 0.1


def test_the_same_seed_gives_the_same_pauses() -> None:
    """Pauses are a function of the seed."""
    assert _first(Retry(), 10, 7) == _first(Retry(), 10, 7)
