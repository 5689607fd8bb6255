"""Options that choose: a word of a few, a number, a share of what is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from orchestrator.faults.model import Planned

Item = TypeVar("Item")
Word = TypeVar("Word", bound=str)

_SHARE: Final = re.compile(r"[01](?:\.[0-9]{1,6})?")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


def word(planned: Planned, name: str, words: Sequence[Word]) -> Word:
    """One of these words; the first where the plan says nothing."""
    given = planned.options.get(name, words[0])
    for each in words:
        if given == each:
            return each
    raise UsageError(f"Fault «{planned.text}»: {name}={given} is none of {', '.join(words)}.")


def number(planned: Planned, name: str) -> int | None:
    """A whole number from 0; None where the plan says nothing."""
    given = planned.options.get(name)
    if given is None:
        return None
    if not _NUMBER.fullmatch(given):
        raise UsageError(f"Fault «{planned.text}»: {name}={given} is no whole number from 0.")
    return int(given)


def share(planned: Planned) -> float:
    """How much of what is there is struck: above 0, up to 1, which is all."""
    given = planned.options.get("share", "1")
    if not _SHARE.fullmatch(given) or not 0 < float(given) <= 1:
        raise UsageError(f"Fault «{planned.text}»: share={given} is no share; write a number above 0 and up to 1.")
    return float(given)


def some(items: Sequence[Item], part: float, chance: random.Random) -> list[Item]:
    """So large a share of them, at least one, chosen by chance."""
    return chance.sample(items, max(1, round(part * len(items)))) if items else []
