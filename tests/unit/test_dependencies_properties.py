"""The judge finds what brute force finds in every small history, proves it, and never accuses a correct store."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from orchestrator.history import plain
from orchestrator.verifier.dependencies import CYCLES, judge
from orchestrator.verifier.verdict import Value
from tests.brute_force import check, objections
from tests.brute_lines import transactions
from tests.brute_literature import LITERATURE
from tests.brute_stores import serializable, snapshot_isolated
from tests.brute_strategies import texts
from tests.unit.tiny import history

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.verifier.verdict import Witness
    from tests.brute_literature import Example

CLASSES = frozenset(name + variant for name in CYCLES for variant in ("", "-process", "-realtime"))

#: What sessions promise, as the judgement calls it.
GUARANTEES = ("monotonic-reads", "read-your-writes", "monotonic-writes", "writes-follow-reads")


def agrees(text: str, *, shown: int | None = None) -> None:
    """Hold the judgement of a history against all that brute force finds in it, and `shown` small histories of each."""
    told = history(text)
    judgement, findings = judge(told), check(told)
    expected = {**findings.counts, **findings.sessions}
    assert expected == {name: count for name, count in judgement.anomalies.items() if name not in CLASSES}
    assert findings.reported == judgement.anomalies.keys() & CLASSES
    assert set() == set(judgement.at_least) - CLASSES
    assert () == judgement.gave_up
    assert (Value.INVALID is judgement.value) == bool(judgement.anomalies)
    if judgement.sessions:
        violations = {name: findings.sessions.get(f"{name}-violation", 0) for name in GUARANTEES}
        assert violations == judgement.sessions
    witnesses = {name: [w for w in judgement.witnesses if w.anomaly == name] for name in judgement.anomalies}
    for name, some in witnesses.items():
        assert [] != some
        assert [] == [objection for witness in some for objection in objections(told, witness)]
        assert [] == [witness for witness in some[:shown] if not _shows(witness, name)]


def _shows(witness: Witness, anomaly: str) -> bool:
    """Whether its small history, judged again, has the anomaly; the plain form can't say what versions don't show."""
    without_versions = any(step.row and step.before is None for step in witness.steps)
    if not witness.history and without_versions:
        return True
    return anomaly in judge(transactions(witness.history)).anomalies


#: The same examples in each run; a slow machine is no failure.
ALWAYS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=(HealthCheck.too_slow,),
    phases=(Phase.explicit, Phase.generate),
)


@given(text=texts())
@example(text="a[1,1]: rx0 | b[1,1]: rx0 | c[0,0]: rx0 | d[0,0]: rx0 | a -rw:x-> d | b -rw:x-> c")  # one moment twice
@example(text="a: wx1 wx4 | b: rx1 wx3 | c: wx2")  # without c the read would be an overwriting
@example(text="a@s[2,2]: rx0 | b[1,6]: wy1 | c[2,3]: ry1 | d[1,1]: wz2 | e@s[6,6]: wz1")  # c has no part in z
@settings(ALWAYS, max_examples=500)
def test_the_judge_agrees_with_brute_force(text: str) -> None:
    """Every anomaly is found, counted, named and proven as by the definitions."""
    agrees(text, shown=1)


@pytest.mark.parametrize("example", LITERATURE, ids=lambda example: example.name)
def test_a_history_of_the_literature_is_named(example: Example, tmp_path: Path) -> None:
    """It shows what it was written for and nothing else, and its witnesses do when they are read as files."""
    judgement = judge(history(example.text))
    assert {*example.cycles, *example.counts} == judgement.anomalies.keys()
    for witness in judgement.witnesses:
        path = tmp_path / "witness.jsonl"
        path.write_text("\n".join(map(json.dumps, witness.history)))
        if witness.history:
            assert witness.anomaly in judge(plain.read(path)).anomalies


@pytest.mark.prove
@pytest.mark.timeout(3600)
@given(text=texts())
@settings(max_examples=20_000, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
def test_the_judge_agrees_with_brute_force_in_20_000_tries(text: str) -> None:
    """Every anomaly is found, counted, named and proven as by the definitions."""
    agrees(text)


@given(seed=st.integers(0, 2**32), size=st.integers(1, 150), clients=st.integers(1, 12))
@settings(ALWAYS, max_examples=150)
def test_a_serializable_store_is_never_accused(seed: int, size: int, clients: int) -> None:
    """Overlapping intervals, aborted and unknown transactions and random sessions prove nothing against it."""
    told = history(serializable(Random(seed), size=size, clients=clients))  # noqa: S311 - no secret
    judgement = judge(told)
    assert {} == judgement.anomalies
    looked_at = bool((~told.write & (told.version >= 0) & (told.status == 0)[told.txn]).any())
    assert judgement.value in ({Value.VALID} if looked_at else {Value.VALID, Value.UNKNOWN})


@given(seed=st.integers(0, 2**32), size=st.integers(1, 60), clients=st.integers(1, 12))
@settings(ALWAYS, max_examples=100)
def test_a_store_under_snapshot_isolation_is_accused_of_write_skew_only(seed: int, size: int, clients: int) -> None:
    """What strong snapshot isolation prohibits is never found, and every write skew is proven."""
    told = history(snapshot_isolated(Random(seed), size=size, clients=clients))  # noqa: S311 - no secret
    for level in ("snapshot-isolation", "strong-session-snapshot-isolation", "strong-snapshot-isolation"):
        judgement = judge(told, level)
        assert Value.INVALID is not judgement.value
        assert set() == judgement.anomalies.keys() - {"G2-item", "G2-item-process", "G2-item-realtime"}
    assert [] == [objection for witness in judge(told).witnesses for objection in objections(told, witness)]
