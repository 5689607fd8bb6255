"""A judgement says what was looked for, what was not, and is never VALID for want of looking."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.verifier.dependencies import LEVELS, cycles, judge, judging
from orchestrator.verifier.dependencies.models import boundary, prohibited, strongest
from orchestrator.verifier.verdict import Value
from tests.unit.tiny import history

SKEW = "a: rx0 ry0 wx1 | b: rx0 ry0 wy1"


def test_nothing_to_check_is_unknown() -> None:
    """Writes that meet nobody's prove nothing."""
    assert Value.UNKNOWN is judge(history("a: wx1 | b: wy1")).value


@pytest.mark.parametrize("text", ["a@s: | b@s:", "a@s: wx1 | b@s: wy1", "a@s[0,1]: wx? | b@s[2,3]: wy?"])
def test_order_alone_is_nothing_to_check(text: str) -> None:
    """That one transaction came after another says nothing of the data."""
    judgement = judge(history(text))
    assert (Value.UNKNOWN, ()) == (judgement.value, judgement.strongest)


def test_no_transaction_is_unknown() -> None:
    """An empty history is not consistent, it is empty."""
    assert Value.UNKNOWN is judge(history("a!: rx0 wx1")).value


def test_a_read_is_something_to_check() -> None:
    """A read of what is there could have been of what is not."""
    assert Value.VALID is judge(history("a: rx0")).value


@pytest.mark.parametrize(
    ("level", "value"),
    [("strict-serializable", Value.INVALID), ("repeatable-read", Value.INVALID), ("snapshot-isolation", Value.VALID)],
)
def test_what_the_level_permits_is_told_and_not_judged(level: str, value: Value) -> None:
    """Write skew breaks repeatable read by Adya, and not snapshot isolation."""
    judgement = judge(history(SKEW), level)
    assert (value, {"G2-item": 1}) == (judgement.value, judgement.anomalies)
    assert ("repeatable-read",) == judgement.ruled_out


def test_missing_dependencies_are_unknown() -> None:
    """Where a reader left dependencies out, absence proves nothing; presence does."""
    lacking = {"dependencies of unread appends": "too many"}
    judgement = judge(replace(history("a: wx1 | b: rx1"), not_checked=lacking))
    assert (Value.UNKNOWN, ()) == (judgement.value, judgement.strongest)
    assert Value.INVALID is judge(replace(history(SKEW), not_checked=lacking)).value


def test_a_graph_that_would_not_fit_is_not_built() -> None:
    """Cycles that weren't searched for want of memory leave the history undecided, and it is said."""
    judgement = judge(history(SKEW), memory=10)
    assert (Value.UNKNOWN, {}) == (judgement.value, judgement.anomalies)
    assert "bytes" in judgement.gave_up[0]
    assert "want of memory" in judgement.certificate
    assert {"G2-item": 1} == judge(history(SKEW), memory=10**6).anomalies


def test_a_certified_history_needs_no_memory_for_a_graph() -> None:
    """Where every dependency leads forward, none is stored."""
    assert Value.VALID is judge(history("a: wx1 | b: rx1 wx2 | c: rx2"), memory=0).value


def test_a_search_that_ends_at_its_bound_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wasn't searched to the end is not absent."""
    monkeypatch.setattr(cycles, "BUDGET", -1)
    monkeypatch.setattr(cycles, "_UNCOMPILED", -1)
    monkeypatch.setattr(cycles, "_PATHS", 0)
    monkeypatch.setattr(cycles, "_PATHS_EACH", 0)
    judgement = judge(history(SKEW))
    assert (Value.UNKNOWN, {}) == (judgement.value, judgement.anomalies)
    assert ("G2-item: the search among 2 transactions ended at its bound",) == judgement.gave_up
    assert Value.VALID is judge(history(SKEW), "snapshot-isolation").value


def test_orders_that_were_not_recorded_are_not_claimed() -> None:
    """Without sessions and times no model that needs them survives."""
    assert ("serializable",) == judge(history("a: wx1 | b: rx1")).strongest
    assert ("strong-session-serializable",) == judge(history("a@s: wx1 | b@s: rx1")).strongest
    assert ("strong-serializable",) == judge(history("a@s[0,1]: wx1 | b@s[2,3]: rx1")).strongest


def test_the_certificate_counts_what_it_tested() -> None:
    """Each dependency is tested once: here ww, wr and rw."""
    certificate = judge(history("a: rx0 wx1 | b: rx1 wx2 | c: rx0")).certificate
    assert certificate.startswith("3 dependencies among 3 committed transactions")
    assert certificate.endswith("all lead forward, so there is no cycle")


def test_every_level_prohibits_something() -> None:
    """No level is passed by anything whatever."""
    assert [] == [level for level, model in LEVELS.items() if not prohibited(model)]


def test_the_boundary_of_nothing_is_nothing() -> None:
    """Where nothing was found, nothing is ruled out."""
    assert ((), ()) == boundary([])
    assert ("strong-serializable",) == strongest([], process=True, realtime=True)


def test_the_worst_is_told_first() -> None:
    """Witnesses of what no model permits stand before those of what many do."""
    names = [
        witness.anomaly for witness in judge(history("a: rx0 ry0 wx1 | b: rx0 ry0 wy1 | c: wz1 | d: wz1")).witnesses
    ]
    assert ["duplicate-version", "G2-item"] == names


def test_at_most_ten_witnesses_of_each_are_told() -> None:
    """Ten show what there is; the count says how much."""
    told = " | ".join(f"t{i}: rx{i + 50}" for i in range(12))
    judgement = judge(history(told))
    assert (12, judging.SHOWN) == (judgement.anomalies["garbage-read"], len(judgement.witnesses))
