"""Holds a witness against the history that it was found in: what it claims must follow from the definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.brute_anomalies import CHECKS
from tests.brute_cycles import KIND_NAMES, counting, name_of, reasons
from tests.brute_model import world

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.history.transactions import Names, Transactions
    from orchestrator.verifier.verdict import Step, Witness
    from tests.brute_model import World

_NUMBERS = {name: kind for kind, name in KIND_NAMES.items()}


def objections(history: Transactions, witness: Witness) -> list[str]:
    """All that is wrong with a witness; nothing, if it proves what it names."""
    known = world(history)
    if witness.steps:
        return list(_against_cycle(known, history.names, witness))
    return list(_against_list(known, history, witness))


def _against_cycle(known: World, names: Names, witness: Witness) -> Iterator[str]:
    """Steps that aren't, and a name that isn't the cycle's."""
    numbers = [participant.number for participant in witness.transactions]
    if len(set(numbers)) != len(numbers) or len(numbers) < 2:
        yield f"not a simple cycle: {numbers}"
    if not {t.number for t in known.committed}.issuperset(numbers):
        yield f"not all committed: {numbers}"
        return
    around = [(place, (place + 1) % len(numbers)) for place in range(len(numbers))]
    if around != [(step.source, step.target) for step in witness.steps]:
        yield f"the steps don't go round: {witness.steps}"
        return
    for step in witness.steps:
        yield from _against_step(known, names, step, numbers)
    name = name_of([_NUMBERS[step.kind] for step in witness.steps])
    if name != witness.anomaly:
        yield f"the cycle is {name}, not {witness.anomaly}"


def _against_step(known: World, names: Names, step: Step, numbers: Sequence[int]) -> Iterator[str]:
    """A step of which the edge isn't there, or isn't the strongest, or has another reason."""
    source, target = (known.everybody[numbers[place]] for place in (step.source, step.target))
    found = list(reasons(known, source, target))
    kind = _NUMBERS[step.kind]
    if kind not in counting(kind for kind, _ in found):
        yield f"{source.number} -> {target.number} is not {step.kind}: {found}"
        return
    told = (step.row, step.before, step.after)
    said = [
        (None if row < 0 else names.row(row), before, after) for other, (row, before, after) in found if other == kind
    ]
    if told not in said:
        yield f"the reason of {source.number} {step.kind} {target.number} is not {told}: {said}"


def _against_list(known: World, history: Transactions, witness: Witness) -> Iterator[str]:
    """An anomaly without a cycle that these transactions don't show on this row."""
    numbers = [participant.number for participant in witness.transactions]
    if any(
        found.anomaly == witness.anomaly and list(found.transactions) == numbers for found in history.found
    ):  # the reader's own, which shows in its format only
        return
    instances = list(CHECKS[witness.anomaly](known)) if witness.anomaly in CHECKS else []
    if not any(
        instance.shown_by(numbers) and witness.row in {None, history.names.row(instance.row)} for instance in instances
    ):
        yield f"{numbers} don't show {witness.anomaly} on {witness.row}: {instances}"
