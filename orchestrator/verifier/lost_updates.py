"""The check for lost updates, told attempt by attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.verifier.verdict import Witness
from orchestrator.verifier.words import attempt, counted, judged, row_of, shown, values

if TYPE_CHECKING:
    from orchestrator.verifier.facts import Facts
    from orchestrator.verifier.verdict import Check


def lost_updates(facts: Facts) -> Check:
    """No attempt overwrote a write of another that it had not seen."""
    reads = facts.reads
    stale = np.flatnonzero(reads.stale)
    read = int((reads.seq >= 0).sum())
    unknown = int(reads.unknown.sum())
    summary = f"{counted(len(stale), 'lost update')} in {counted(read, 'write')} that followed a read"
    if blind := len(reads.seq) - read - unknown:
        summary += f"; {counted(blind, 'write')} without a read before it"
    if unknown:
        summary += f"; {counted(unknown, 'write')} with reads unknown"
    return judged("lost updates", len(stale), summary, shown(stale, lambda place: witness_of(facts, place)))


def witness_of(facts: Facts, place: int) -> Witness:
    """The story of one lost update."""
    columns, effects = facts.columns, facts.columns.effects
    seen, seq, row = int(facts.reads.seq[place]), int(effects.seq[place]), row_of(columns, place)
    victims = _unseen(facts, place)
    victim = int(victims[0])
    (mine_before, mine_after), (other_before, other_after) = values(columns, place), values(columns, victim)
    more = f" (and {counted(len(victims) - 1, 'more write')})" if len(victims) > 1 else ""
    one, other = (attempt(columns, int(effects.attempt[at])) for at in (place, victim))
    sentence = (
        f"A read {row} at seq {seen}, B committed seq {effects.seq[victim]} ({other_before} -> {other_after}){more},"
        f" then A overwrote it with seq {seq} ({mine_before} -> {mine_after}) without having seen it:"
        f" B's write is lost. A is {one}; B is {other}."
    )
    owners = tuple(int(columns.operations.number[at]) for at in effects.operation[[place, victim]] if at >= 0)
    tokens = (int(effects.token[place]), int(effects.token[victim]))
    return Witness(anomaly="lost-update", sentence=sentence, attempts=tokens, operations=owners, row=row)


def _unseen(facts: Facts, place: int) -> list[int]:
    """The effects of others that the attempt overwrote without having read them, oldest first."""
    effects, seen = facts.columns.effects, facts.reads.seq[place]
    found: list[int] = []
    at = place - 1
    while at >= 0 and effects.row[at] == effects.row[place] and effects.seq[at] > seen:
        if effects.token[at] != effects.token[place]:
            found.append(at)
        at -= 1
    return found[::-1]
