"""Lost operations, each with the fault that fell into its window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.blame import Blame
from orchestrator.verifier.settling import LOST
from orchestrator.verifier.verdict import Check, Named, Value, Witness
from orchestrator.verifier.words import counted, ending, judged, operation, shown

if TYPE_CHECKING:
    from orchestrator.verifier.blame import Blamed
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts

NAME: Final = "lost operations"
_ANOMALY: Final = "lost-operation"


def lost_operations(facts: Facts) -> Check:
    """No operation vanished: confirmed by the broker, nothing left to wait for, and neither effect nor final end."""
    columns = facts.columns
    lost = np.flatnonzero(facts.settled.operations == LOST)
    if not columns.meta.drained:
        return Check(name=NAME, value=Value.UNKNOWN, summary="gathering ended before queue and workers were empty")
    total = counted(len(columns.operations.number), "operation")
    summary = f"{len(lost):,} of {total} lost"
    blame = Blame(columns)
    named = tuple(_named(columns, place, blame.of(place)) for place in lost.tolist())
    if len(lost) and columns.meta.gaps:
        summary += ", or among what could not be gathered"
        return Check(name=NAME, value=Value.UNKNOWN, summary=summary, named=named)
    witnesses = shown(lost, lambda place: _witness(columns, place, blame.of(place)))
    return judged(NAME, len(lost), summary, witnesses, named)


def _named(columns: Columns, place: int, blamed: Blamed) -> Named:
    number = int(columns.operations.number[place])
    return Named(operation=number, anomaly=_ANOMALY, note=blamed.sentence, faults=blamed.names)


def _witness(columns: Columns, place: int, blamed: Blamed) -> Witness:
    tried = np.flatnonzero(columns.attempts.operation == place)
    history = "no attempt ever started"
    if len(tried):
        history = f"its {counted(len(tried), 'attempt')} ended without effect ({ending(columns, int(tried[-1]))})"
    sentence = (
        f"{operation(columns, place).capitalize()} was confirmed by the broker, {history}, and nothing is queued,"
        " unacknowledged or running: it is lost."
    )
    number = int(columns.operations.number[place])
    tokens = tuple(columns.attempts.token[tried[:10]].tolist())
    told = f"{sentence} {blamed.sentence}".rstrip()
    return Witness(anomaly=_ANOMALY, sentence=told, attempts=tokens, operations=(number,))
