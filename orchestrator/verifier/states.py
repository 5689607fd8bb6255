"""Walks over all effects once, holding each to its operation's intent and each state to the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.verifier.arrays import NONE, documents
from orchestrator.verifier.rules import RULES
from orchestrator.verifier.updates import superseded

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.rules import Rules

#: How an effect relates to its operation's intent, by code.
FITS, UNFIT, STRAY, UNJUDGED = range(4)

#: Level of a state in which the row is not there: never too low.
ABSENT: Final = 2**63 - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class States:
    """What the walk found, per effect."""

    fit: Ints
    #: The state after the effect breaks a business rule.
    faulty: Flags
    #: The level after the effect.
    level: Ints
    #: Per planned row, of its initial state.
    initial_faulty: Flags
    initial_level: Ints


def rules_of(columns: Columns) -> Rules | None:
    """The scenario's rules, or None where the verifier doesn't know the scenario."""
    return RULES.get(columns.meta.scenario)


def walk(columns: Columns) -> States:
    """Decode every effect's values once and judge them; what is returned are numbers."""
    rules = rules_of(columns)
    count, planned = len(columns.effects.row), columns.rows.planned
    states = States(
        fit=np.full(count, UNJUDGED, dtype=np.int64),
        faulty=np.zeros(count, dtype=np.bool_),
        level=np.full(count, ABSENT, dtype=np.int64),
        initial_faulty=np.zeros(planned, dtype=np.bool_),
        initial_level=np.full(planned, ABSENT, dtype=np.int64),
    )
    if rules is not None:
        for at, state in enumerate(documents(columns.rows.initial, np.arange(planned))):
            states.initial_faulty[at], states.initial_level[at] = _judge(rules, state)
        _walk_effects(columns, rules, states)
    return states


def _walk_effects(columns: Columns, rules: Rules, states: States) -> None:
    effects, operations = columns.effects, columns.operations
    known = np.maximum(effects.operation, 0)  # any operation will do where none is known: it isn't asked
    rows, owners = effects.row.tolist(), effects.operation.tolist()
    parameters = documents(operations.params, known) if len(operations.number) else iter([None] * len(rows))
    pairs = zip(
        documents(effects.before, effects.order), documents(effects.after, effects.order), parameters, strict=True
    )
    # A row written twice in one transaction is one change: from what the first write saw to what the last one left.
    partial, base = superseded(columns).tolist(), None
    for at, (seen, after, params) in enumerate(pairs):
        before = base if at and partial[at - 1] else seen
        base = before
        if after is not None:
            states.faulty[at], states.level[at] = _judge(rules, after)
        if partial[at]:
            states.fit[at] = FITS
        elif owners[at] != NONE:
            kind = operations.kinds[operations.kind[owners[at]]]
            row = rows[at]
            stray = columns.rows.relations[row] != rules.relation
            states.fit[at] = STRAY if stray else _fit(rules, kind, params, columns.rows.keys[row], before, after)


def _fit(rules: Rules, kind: str, params: dict[str, Any], key: str, before: Any, after: Any) -> int:  # noqa: ANN401  # JSON
    try:
        intended = rules.change(kind, params, key, before)
    except (KeyError, TypeError):  # the row is not of the scenario's shape, so no intent leads to it
        return UNFIT
    if intended is None:
        return STRAY
    return FITS if intended == after else UNFIT


def _judge(rules: Rules, state: Any) -> tuple[bool, int]:  # noqa: ANN401  # JSON
    """Does the state break a rule, and its level."""
    return not isinstance(state, dict) or rules.fault(state) is not None, level_of(rules, state, ABSENT)


def level_of(rules: Rules, state: Any, absent: int) -> int:  # noqa: ANN401  # JSON
    """The state's level, kept within 64 bits; `absent` for a state that has none."""
    try:
        return max(-ABSENT, min(ABSENT, rules.level(state)))
    except (KeyError, TypeError, ValueError):  # the row is not of the scenario's shape
        return absent
