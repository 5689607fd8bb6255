"""Requests: an operation takes effect if, and only if, the request for it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.arrays import per
from orchestrator.verifier.columns import INSUFFICIENT, MISSING, NO_REQUEST
from orchestrator.verifier.durations import owners
from orchestrator.verifier.settling import FAIL, LOST, UNPUBLISHED
from orchestrator.verifier.verdict import Check, Named, Value, Witness
from orchestrator.verifier.words import attempt, counted, ending, operation, row_of, shown_of_each

if TYPE_CHECKING:
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts

NAME: Final = "requests"
_GHOST: Final = "ghost-effect"
_UNFULFILLED: Final = "unfulfilled-request"


def asked(facts: Facts) -> bool:
    """Some operation needs a request."""
    return facts.columns.meta.recording and bool((facts.columns.operations.requested >= 0).any())


def requests(facts: Facts) -> Check:
    """No effect is without a committed request, and no committed request without what it asked for."""
    columns, settled = facts.columns, facts.settled
    requested, size = columns.operations.requested, len(columns.operations.number)
    owner = owners(columns)
    ghosts = np.flatnonzero((requested == 0) & (per(owner, owner >= 0, size) > 0))
    dropped = (requested == 1) & (settled.operations == FAIL) & ~np.isin(settled.reason, (INSUFFICIENT, MISSING))
    undone = (requested == 1) & np.isin(settled.operations, (LOST, UNPUBLISHED))
    unfulfilled = np.flatnonzero(dropped | undone if facts.complete else dropped)
    open_ = 0 if facts.complete else int(undone.sum())
    found = len(ghosts) + len(unfulfilled)
    committed = int((requested == 1).sum())
    summary = f"{committed:,} of {counted(int((requested >= 0).sum()), 'request')} committed"
    summary += f"; {counted(len(ghosts), 'operation')} took effect without one" if len(ghosts) else ""
    summary += f"; {counted(len(unfulfilled), 'committed request')} unfulfilled" if len(unfulfilled) else ""
    summary += f"; {open_:,} undone where not all was gathered" if open_ else ""
    named = {**dict.fromkeys(ghosts.tolist(), _GHOST), **dict.fromkeys(unfulfilled.tolist(), _UNFULFILLED)}
    return Check(
        name=NAME,
        value=Value.INVALID if found else Value.UNKNOWN if open_ else Value.VALID,
        summary=summary,
        found=found,
        witnesses=shown_of_each(
            (ghosts, lambda place: _ghost(columns, place)),
            (unfulfilled, lambda place: _unfulfilled(facts, place)),
        ),
        named=tuple(
            Named(operation=int(columns.operations.number[place]), anomaly=named[place]) for place in sorted(named)
        ),
    )


def _ghost(columns: Columns, place: int) -> Witness:
    effects = columns.effects
    effect = int(np.flatnonzero(owners(columns) == place)[0])
    row, token = row_of(columns, effect), int(effects.token[effect])
    sentence = (
        f"{operation(columns, place).capitalize()} changed {row} at seq {effects.seq[effect]}, but the request for it"
        f" was never committed. A is {attempt(columns, int(effects.attempt[effect]))}."
    )
    number = int(columns.operations.number[place])
    return Witness(anomaly=_GHOST, sentence=sentence, attempts=(token,), operations=(number,), row=row)


def _unfulfilled(facts: Facts, place: int) -> Witness:
    columns, by = facts.columns, int(facts.settled.by[place])
    if facts.settled.operations[place] == FAIL:
        no_request = facts.settled.reason[place] == NO_REQUEST
        how = "found no request and dropped the task" if no_request else f"ended {ending(columns, by)}"
        story = f"A ({attempt(columns, by)}) {how}"
    elif facts.settled.operations[place] == LOST:
        story = "the operation is lost"
    else:
        story = "the operation was never published"
    tokens = (int(columns.attempts.token[by]),) if by >= 0 else ()
    sentence = f"The request for {operation(columns, place)} is committed, but {story}: it was not done."
    number = int(columns.operations.number[place])
    return Witness(anomaly=_UNFULFILLED, sentence=sentence, attempts=tokens, operations=(number,))
