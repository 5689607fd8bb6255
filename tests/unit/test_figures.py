"""Figures are what design.md defines, from the history alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.reports.figures import Figures, figures
from orchestrator.verifier import Value, verify
from tests.unit.histories import OFFSETS, TURN_NS, deduct, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft


def of(draft: Draft) -> Figures:
    """The history's figures."""
    history = draft.history()
    return figures(history, verify(history))


def test_a_quiet_run_has_the_figures_of_its_plan() -> None:
    """Each operation in one attempt of a turn and a half."""
    expected = Figures(
        scenario="credits",
        strategy="pessimistic",
        isolation="read committed",
        operations=4,
        ok=3,
        fail=1,
        info=0,
        lost=0,
        unpublished=0,
        attempts=4,
        conflict_rate=0.0,
        give_ups=0,
        refused=1,
        lost_updates=0,
        overlaps=4,
        p50_ms=1.5,
        p95_ms=1.5,
        p99_ms=1.5,
        max_ms=1.5,
        operations_per_s=2.0,
        verdict=Value.VALID,
    )
    assert expected == of(race(deduct(0, 5), grant(0, 3), deduct(0, 900), grant(0, 1), seconds=2.0))


def test_an_empty_run_has_no_latencies() -> None:
    """Nothing is None, not zero."""
    empty = of(race(seconds=0.0))
    assert (0, 0.0, None, None, None) == (
        empty.attempts,
        empty.conflict_rate,
        empty.p50_ms,
        empty.max_ms,
        empty.operations_per_s,
    )


@pytest.mark.parametrize("reason", ["version", "serialization", "deadlock", "lock-timeout"])
def test_conflicts_are_counted_over_all_attempts(reason: str) -> None:
    """Each kind of abort by another attempt counts."""
    draft = race(grant(0, 1), grant(0, 1), grant(0, 1))
    draft.add_attempt(0, outcome="fail", reason=reason, final=False)
    assert 0.25 == of(draft).conflict_rate


@pytest.mark.parametrize("reason", ["insufficient", "missing", "duplicate", "lost-connection", "error"])
def test_other_ends_are_no_conflicts(reason: str) -> None:
    """Refusals, duplicates and errors have nothing to do with other attempts' timing."""
    draft = race(grant(0, 1))
    draft.add_attempt(0, outcome="fail", reason=reason)
    assert 0.0 == of(draft).conflict_rate


def test_give_ups_are_operations_whose_last_attempt_met_a_conflict() -> None:
    """An operation that a later attempt saved is none."""
    draft = race(grant(0, 1))
    draft.add_attempt(0, outcome="fail", reason="version")
    draft.add_attempt(draft.add_operation(grant(0, 1)), outcome="fail", reason="version")
    draft.add_attempt(draft.add_operation(grant(0, 1)), outcome="fail", reason="error")
    found = of(draft)
    assert (1, 2, 1) == (found.ok, found.fail, found.give_ups)


def test_lost_unpublished_and_unsettled_operations_are_counted_apart() -> None:
    """None of them is a failure."""
    draft = race(grant(0, 1))
    draft.add_operation(grant(0, 1))
    draft.add_operation(grant(0, 1), confirmed=False)
    draft.add_attempt(draft.add_operation(grant(0, 1)), outcome="info", reason=None, end_ns=None, final=False)
    found = of(draft)
    assert (1, 0, 1, 1, 1) == (found.ok, found.fail, found.info, found.lost, found.unpublished)


def test_lost_updates_are_counted() -> None:
    """One per effect that overwrote what its attempt had not seen."""
    draft = race(grant(0, 1), grant(0, 1))
    draft.read_of(1)["seq"] = 0
    assert 1 == of(draft).lost_updates


def test_latency_runs_from_the_first_attempt_to_the_settling_one() -> None:
    """A duplicate delivered later adds nothing, an earlier failure does."""
    draft = race(grant(0, 1))
    attempt = draft.attempts[0]
    earlier = {"start_ns": attempt["start_ns"] - 3_000_000, "end_ns": attempt["start_ns"] - 2_000_000}
    draft.add_attempt(0, outcome="fail", reason="version", final=False, **earlier)
    draft.add_attempt(0, outcome="fail", reason="duplicate")
    assert 4.5 == of(draft).max_ms


def test_latency_across_processes_is_taken_on_the_database_clock() -> None:
    """Local clocks have nothing to do with each other."""
    draft = race(grant(0, 1))
    first = draft.attempts[0]
    first.update(outcome="fail", reason="version", final=False)
    start = first["start_ns"] + OFFSETS[1] - OFFSETS[2] + 10 * TURN_NS
    later = draft.add_attempt(
        0, process=2, outcome="ok", reason=None, final=True, start_ns=start, end_ns=start + TURN_NS
    )
    draft.effects[0]["writer"] = later["token"]
    assert 11.0 == of(draft).max_ms


def test_latency_across_processes_without_clocks_is_not_told() -> None:
    """Nothing is guessed."""
    draft = race(grant(0, 1))
    draft.attempts[0].update(outcome="fail", reason="version", final=False)
    later = draft.add_attempt(0, process=2, outcome="ok", reason=None)
    draft.effects[0]["writer"] = later["token"]
    draft.clocks.clear()
    assert of(draft).max_ms is None


def test_an_operation_known_to_be_ok_by_its_effect_alone_has_no_latency() -> None:
    """Its attempt left no end."""
    draft = race(grant(0, 1), grant(1, 1))
    draft.crash(0)
    found = of(draft)
    assert (2, 1.5) == (found.ok, found.max_ms)
