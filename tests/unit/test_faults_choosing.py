"""Options that choose: what is written is what is struck."""

from __future__ import annotations

import random

import pytest

from orchestrator.errors import UsageError
from orchestrator.faults.choosing import number, share, some, word
from orchestrator.faults.model import Planned


def _planned(**options: str) -> Planned:
    return Planned(name="hit", text="hit", options=options)


@pytest.mark.parametrize(
    ("count", "part", "expected"), [(0, 1.0, 0), (1, 0.1, 1), (4, 0.5, 2), (4, 0.01, 1), (7, 1.0, 7)]
)
def test_a_share_is_at_least_one(count: int, part: float, expected: int) -> None:
    """Where there is anything at all."""
    chosen = some(range(count), part, random.Random(1))  # noqa: S311 -- a fault's choice is no secret
    assert expected == len(set(chosen))


def test_the_same_seed_chooses_the_same() -> None:
    """A plan replays."""
    first, second = (some(range(100), 0.1, random.Random(3)) for _ in range(2))  # noqa: S311 -- as above
    assert first == second


def test_nothing_said_is_the_usual() -> None:
    """The first word, no number, all."""
    assert ("keep", None, 1.0) == (
        word(_planned(), "data", ("keep", "lose")),
        number(_planned(), "key"),
        share(_planned()),
    )


@pytest.mark.parametrize("text", ["0.5", "1", "1.0", "0.000001"])
def test_a_share_is_a_number_up_to_one(text: str) -> None:
    """Above 0."""
    assert float(text) == share(_planned(share=text))


@pytest.mark.parametrize("text", ["0", "0.0", "1.1", "-1", "nan", "1e-3", "half", "²"])
def test_anything_else_is_no_share(text: str) -> None:
    """One sentence that names the entry."""
    with pytest.raises(UsageError, match=r"\AFault «hit»: share=[^\n]+ is no share; [^\n]+\Z"):
        share(_planned(share=text))


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "²", "9" * 19])
def test_a_number_is_whole_and_fits_a_key(text: str) -> None:
    """A key is a bigint."""
    with pytest.raises(UsageError, match="is no whole number from 0"):
        number(_planned(key=text), "key")
