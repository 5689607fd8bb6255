"""Refusals: each is justified by a state of the row in its window."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Value
from tests.unit.histories import TURN_NS, check, deduct, grant, increment, race, transfer

if TYPE_CHECKING:
    from tests.unit.histories import Draft


def without_reads(draft: Draft, operation: int) -> None:
    """Let the operation's statement have decided by itself: a write that matched no row, and no read."""
    token = draft.attempt_of(operation)["token"]
    for access in draft.accesses:
        if access["token"] == token:
            access.update(mode="w", seq=None, version=None, writer=None, rows=0)


def amount(draft: Draft, operation: int, value: int) -> None:
    """Let the operation have asked for another amount."""
    row = draft.operations[operation]
    row["params"] = json.dumps({**json.loads(row["params"]), "amount": value})


def dip() -> Draft:
    """users/0 dips to 10 credits at seq 1, is back at 110 from seq 2 on, and operation 5 is refused 200."""
    return race(deduct(0, 90), grant(0, 100), grant(0, 1), grant(0, 1), grant(0, 1), deduct(0, 200))


def test_nothing_refused_is_fine() -> None:
    """There is nothing to justify."""
    assert check(race(deduct(0, 5)), "refusals").summary == "nothing was refused"


def test_a_refusal_that_read_too_few_credits_is_proven() -> None:
    """What the attempt read says it all."""
    found = check(race(deduct(0, 900), transfer(1, 2, 101)), "refusals")
    assert found.value is Value.VALID
    assert found.summary == "2 of 2 refusals proven right"


@pytest.mark.parametrize("operation", [deduct(0, 900), transfer(0, 1, 900)])
def test_a_refusal_that_read_enough_credits_is_unjustified(operation: tuple[str, dict[str, object]]) -> None:
    """No other state excuses it."""
    draft = race(operation)
    amount(draft, 0, 100)
    found = check(draft, "refusals")
    assert found.value is Value.INVALID
    assert found.witnesses[0].attempts == (draft.attempts[0]["token"],)
    assert "deduct 100" in found.witnesses[0].sentence or "transfer 100" in found.witnesses[0].sentence


def test_a_transfer_is_not_refused_for_its_targets_want() -> None:
    """Only the source must have credits."""
    draft = race(deduct(1, 100), transfer(0, 1, 5))
    draft.effects = draft.effects[:1]
    draft.refuse(1, "insufficient")
    assert check(draft, "refusals").found == 1


def test_operations_that_need_nothing_are_never_insufficient() -> None:
    """A grant or a counter's increment refused so is unjustified."""
    for operation in (grant(0, 5), increment(0, 1)):
        draft = race(operation)
        draft.effects.clear()
        draft.refuse(0, "insufficient")
        assert check(draft, "refusals").value is Value.INVALID


@pytest.mark.parametrize(("error", "expected"), [(1000, Value.INVALID), (5 * TURN_NS, Value.VALID)])
def test_an_old_dip_justifies_no_refusal_if_it_was_surely_over(error: int, expected: Value) -> None:
    """A read from before the attempt's time (a stale replica's, say) is none of the row's states in its window."""
    draft = dip()
    amount(draft, 5, 50)
    draft.read_of(5)["seq"] = 1
    for clock in draft.clocks:
        clock["error_ns"] = error
    assert check(draft, "refusals").value is expected


def test_a_dip_that_was_read_and_then_filled_up_within_the_window_justifies() -> None:
    """What an attempt read may be over by the time it ends."""
    draft = race(deduct(0, 90), deduct(0, 50), grant(0, 100))
    draft.attempt_of(1)["end_ns"] += 20 * TURN_NS
    assert check(draft, "refusals").summary == "1 of 1 refusal proven right"


def test_the_newest_state_is_never_over() -> None:
    """However long ago it began, and whatever row comes after it."""
    draft = race(deduct(0, 90), grant(1, 1), grant(1, 1), grant(1, 1), deduct(0, 50), rows=2)
    assert check(draft, "refusals").summary == "1 of 1 refusal proven right"


def test_a_state_that_surely_was_current_justifies_a_refusal_without_reads() -> None:
    """The row had too few credits all along."""
    draft = dip()
    without_reads(draft, 5)
    assert check(draft, "refusals").summary == "1 of 1 refusal proven right"


def test_a_dip_before_the_window_justifies_nothing() -> None:
    """Too few credits long ago, but not between the attempt's start and its end."""
    draft = dip()
    without_reads(draft, 5)
    amount(draft, 5, 50)
    assert check(draft, "refusals").value is Value.INVALID


def test_a_dip_after_the_window_justifies_nothing() -> None:
    """Too few credits later on."""
    draft = race(deduct(0, 900), grant(1, 1), grant(1, 1), grant(1, 1), deduct(0, 90))
    without_reads(draft, 0)
    amount(draft, 0, 50)
    assert check(draft, "refusals").value is Value.INVALID


def test_a_dip_that_may_have_been_in_the_window_is_within_bounds() -> None:
    """Where the clocks' error decides, the refusal is not called wrong, and is counted apart."""
    draft = race(deduct(0, 90), grant(0, 100), deduct(0, 200))
    without_reads(draft, 2)
    amount(draft, 2, 50)
    draft.clocks[0]["error_ns"] = 3 * TURN_NS
    found = check(draft, "refusals")
    assert found.value is Value.VALID
    assert found.summary == "0 of 1 refusal proven right, 1 right within the clocks' bounds"


def test_a_refusal_without_reads_and_clocks_is_undecided() -> None:
    """Nobody guesses."""
    draft = dip()
    without_reads(draft, 5)
    amount(draft, 5, 50)
    draft.clocks.clear()
    found = check(draft, "refusals")
    assert found.value is Value.UNKNOWN
    assert "1 undecided" in found.summary


def test_a_refusal_is_wrong_without_clocks_if_no_state_ever_justified_it() -> None:
    """Then the window doesn't matter."""
    draft = dip()
    without_reads(draft, 5)
    amount(draft, 5, 5)
    draft.clocks.clear()
    assert check(draft, "refusals").value is Value.INVALID


@pytest.mark.parametrize(("asked", "expected"), [(50, Value.INVALID), (200, Value.VALID)])
def test_one_clock_needs_no_readings(asked: int, expected: Value) -> None:
    """In eager mode attempts' own times bound the commits."""
    draft = dip()
    for attempt in draft.attempts:
        attempt.update(process=1, start_ns=attempt["token"] % 2**32 * TURN_NS)
        attempt["end_ns"] = attempt["start_ns"] + TURN_NS
    draft.meta["mode"] = "eager"
    draft.clocks.clear()
    without_reads(draft, 5)
    amount(draft, 5, asked)
    assert check(draft, "refusals").value is expected


def test_a_statement_that_matched_nothing_may_have_seen_an_older_state_than_the_read_after_it() -> None:
    """A read that found enough does not make the refusal wrong while a write without match came first."""
    draft = race(deduct(0, 90), grant(0, 100), deduct(0, 200))
    amount(draft, 2, 50)
    draft.accesses.append({**draft.read_of(2), "mode": "w", "seq": None, "rows": 0})
    draft.clocks[0]["error_ns"] = 3 * TURN_NS
    assert check(draft, "refusals").value is Value.VALID


@pytest.mark.parametrize("change", [{"mode": "w", "rows": 1}, {"mode": "l", "rows": 0}])
def test_only_a_write_that_matched_nothing_may_have_seen_another_state(change: dict[str, object]) -> None:
    """A write that matched, or the wait for a lock, decides nothing: the read counts, and it found enough."""
    draft = race(deduct(0, 90), grant(0, 100), deduct(0, 200))
    amount(draft, 2, 50)
    draft.accesses.append({**draft.read_of(2), "seq": None, **change})
    draft.clocks[0]["error_ns"] = 3 * TURN_NS
    assert check(draft, "refusals").value is Value.INVALID


def test_a_read_of_a_state_that_never_was_justifies_nothing() -> None:
    """Nor does the state of the row that happens to stand beside it."""
    draft = race(grant(0, 500), grant(2, 1), grant(2, 1), grant(2, 1), deduct(0, 900))
    amount(draft, 4, 300)
    draft.read_of(4)["seq"] = 99
    assert check(draft, "refusals").value is Value.INVALID


def test_a_transfer_that_read_enough_is_unjustified_though_others_were_refused_rightly() -> None:
    """Each refusal is held to its own reads."""
    draft = race(deduct(0, 900), transfer(1, 0, 900), deduct(2, 900))
    amount(draft, 1, 50)
    found = check(draft, "refusals")
    assert found.summary == "2 of 3 refusals proven right, 1 unjustified"
    assert found.witnesses[0].operations == (1,)


def test_a_wrong_refusal_is_wrong_though_another_is_undecided() -> None:
    """INVALID beats UNKNOWN."""
    draft = race(deduct(0, 90), grant(0, 100), grant(1, 1), deduct(0, 200), deduct(1, 900))
    without_reads(draft, 3)
    amount(draft, 3, 50)
    amount(draft, 4, 5)
    draft.clocks.clear()
    assert check(draft, "refusals").value is Value.INVALID


def test_a_row_that_never_was_is_missing() -> None:
    """Nothing more is needed."""
    found = check(race(deduct(7, 1), transfer(0, 8, 1)), "refusals")
    assert found.summary == "2 of 2 refusals proven right"


def test_a_row_that_nobody_ever_named_is_missing() -> None:
    """An attempt that left no access may have looked for it all the same."""
    draft = race(deduct(7, 1))
    draft.accesses.clear()
    assert check(draft, "refusals").summary == "1 of 1 refusal proven right"


def test_a_killed_writer_s_commit_bounds_nothing() -> None:
    """It left no end, so the state before its write may have been current for long."""
    draft = race(deduct(0, 90), grant(0, 100), grant(1, 1), grant(1, 1), deduct(0, 200))
    draft.crash(1)
    without_reads(draft, 4)
    amount(draft, 4, 50)
    assert check(draft, "refusals").summary == "0 of 1 refusal proven right, 1 right within the clocks' bounds"


def test_a_row_that_is_there_is_not_missing() -> None:
    """Whatever the attempt says."""
    draft = race(deduct(0, 900))
    draft.refuse(0, "missing")
    assert check(draft, "refusals").value is Value.INVALID
    without_reads(draft, 0)
    assert check(draft, "refusals").value is Value.INVALID


def test_a_deleted_row_is_missing() -> None:
    """After the effect that deleted it."""
    draft = race(grant(0, 1), grant(1, 1), grant(1, 1), deduct(0, 900))
    draft.effects[0].update(after=None, version_after=None)
    draft.refuse(3, "missing")
    without_reads(draft, 3)
    assert check(draft, "refusals").value is Value.VALID


def test_a_scenario_without_known_rules_is_unknown() -> None:
    """Nothing is judged by rules that nobody told the verifier."""
    draft = race(deduct(0, 900))
    draft.meta["scenario"] = "warehouse"
    assert check(draft, "refusals").value is Value.UNKNOWN


def test_a_refusal_of_an_operation_nobody_planned_is_unjustified() -> None:
    """There is nothing that it could have wanted."""
    draft = race(deduct(0, 900))
    draft.attempts[0]["operation"] = 5
    assert check(draft, "refusals").value is Value.INVALID
