"""Refusals by what was read, and what the reader of a verdict is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Check, Value, Witness
from tests.unit.histories import check, deduct, grant, race, transfer
from tests.unit.refused import PROVEN, UNDECIDED, WRONG, asking, blind, graded

if TYPE_CHECKING:
    from tests.unit.histories import Draft

#: Tokens of the attempts of operations 0 and 1.
FIRST, SECOND = (1 << 32) + 1, (2 << 32) + 2


def test_refusals_are_counted_by_how_well_they_are_justified() -> None:
    """Proven, within bounds, unjustified and undecided, in one sentence."""
    draft = race(deduct(0, 900), deduct(1, 900), deduct(2, 900))
    asking(draft, 1, 50)
    witness = Witness(
        anomaly="unjustified-refusal",
        sentence=(
            "A was refused as insufficient, but no state of the row in A's time justifies that."
            " A is operation 1 (deduct 50 from users/1) on node-2, pid 102, slot 0."
        ),
        attempts=(SECOND,),
        operations=(1,),
    )
    expected = Check(
        name="refusals",
        value=Value.INVALID,
        summary="2 of 3 refusals proven right, 1 unjustified",
        found=1,
        witnesses=(witness,),
    )
    assert expected == check(draft, "refusals")


def test_a_wrong_absence_is_told_as_such() -> None:
    """The witness names the reason that was given."""
    draft = race(deduct(0, 900))
    draft.refuse(0, "missing")
    expected = (
        "A was refused as missing, but no state of the row in A's time justifies that."
        " A is operation 0 (deduct 900 from users/0) on node-1, pid 101, slot 0."
    )
    witness = check(draft, "refusals").witnesses[0]
    assert [expected, (0,)] == [witness.sentence, witness.operations]


def test_a_refusal_of_an_unplanned_operation_is_told_without_one() -> None:
    """Its attempt is named all the same."""
    draft = race(deduct(0, 900))
    draft.attempts[0]["operation"] = 5
    witness = check(draft, "refusals").witnesses[0]
    assert "A is an operation that nobody planned on node-1, pid 101, slot 0." in witness.sentence
    assert [(FIRST,), ()] == [witness.attempts, witness.operations]


@pytest.mark.parametrize(
    ("draft", "summary"),
    [
        (race(grant(0, 1)), "nothing was refused"),
        (race(deduct(0, 900)), PROVEN),
    ],
)
def test_refusals_without_fault_are_told_in_one_sentence(draft: Draft, summary: str) -> None:
    """Nothing is found."""
    assert Check(name="refusals", value=Value.VALID, summary=summary) == check(draft, "refusals")


def test_what_the_verifier_does_not_know_is_said() -> None:
    """How many refusals there were."""
    draft = race(deduct(0, 900), deduct(0, 900))
    draft.meta["scenario"] = "warehouse"
    summary = "2 refusals by rules that the verifier doesn't know"
    assert Check(name="refusals", value=Value.UNKNOWN, summary=summary) == check(draft, "refusals")


def test_what_nobody_can_tell_is_undecided() -> None:
    """Without reads and without clocks, where a state of the row would do."""
    draft = race(deduct(0, 4), grant(0, 100), deduct(0, 900), start=5)
    asking(draft, 2, 3)
    blind(draft, 2)
    draft.clocks.clear()
    assert Check(name="refusals", value=Value.UNKNOWN, summary=UNDECIDED) == check(draft, "refusals")


@pytest.mark.parametrize("outcome", ["ok", "info"])
def test_only_a_failed_attempt_was_refused(outcome: str) -> None:
    """A reason beside another outcome is no refusal."""
    draft = race(deduct(0, 900))
    draft.attempts[0]["outcome"] = outcome
    assert "nothing was refused" == graded(draft)


@pytest.mark.parametrize(("need", "expected"), [(100, WRONG), (101, PROVEN)])
def test_a_read_level_must_be_below_what_is_needed(need: int, expected: str) -> None:
    """Exactly enough is enough."""
    draft = race(deduct(0, 900))
    asking(draft, 0, need)
    assert expected == graded(draft)


def test_one_read_of_too_little_is_enough() -> None:
    """Whatever else the attempt read."""
    draft = race(deduct(0, 90), grant(0, 100), deduct(0, 200))
    asking(draft, 2, 50)
    read = draft.read_of(2)
    draft.attempt_of(2)["start_ns"] -= 10_000_000
    draft.accesses.append({**read, "seq": 1})
    assert PROVEN == graded(draft)


def test_reads_of_another_row_or_attempt_say_nothing() -> None:
    """Each demand has reads of its own."""
    draft = race(deduct(1, 90), deduct(0, 900), transfer(2, 1, 500))
    asking(draft, 1, 50)
    draft.read_of(1).update(key="1", seq=1)
    assert "1 of 2 refusals proven right, 1 unjustified" == graded(draft)


def test_a_read_of_a_seq_that_never_was_is_no_read() -> None:
    """The window decides then, as it does where nothing was read."""
    draft = race(deduct(0, 90), deduct(0, 50))
    draft.read_of(1)["seq"] = 7
    assert PROVEN == graded(draft)


def dips() -> Draft:
    """Every row dips and is filled up again, and three more operations are refused within the last two dips."""
    draft = race(
        *(step for key in range(3) for step in (deduct(key, 90), grant(key, 100))),
        *(deduct(key, 900) for key in range(3)),
    )
    for clock in draft.clocks:
        clock["error_ns"] = 100_000_000
    for operation in (6, 7, 8):
        asking(draft, operation, 50)
    return draft


def test_what_was_read_counts_before_what_may_have_been() -> None:
    """On every row: each of these attempts read enough, though the clocks allow for a dip."""
    draft = dips()
    assert "0 of 3 refusals proven right, 3 unjustified" == graded(draft)
    for operation in (6, 7, 8):
        blind(draft, operation)
    assert "0 of 3 refusals proven right, 3 right within the clocks' bounds" == graded(draft)


@pytest.mark.parametrize("key", [0, 1, 2])
def test_a_read_of_what_never_was_says_nothing_on_any_row(key: int) -> None:
    """Beyond the last state, or between two: what may have been counts then."""
    draft = dips()
    draft.read_of(6 + key)["seq"] = 99
    expected = "0 of 3 refusals proven right, 1 right within the clocks' bounds, 2 unjustified"
    assert expected == graded(draft)
    for effect in draft.effects:
        effect["seq"] *= 2  # so that the other two read a dip
    draft.read_of(6 + key)["seq"] = 3
    assert "2 of 3 refusals proven right, 1 right within the clocks' bounds" == graded(draft)


@pytest.mark.parametrize("key", [0, 1, 2])
def test_a_dip_that_was_over_is_no_excuse_on_any_row(key: int) -> None:
    """The state after it is the row's last one."""
    draft = dips()
    draft.read_of(6 + key)["seq"] = 1
    assert "1 of 3 refusals proven right, 2 unjustified" == graded(draft)
    for clock in draft.clocks:
        clock["error_ns"] = 0
    draft.attempt_of(6 + key)["start_ns"] += 10**9
    draft.attempt_of(6 + key)["end_ns"] += 10**9
    for clock in draft.clocks[:]:
        draft.clocks.append({**clock, "mono_ns": clock["mono_ns"] + 10**9})
    assert "0 of 3 refusals proven right, 3 unjustified" == graded(draft)


def test_what_a_write_returned_is_no_read() -> None:
    """It says what the row became, not what was refused for."""
    draft = dips()
    draft.accesses.append({**draft.read_of(7), "mode": "w", "seq": 1, "rows": 1})
    assert "0 of 3 refusals proven right, 3 unjustified" == graded(draft)


def test_a_transfer_is_missing_where_either_row_is() -> None:
    """Its best reason counts; the wrong one of another refusal doesn't."""
    draft = race(transfer(0, 1, 900), transfer(2, 1, 900))
    for operation in (0, 1):
        draft.refuse(operation, "missing")
    draft.effects.append(
        {
            "relation": "users",
            "key": "0",
            "seq": 1,
            "version_before": 1,
            "before": draft.rows[0]["initial"],
            "writer": 0,
            "operation": -1,
            "txid": 1,
            "at_us": 0,
        }
    )
    draft.read_of(0)["seq"] = 1
    assert "1 of 2 refusals proven right, 1 unjustified" == graded(draft)


@pytest.mark.parametrize("reason", ["insufficient", "missing"])
def test_a_row_that_was_not_planned_is_absent(reason: str) -> None:
    """It is missing; what it would hold is no excuse for any other refusal."""
    draft = race(deduct(7, 900))
    draft.refuse(0, reason)
    assert (PROVEN if reason == "missing" else WRONG) == graded(draft)


def test_a_row_that_only_an_effect_names_was_not_planned() -> None:
    """An unplanned row's effects make it no planned one."""
    draft = race(deduct(7, 900), grant(0, 1))
    draft.effects[0]["key"] = "7"
    assert PROVEN == graded(draft)


def test_ten_unjustified_refusals_are_shown_and_all_are_counted() -> None:
    """In the order of their tokens."""
    draft = race(*(deduct(0, 900) for _ in range(12)))
    for operation in range(12):
        asking(draft, operation, 50)
    found = check(draft, "refusals")
    assert [12, 10] == [found.found, len(found.witnesses)]
    assert "0 of 12 refusals proven right, 12 unjustified" == found.summary
