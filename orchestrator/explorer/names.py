"""What workers are called in listings, sentences and tokens."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def name_of(worker: int, names: Sequence[str] = ()) -> str:
    """Give a worker's own name, else its letter: A to Z, then AA."""
    if worker < len(names):
        return names[worker]
    over, letter = divmod(worker, len(ascii_uppercase))
    return (name_of(over - 1) if over else "") + ascii_uppercase[letter]


def listed(names: Sequence[str]) -> str:
    """Put names into a sentence: "A, B and C"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
