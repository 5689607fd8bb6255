"""A judgement held to a level: what of it the level prohibits, in words and witnesses."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from orchestrator.verifier.dependencies import ANOMALIES, LEVELS, rules_out
from orchestrator.verifier.words import SHOWN

if TYPE_CHECKING:
    from collections.abc import Collection

    from orchestrator.verifier.verdict import Judgement, Witness

#: What is proven by something that isn't there, which may be among what was not gathered.
BY_ABSENCE: Final = frozenset(("version-gap", "garbage-read", "G1a"))


def prohibited(judgement: Judgement, level: str, *, complete: bool) -> dict[str, int]:
    """The anomalies that a level prohibits, with their counts; where not all was gathered, none that absence proves."""
    unproven = frozenset() if complete else BY_ABSENCE
    found = ((name, count) for name, count in judgement.anomalies.items() if name not in unproven)
    return {name: count for name, count in found if rules_out(name, LEVELS[level])}


def undecided(judgement: Judgement, level: str) -> tuple[str, ...]:
    """Searches for what the level prohibits that ended at their bound, or were not begun."""
    return tuple(
        each
        for each in judgement.gave_up
        if (name := each.partition(":")[0]) not in ANOMALIES or rules_out(name, LEVELS[level])
    )


def listed(judgement: Judgement, names: Collection[str]) -> str:
    """The anomalies with their counts: "3 lost-update, at least 12 G-single-item"."""
    few = ("at least " if name in judgement.at_least else "" for name in names)
    return ", ".join(f"{least}{judgement.anomalies[name]:,} {name}" for least, name in zip(few, names, strict=True))


def witnesses(judgement: Judgement, names: Collection[str]) -> tuple[Witness, ...]:
    """The first witness of each anomaly, then the second of each, and so on."""
    told: dict[str, list[Witness]] = {}
    for witness in judgement.witnesses:
        if witness.anomaly in names:
            told.setdefault(witness.anomaly, []).append(witness)
    rounds = zip_longest(*told.values())
    return tuple(witness for each in rounds for witness in each if witness is not None)[:SHOWN]
