"""Business rules: every state obeys them, credits are conserved, acknowledged changes are present."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.verifier.arrays import documents, holds
from orchestrator.verifier.settling import OK
from orchestrator.verifier.states import level_of, rules_of
from orchestrator.verifier.updates import superseded
from orchestrator.verifier.verdict import Check, Value, Witness
from orchestrator.verifier.words import SHOWN, attempt, counted, judged, row_of, shown, values

if TYPE_CHECKING:
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts
    from orchestrator.verifier.rules import Rules

STATES: Final = "business rules"
SUMS: Final = "conserved"


def business_rules(facts: Facts) -> Check:
    """No state of any row breaks a business rule: credits below zero, a configuration that doesn't fit its schema."""
    columns, states = facts.columns, facts.states
    rules = rules_of(columns)
    if rules is None:
        return Check(name=STATES, value=Value.UNKNOWN, summary="the verifier knows no rules of this scenario")
    faulty, initial = np.flatnonzero(states.faulty), int(states.initial_faulty.sum())
    found = len(faulty) + initial
    summary = f"{counted(len(states.faulty) + len(states.initial_faulty), 'state')} looked at"
    if found:
        summary += f", {counted(found, 'breaks', 'break')} a rule"
    witnesses = (
        *shown(faulty, lambda place: _faulty(columns, rules, place)),
        *shown(np.flatnonzero(states.initial_faulty), lambda row: _faulty_at_first(columns, rules, row)),
    )
    return judged(STATES, found, summary, witnesses[:SHOWN])


def conserved(facts: Facts) -> Check:
    """What all rows hold together is what they held at first, plus and minus what was acknowledged."""
    columns = facts.columns
    rules = rules_of(columns)
    if rules is None or rules.conserved is None:
        return _present(facts, rules)
    expected, sums = _sums(facts, rules)
    actual = sums[1]
    summary = f"{rules.conserved}: {sums[0]:,} at first, {actual:,} at the end, {expected:,} expected"
    if actual == expected:
        return judged(SUMS, 0, summary)
    story = "too many" if actual > expected else "missing"
    sentence = (
        f"All rows held {sums[0]:,} {rules.conserved} at first; with every acknowledged operation they should hold"
        f" {expected:,} at the end, but they hold {actual:,}: {abs(actual - expected):,} {story}."
    )
    return judged(SUMS, 1, summary, (Witness(anomaly="not-conserved", sentence=sentence),))


def _sums(facts: Facts, rules: Rules) -> tuple[int, tuple[int, int]]:
    """The sum expected at the end, and the sums at first and at the end."""
    columns, everyone = facts.columns, np.arange(facts.columns.rows.planned)
    first, last = (
        sum(level_of(rules, row, 0) for row in documents(texts, everyone))
        for texts in (columns.rows.initial, columns.rows.final)
    )
    done = np.flatnonzero(facts.settled.operations == OK)
    kinds = (columns.operations.kinds[kind] for kind in columns.operations.kind[done].tolist())
    flows = zip(kinds, documents(columns.operations.params, done), strict=True)
    return first + sum(rules.flow(kind, params) for kind, params in flows), (first, last)


def _present(facts: Facts, rules: Rules | None) -> Check:
    """Every acknowledged change is present, or overwritten by a later one: the rows equal the fold of intents."""
    columns = facts.columns
    if rules is None:
        return Check(name=SUMS, value=Value.UNKNOWN, summary="the verifier knows no intents of this scenario")
    folded, folds = _fold(facts, rules)
    final = list(documents(columns.rows.final, np.arange(columns.rows.planned)))
    wrong = [row for row, state in enumerate(folded) if state != final[row]]
    witnesses = tuple(_absent(columns, row, folded[row], final[row]) for row in wrong[:10])
    summary = f"{counted(folds, 'acknowledged change')} on {counted(len(final), 'row')}"
    summary += (
        f"; {counted(len(wrong), 'row lacks', 'rows lack')} some" if wrong else " present or overwritten by later ones"
    )
    return judged(SUMS, len(wrong), summary, witnesses)


def _fold(facts: Facts, rules: Rules) -> tuple[list[Any], int]:
    """Each row's initial state with the intents of all acknowledged changes, in the order of their seq."""
    columns, effects = facts.columns, facts.columns.effects
    states = list(documents(columns.rows.initial, np.arange(columns.rows.planned)))
    ok = holds(facts.settled.operations == OK, effects.operation)
    chosen = np.flatnonzero(ok & (effects.row < columns.rows.planned) & ~superseded(columns))
    owners = effects.operation[chosen]
    parameters = documents(columns.operations.params, owners)
    for row, owner, params in zip(effects.row[chosen].tolist(), owners.tolist(), parameters, strict=True):
        kind = columns.operations.kinds[columns.operations.kind[owner]]
        states[row] = rules.change(kind, params, columns.rows.keys[row], states[row]) or states[row]
    return states, len(chosen)


def _absent(columns: Columns, row: int, folded: Any, final: Any) -> Witness:  # noqa: ANN401  # JSON
    name = columns.rows.name(row)
    wanted, held = _flat(folded), _flat(final)
    fields = [field for field in {**wanted, **held} if wanted.get(field) != held.get(field)]
    story = "; ".join(f"{field} should be {wanted.get(field)} and is {held.get(field)}" for field in fields)
    sentence = f"{name} lacks acknowledged changes that no later one overwrote: {story or 'the row is gone'}."
    return Witness(anomaly="change-absent", sentence=sentence, row=name)


def _flat(state: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    if not isinstance(state, dict):
        return {}
    nested = state.get("config")
    return nested if isinstance(nested, dict) else state


def _fault(rules: Rules, state: Any) -> str | None:  # noqa: ANN401  # JSON
    return rules.fault(state) if isinstance(state, dict) else "it is no object"


def _faulty_at_first(columns: Columns, rules: Rules, row: int) -> Witness:
    name, text = columns.rows.name(row), columns.rows.initial[row].as_py()
    fault = _fault(rules, next(documents(columns.rows.initial, np.array([row]))))
    sentence = f"{name} broke a rule before the first operation ran: {fault} ({text})."
    return Witness(anomaly="rule-broken-at-first", sentence=sentence, row=name)


def _faulty(columns: Columns, rules: Rules, place: int) -> Witness:
    effects, row = columns.effects, row_of(columns, place)
    fault = _fault(rules, next(documents(effects.after, effects.order[[place]])))
    before, after = values(columns, place)
    sentence = (
        f"A changed {row} at seq {effects.seq[place]} from {before} to {after}, which breaks a rule: {fault}."
        f" A is {attempt(columns, int(effects.attempt[place]))}."
    )
    return Witness(anomaly="rule-broken", sentence=sentence, attempts=(int(effects.token[place]),), row=row)
