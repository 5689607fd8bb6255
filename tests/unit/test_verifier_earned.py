"""VALID must be earned: a run that shows nothing is UNKNOWN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier import CONSISTENT, Value, verify
from orchestrator.verifier.facts import Facts
from tests.unit.histories import TURN_NS, check, deduct, grant, race, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft


def busy(**meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """Ten operations of two workers on one row."""
    return race(*(grant(0, 1) for _ in range(10)), **meta)


def apart(draft: Draft, gap: int = 10 * TURN_NS) -> Draft:
    """Let every attempt begin long after the one before has ended."""
    places = {attempt["token"]: place for place, attempt in enumerate(draft.attempts)}
    for attempt in draft.attempts:
        attempt["start_ns"] += places[attempt["token"]] * gap
        attempt["end_ns"] += places[attempt["token"]] * gap
    for access in draft.accesses:
        access["at_ns"] += places[access["token"]] * gap
    for effect in draft.effects:
        effect["at_us"] += places[effect["writer"]] * gap // 1000
    return draft


def one_worker(draft: Draft) -> Draft:
    """Let one process have run everything."""
    for attempt in draft.attempts:
        attempt["process"] = 1
    return draft


def test_a_run_that_did_its_work_is_valid() -> None:
    """Every check holds, and so does the whole."""
    assert verify(busy(min_overlaps=10).history()).value is Value.VALID


def _never_overlapping(draft: Draft) -> None:
    apart(draft)


def _one_worker(draft: Draft) -> None:
    one_worker(draft)


def _nothing_ran(draft: Draft) -> None:
    draft.attempts.clear()
    draft.accesses.clear()
    draft.effects.clear()
    draft.operations.clear()
    for row in draft.rows:
        row.update(final=row["initial"], final_version=1, final_seq=0, final_writer=0)


def _all_fail(draft: Draft) -> None:
    for operation in range(10):
        draft.refuse(operation, "error")
    draft.effects.clear()
    for row in draft.rows:
        row.update(final=row["initial"], final_version=1, final_seq=0, final_writer=0)


def _interrupted(draft: Draft) -> None:
    draft.meta["interrupted"] = True


def _timed_out(draft: Draft) -> None:
    draft.meta["timed_out"] = True


def _unrecorded(draft: Draft) -> None:
    draft.meta["recording"] = False


def _not_all_published(draft: Draft) -> None:
    draft.meta["planned"] = 11


def _gaps(draft: Draft) -> None:
    draft.meta["gaps"] = ("a journal is missing",)


def _unmet(draft: Draft) -> None:
    draft.meta["unmet"] = ("a fault never struck",)


def _undrained(draft: Draft) -> None:
    draft.meta["drained"] = False


def _unsettled(draft: Draft) -> None:
    number = draft.add_operation(grant(1, 1))
    draft.add_attempt(number, outcome="info", reason=None, end_ns=None, final=False)


def _unpublished(draft: Draft) -> None:
    draft.add_operation(grant(1, 1), confirmed=False)


def _few_nodes(draft: Draft) -> None:
    draft.meta["min_nodes"] = 3


def _few_hosts(draft: Draft) -> None:
    draft.meta["min_hosts"] = 2


def _few_processes(draft: Draft) -> None:
    draft.meta["min_processes"] = 3


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (_never_overlapping, "overlap"),
        (_one_worker, "overlap"),
        (_nothing_ran, "complete"),
        (_nothing_ran, "work"),
        (_nothing_ran, "overlap"),
        (_all_fail, "work"),
        (_interrupted, "complete"),
        (_timed_out, "complete"),
        (_unrecorded, "complete"),
        (_not_all_published, "complete"),
        (_gaps, "complete"),
        (_unmet, "complete"),
        (_undrained, "complete"),
        (_unsettled, "complete"),
        (_unpublished, "complete"),
        (_few_nodes, "fleet"),
        (_few_hosts, "fleet"),
        (_few_processes, "fleet"),
    ],
)
def test_a_run_that_did_not_earn_it_is_unknown(spoil: Callable[[Draft], None], name: str) -> None:
    """Each shortcoming alone makes the verdict UNKNOWN, by the check that names it."""
    draft = busy()
    spoil(draft)
    assert check(draft, name).value is Value.UNKNOWN
    assert verify(draft.history()).value is Value.UNKNOWN


def test_ninety_nine_give_ups_and_one_success_are_unknown() -> None:
    """One operation done proves nothing about the others."""
    draft = race(grant(0, 1))
    for _ in range(99):
        draft.add_attempt(draft.add_operation(grant(0, 1)), outcome="fail", reason="version")
    assert check(draft, "work").value is Value.UNKNOWN
    assert verify(draft.history()).value is Value.UNKNOWN


@pytest.mark.parametrize(("done", "expected"), [(5, Value.VALID), (4, Value.UNKNOWN)])
def test_the_share_asked_is_enough(done: int, expected: Value) -> None:
    """Half of ten, where half is asked."""
    draft = race(*(grant(0, 1) for _ in range(done)))
    reasons = ["version", *["error"] * 10][: 10 - done]
    for reason in reasons:
        draft.add_attempt(draft.add_operation(grant(0, 1)), outcome="fail", reason=reason)
    found = check(draft, "work")
    assert found.value is expected
    assert f"(0 refused, 1 given up, {9 - done} failed)" in found.summary


def test_the_fleet_asked_is_enough() -> None:
    """Two nodes and two processes ran attempts on one host."""
    assert check(busy(min_nodes=2, min_hosts=1, min_processes=2), "fleet").value is Value.VALID


@pytest.mark.parametrize(
    ("idempotency", "ended", "expected"),
    [(False, False, Value.UNKNOWN), (False, True, Value.VALID), (True, False, Value.VALID)],
)
def test_without_the_guard_an_attempt_that_may_still_commit_leaves_its_operation_open(
    *, idempotency: bool, ended: bool, expected: Value
) -> None:
    """Another attempt settled the operation, and this one may apply it once more."""
    draft = busy(idempotency=idempotency)
    draft.add_attempt(3, outcome="info", reason=None, end_ns=None, final=False, backend_ended=ended)
    assert check(draft, "complete").value is expected


def test_an_interrupted_run_with_a_witness_is_invalid() -> None:
    """What was proven stays proven."""
    draft = busy(interrupted=True)
    draft.read_of(5)["seq"] = 2
    assert verify(draft.history()).value is Value.INVALID


def test_refusals_by_business_rules_are_no_missing_work() -> None:
    """What the rules don't allow needn't be done."""
    draft = race(*(deduct(0, 900) for _ in range(9)), deduct(0, 1))
    assert check(draft, "work").value is Value.VALID


def test_nothing_but_refusals_is_no_work() -> None:
    """A run in which nothing could be done shows nothing."""
    assert check(race(deduct(0, 900)), "work").value is Value.UNKNOWN


def test_a_run_that_asks_for_no_overlap_is_exempt() -> None:
    """Foreign histories and single schedules of a search."""
    assert verify(apart(busy(min_overlaps=0)).history()).value is Value.VALID


def met(draft: Draft) -> int:
    """How many attempts provably met another worker's."""
    return int(Facts(draft.history()).overlapping.sum())


def test_every_attempt_that_met_another_is_counted() -> None:
    """Each of ten attempts in a row meets the one before or after it."""
    assert met(busy()) == 10


def test_the_clocks_error_is_taken_off_each_window() -> None:
    """An overlap that the error could explain is none."""
    draft = busy()
    for clock in draft.clocks:
        clock["error_ns"] = TURN_NS
    assert met(draft) == 0


def test_without_clocks_no_window_proves_anything() -> None:
    """Two processes' clocks have nothing to do with each other."""
    draft = busy()
    draft.clocks.clear()
    assert met(draft) == 0


def test_attempts_on_different_rows_do_not_meet() -> None:
    """Overlapping in time is not enough."""
    assert met(race(*(grant(number, 1) for number in range(3)))) == 0


def test_attempts_meet_on_any_row_that_they_touch() -> None:
    """A transfer is open on its target as well as on its source."""
    assert met(race(transfer(0, 1, 5), grant(1, 3))) == 2
    assert met(race(transfer(0, 1, 5), grant(0, 3))) == 2


def test_a_stale_read_proves_an_overlap_without_a_clock() -> None:
    """Another's commit came between its read and its write."""
    draft = busy()
    draft.clocks.clear()
    draft.read_of(5)["seq"] = 2
    assert met(draft) == 1


@pytest.mark.parametrize(("reason", "expected"), [("version", 1), ("serialization", 1), ("error", 0)])
def test_an_abort_by_another_proves_an_overlap_without_a_clock(reason: str, expected: int) -> None:
    """Failed version checks and serialization failures need another's commit."""
    draft = apart(busy())
    draft.add_attempt(0, outcome="fail", reason=reason, final=False)
    assert met(draft) == expected


def test_an_abort_with_one_worker_proves_nothing() -> None:
    """There was nobody to meet."""
    draft = one_worker(busy())
    draft.add_attempt(0, outcome="fail", reason="version", final=False)
    assert met(draft) == 0


def test_waiting_for_a_lock_of_its_own_statement_counts() -> None:
    """An access of mode l opens the window as any other: the lock is the row's."""
    draft = apart(race(grant(0, 1), grant(0, 1)), 2 * TURN_NS)
    assert met(draft) == 0
    waiting = draft.read_of(1)
    draft.accesses.append({**waiting, "mode": "l", "seq": None, "rows": 0, "at_ns": waiting["at_ns"] - 2 * TURN_NS})
    assert met(draft) == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"mode": "eager", "pool": "solo"}, 10),
        ({"mode": "distributed", "pool": "threads"}, 10),
        ({"mode": "distributed", "pool": "prefork"}, 0),
    ],
)
def test_slots_of_one_process_are_workers_in_eager_mode_and_with_threads(change: dict[str, Any], expected: int) -> None:
    """In a pool of processes a process is one worker, whatever it says of slots."""
    draft = busy(mode=change["mode"])
    draft.processes[0]["pool"] = change["pool"]
    first = {attempt["token"]: place for place, attempt in enumerate(draft.attempts)}
    for attempt in draft.attempts:
        place = first[attempt["token"]]
        start = (place + 1) * TURN_NS
        attempt.update(process=1, slot=place % 2, start_ns=start, end_ns=start + 2 * TURN_NS)
    for access in draft.accesses:
        access["at_ns"] = (first[access["token"]] + 1) * TURN_NS
    assert met(draft) == expected


def test_a_crashed_check_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the summary names what it crashed with."""

    def crash(_facts: Facts) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(CONSISTENT, "accounting", crash)
    verdict = verify(busy().history())
    assert verdict.value is Value.UNKNOWN
    assert verdict.checks[3].summary == "the check crashed: ZeroDivisionError: oops"


def test_a_history_that_can_not_be_prepared_is_unknown() -> None:
    """A row listed twice leaves nothing to say."""
    draft = busy()
    draft.rows.append(draft.rows[0])
    verdict = verify(draft.history())
    assert verdict.value is Value.UNKNOWN
    assert verdict.checks[0].summary == "the check crashed: ValueError: a row is listed twice"


def test_what_was_not_checked_is_said() -> None:
    """Predicates never, the broker not in eager mode, the data not without recording."""
    assert "predicate" in verify(busy().history()).not_checked[0]
    assert any("eager" in sentence for sentence in verify(busy(mode="eager").history()).not_checked)
    assert any("recorded" in sentence for sentence in verify(busy(recording=False).history()).not_checked)
