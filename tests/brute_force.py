"""A checker that enumerates everything: no cleverness, so that it can be believed against the clever one.

`check` finds every anomaly of a small history; `objections` says what is wrong with a witness of a history of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.brute_anomalies import CHECKS, SESSIONS
from tests.brute_cycles import cycle_names, graph, reported
from tests.brute_model import world
from tests.brute_proof import objections

if TYPE_CHECKING:
    from orchestrator.history.transactions import Transactions

__all__ = ["Findings", "check", "objections"]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a history shows."""

    #: The anomalies that need no graph, with their numbers; only those that are there.
    counts: dict[str, int]
    #: Of them, those of session guarantees.
    sessions: dict[str, int]
    #: The names of all cycles that exist, and of those that a checker must report.
    cycles: frozenset[str]
    reported: frozenset[str]


def check(history: Transactions) -> Findings:
    """Every anomaly of a history of few transactions; the time grows with the number of its cycles."""
    known = world(history)
    edges = graph(known)
    counts = {name: sum(instance.count for instance in find(known)) for name, find in CHECKS.items()}
    for found in history.found:
        if found.anomaly not in history.counts:
            counts[found.anomaly] = counts.get(found.anomaly, 0) + 1
    counts.update(history.counts)
    return Findings(
        counts={name: count for name, count in counts.items() if count and name not in SESSIONS},
        sessions={name: count for name, count in counts.items() if count and name in SESSIONS},
        cycles=cycle_names(edges),
        reported=reported(edges),
    )
