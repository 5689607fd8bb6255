"""Progress, told whole: what starved, what takes its workers down, what was given up, what tried over and over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier import Check, Value, Witness, verify
from orchestrator.verifier.verdict import Named
from tests.unit.histories import OFFSETS, TURN_NS, anomalies, check, deduct, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft

#: Length of each attempt of `race`, and the begin of the first one on the database's clock.
TOOK_S = 0.0015
BEGAN_US = 10**12


def asked(*planned: Any, **meta: Any) -> Draft:  # noqa: ANN401 - a run's own settings
    """Operations that are held to a bound; each is settled 1.5 ms after its start."""
    return race(*(planned or (grant(0, 1), grant(1, 1), deduct(2, 5))), **{"max_settle_s": 1.0, **meta})


def open_end(draft: Draft, *, tries: int = 1, **changes: Any) -> int:  # noqa: ANN401 - a column's value
    """Plan one more operation, attempted so often without an end; its first attempt begins 10 turns after all else."""
    number = draft.add_operation(grant(0, 1))
    for _ in range(tries):
        draft.add_attempt(number, end_ns=None, outcome="info", reason=None, final=False, **changes)
    return number


def timed_out(draft: Draft, timeout: float) -> Draft:
    """Let the run have ended at its time limit, so many seconds after it began."""
    draft.meta.update(timed_out=True, drained=False, began_us=BEGAN_US, profile={"timeout": timeout})
    return draft


@pytest.mark.parametrize(
    ("meta", "expected"), [({}, False), ({"max_settle_s": 1.0}, True), ({"max_attempts": 1}, True)]
)
def test_progress_is_judged_where_a_bound_is_asked_for(meta: dict[str, Any], *, expected: bool) -> None:
    """And what was not recorded is held to none."""
    assert expected is ("progress" in [found.name for found in verify(race(grant(0, 1), **meta).history()).checks])
    unrecorded = verify(race(grant(0, 1), recording=False, **meta).history())
    assert "progress" not in [found.name for found in unrecorded.checks]


def test_work_done_in_time_is_told_with_the_longest() -> None:
    """Refusals by a rule are done with, too."""
    draft = asked(grant(0, 1), deduct(0, 900), max_attempts=3)
    draft.add_attempt(0, outcome="fail", reason="duplicate")
    summary = "2 of 2 operations settled within 1 s and 3 attempts (the longest took 0.002 s, the most tries were 1)"
    assert Check(name="progress", value=Value.VALID, summary=summary) == check(draft, "progress")


@pytest.mark.parametrize(("bound", "expected"), [(TOOK_S, Value.VALID), (TOOK_S - 1e-9, Value.INVALID)])
def test_the_bound_itself_is_in_time(bound: float, expected: Value) -> None:
    """A nanosecond more is not; within one process its own clock is exact."""
    assert expected is check(asked(grant(0, 1), max_settle_s=bound), "progress").value


def test_an_operation_that_was_settled_late_starved() -> None:
    """From its first attempt's start to its settling, with who settled it at last."""
    draft = asked(grant(0, 1), max_settle_s=0.010)
    attempt = draft.attempt_of(0)
    attempt.update(end_ns=attempt["end_ns"] + 21 * TURN_NS // 2)
    story = (
        "Operation 0 (grant 1 to users/0) was settled 0.012 s after its first attempt began, by its 1 attempt, the last"
        " of which was A (operation 0 (grant 1 to users/0) on node-1, pid 101, slot 0); at most 0.01 s are asked:"
        " it starved."
    )
    expected = Check(
        name="progress",
        value=Value.INVALID,
        summary=("0 of 1 operation settled within 0.01 s (the longest took 0.012 s, the most tries were 1); 1 starved"),
        found=1,
        witnesses=(Witness(anomaly="starved", sentence=story, attempts=(attempt["token"],), operations=(0,)),),
        named=(Named(operation=0, anomaly="starved", note="0.012 s"),),
    )
    assert expected == check(draft, "progress")


def test_what_took_no_time_is_told_and_what_nobody_could_time_is_not() -> None:
    """A time of zero is one; of several, the longest counts."""
    draft = asked(grant(0, 1))
    draft.attempts[0]["end_ns"] = draft.attempts[0]["start_ns"]
    expected = "1 of 1 operation settled within 1 s (the longest took 0.000 s, the most tries were 1)"
    assert expected == check(draft, "progress").summary
    draft = asked()
    draft.attempts[0]["end_ns"] += 2 * TURN_NS
    draft.add_attempt(1, outcome="fail", reason="version", final=False)
    assert "(the longest took 0.004 s, the most tries were 2)" in check(draft, "progress").summary
    draft = asked()
    draft.clocks.clear()
    for number in range(3):
        draft.crash(number, backend_ended=True)
    expected = "0 of 3 operations settled within 1 s (the most tries were 1); 3 undecided"
    assert check(draft, "progress").summary.startswith(expected)


def test_between_two_processes_lateness_must_be_proven() -> None:
    """What the clocks' errors leave open is undecided."""
    draft = asked(grant(0, 1), max_settle_s=0.005)
    first = draft.attempts[0]
    shift = OFFSETS[1] - OFFSETS[2]
    second = {"process": 2, "token": (2 << 32) + 9, "start_ns": first["start_ns"] + shift + 6 * TURN_NS}
    draft.attempts.append({**first, **second, "end_ns": first["start_ns"] + shift + 7 * TURN_NS})
    first.update(outcome="fail", reason="serialization", final=False)
    draft.effects[0]["writer"] = second["token"]
    assert {"starved"} == anomalies(draft, "progress")
    for clock in draft.clocks:
        clock["error_ns"] = 2 * TURN_NS
    found = check(draft, "progress")
    assert Value.UNKNOWN is found.value
    assert found.summary.endswith("1 undecided: not settled, or in time by no clock's word")
    draft.clocks.clear()
    assert Value.UNKNOWN is check(draft, "progress").value


def test_an_attempt_without_end_settled_by_its_effect() -> None:
    """A process that was killed after its COMMIT did its work in time, or too late, as the effect's time says."""
    draft = asked(grant(0, 1), max_settle_s=0.010)
    draft.crash(0, backend_ended=True)
    assert Value.VALID is check(draft, "progress").value
    draft.effects[0]["at_us"] += 20_000
    assert {"starved"} == anomalies(draft, "progress")


def test_an_operation_that_was_lost_starved() -> None:
    """Nothing will settle it any more."""
    draft = asked()
    number = draft.add_operation(grant(0, 1))
    found = check(draft, "progress")
    assert [Value.INVALID, (Named(operation=number, anomaly="starved", note="never attempted"),)] == [
        found.value,
        found.named,
    ]
    story = "waited, was never attempted and never settled; at most 1 s are asked: it starved."
    assert f"Operation {number} (grant 1 to users/0) {story}" == found.witnesses[0].sentence


@pytest.mark.parametrize(("timeout", "expected"), [(3.0, Value.INVALID), (0.9, Value.UNKNOWN)])
def test_an_operation_that_the_time_limit_left_open_starved_if_it_had_the_time(timeout: float, expected: Value) -> None:
    """What had begun shortly before had not."""
    draft = timed_out(asked(), timeout)
    number = open_end(draft)
    assert expected is check(draft, "progress").value
    if expected is Value.INVALID:
        sentence = check(draft, "progress").witnesses[0].sentence
        waited = "waited for 2.988 s at least and was never settled, in spite of its 1 attempt, the last of which was A"
        assert f"Operation {number} (grant 1 to users/0) {waited}" in sentence
        assert sentence.endswith("slot 0): no end recorded; at most 1 s are asked: it starved.")


def test_a_lost_operation_that_waited_for_no_time_is_told_so() -> None:
    """Its attempt was the last that was heard of the run."""
    draft = asked(grant(0, 1))
    number = open_end(draft, backend_ended=True)
    found = check(draft, "progress")
    assert (Named(operation=number, anomaly="starved", note="0.000 s"),) == found.named
    assert "waited for 0.000 s at least and was never settled" in found.witnesses[0].sentence


def test_a_lost_operation_is_told_with_ten_of_its_attempts() -> None:
    """By the last one, which may be the first attempt of all."""
    draft = asked(grant(0, 1))
    draft.crash(0, backend_ended=True)
    draft.effects.clear()
    (witness,) = check(draft, "progress").witnesses
    assert "never settled, in spite of its 1 attempt, the last of which was A (operation 0 " in witness.sentence
    for _ in range(11):
        draft.add_attempt(0, outcome="fail", reason="version", final=False)
    (witness,) = check(draft, "progress").witnesses
    assert tuple(attempt["token"] for attempt in draft.attempts[:10]) == witness.attempts
    assert "in spite of its 12 attempts, " in witness.sentence


def test_an_operation_that_nobody_attempted_starved_once_later_ones_were() -> None:
    """Those of higher numbers are published later: it had been waiting when their first attempts began."""
    draft = timed_out(asked(), 3.0)
    draft.drop(1)
    draft.effects = [effect for effect in draft.effects if effect["operation"] != 1]
    found = check(draft, "progress")
    assert (Named(operation=1, anomaly="starved", note="2.998 s"),) == found.named
    draft = timed_out(asked(), 3.0)
    draft.add_operation(grant(0, 1))
    assert [Value.UNKNOWN, 0] == [check(draft, "progress").value, check(draft, "progress").found]


@pytest.mark.parametrize("meta", [{"interrupted": True}, {"gaps": ("a journal is missing",)}])
def test_who_had_no_time_or_may_have_ended_unheard_did_not_starve(meta: dict[str, Any]) -> None:
    """It is undecided."""
    draft = timed_out(asked(**meta), 3.0)
    open_end(draft, tries=4)
    found = check(draft, "progress")
    assert [Value.UNKNOWN, 0] == [found.value, found.found]


def test_an_unsettled_operation_that_may_be_settled_yet_is_undecided() -> None:
    """Its attempt's outcome is unknown, and not for long."""
    draft = asked()
    open_end(draft, backend_ended=False)
    assert Value.UNKNOWN is check(draft, "progress").value


def test_a_message_that_takes_its_workers_down_is_poison() -> None:
    """Three attempts, and no end: whatever the time limit left to it."""
    draft = timed_out(asked(), 0.5)
    number = open_end(draft, tries=3, redelivered=True)
    found = check(draft, "progress")
    assert (Named(operation=number, anomaly="poison", note="3 attempts"),) == found.named
    story = (
        f"Operation {number} (grant 1 to users/0) was attempted 3 times, no attempt has an end, the last was A"
        f" (operation {number} (grant 1 to users/0) on node-1, pid 101, slot 0), and it was never settled: it takes"
        " down whoever runs it, and comes back."
    )
    assert story == found.witnesses[0].sentence
    assert Value.INVALID is verify(draft.history()).value


def test_poison_is_no_storm_and_did_not_starve() -> None:
    """It has one name."""
    draft = timed_out(asked(max_attempts=2), 3.0)
    open_end(draft, tries=5)
    assert {"poison"} == anomalies(draft, "progress")


def test_two_attempts_without_end_are_no_poison_yet() -> None:
    """Nor are three where one of them came to an end."""
    draft = timed_out(asked(), 0.5)
    number = open_end(draft, tries=2)
    assert Value.UNKNOWN is check(draft, "progress").value
    draft.add_attempt(number, outcome="fail", reason="version", final=False)
    draft.add_attempt(number, end_ns=None, outcome="info", reason=None, final=False)
    assert Value.UNKNOWN is check(draft, "progress").value


def test_an_end_is_one_even_where_the_clock_read_zero() -> None:
    """That message let somebody live: it is no poison."""
    draft = timed_out(asked(), 0.5)
    number = open_end(draft, tries=3)
    draft.add_attempt(number, start_ns=0, end_ns=0, outcome="fail", reason="version", final=False)
    assert {"starved"} == anomalies(draft, "progress")


@pytest.mark.parametrize("reason", ["version", "serialization", "deadlock", "lock-timeout", "error", "lost-connection"])
def test_work_that_the_rules_allow_must_not_be_given_up(reason: str) -> None:
    """By a conflict, or by an error."""
    draft = asked(grant(0, 1), max_settle_s=None, max_attempts=5)
    number = draft.add_operation(grant(1, 1))
    draft.add_attempt(number, outcome="fail", reason=reason, detail="Oops")
    found = check(draft, "progress")
    who = f"operation {number} (grant 1 to users/1)"
    story = (
        f"{who.capitalize()} was given up after 1 attempt: A ({who} on node-1, pid 101, slot 0) was the last, and ended"
        f" fail: {reason} (Oops), which no business rule asks for; its work is not done."
    )
    assert [story] == [witness.sentence for witness in found.witnesses]
    assert (Named(operation=number, anomaly="gave-up", note="1 attempt"),) == found.named


@pytest.mark.parametrize("reason", ["insufficient", "missing", "duplicate", "poison"])
def test_what_rules_refuse_was_done_before_or_is_given_up_in_the_open_is_settled(reason: str) -> None:
    """A poisonous message that was put aside is what was wanted."""
    draft = asked(grant(0, 1))
    draft.add_attempt(draft.add_operation(grant(1, 1)), outcome="fail", reason=reason)
    assert Value.VALID is check(draft, "progress").value


@pytest.mark.parametrize(("most", "expected"), [(4, Value.VALID), (3, Value.INVALID)])
def test_more_attempts_than_asked_are_a_storm(most: int, expected: Value) -> None:
    """Those that were refused as duplicates needed nothing."""
    draft = asked(grant(0, 1), max_settle_s=None, max_attempts=most)
    for reason in ("version", "version", "serialization"):
        draft.add_attempt(0, outcome="fail", reason=reason, final=False)
    draft.add_attempt(0, outcome="fail", reason="duplicate")
    found = check(draft, "progress")
    assert expected is found.value
    if expected is Value.INVALID:
        needed = (
            "needed 4 attempts (2 fail: version, 1 ok, 1 fail: serialization, 1 fail: duplicate), at most 3 are asked"
        )
        assert f"Operation 0 (grant 1 to users/0) {needed}." == found.witnesses[0].sentence
        assert (Named(operation=0, anomaly="retry-storm", note="4 attempts"),) == found.named


def test_each_kind_is_shown_and_all_are_named() -> None:
    """Ten witnesses, of every kind one at least; the list leaves none out."""
    draft = timed_out(asked(grant(0, 1), max_attempts=1), 3.0)
    for _ in range(12):
        number = draft.add_operation(grant(0, 1))
        for last in (False, True):
            draft.add_attempt(number, outcome="fail", reason="version", final=last)
    open_end(draft, tries=3)
    open_end(draft)
    found = check(draft, "progress")
    assert (26, 10, 26) == (found.found, len(found.witnesses), len(found.named))
    assert ["poison", "starved", "gave-up", "retry-storm"] == [each.anomaly for each in found.witnesses[:4]]
    assert "; 1 poison; 1 starved; 12 gave-up; 12 retry-storm" in found.summary


def test_a_run_that_timed_out_is_invalid_by_what_starved() -> None:
    """INVALID beats the UNKNOWN that its time limit means."""
    draft = timed_out(asked(), 3.0)
    open_end(draft)
    verdict = verify(draft.history())
    values = {found.name: found.value for found in verdict.checks}
    assert (Value.INVALID, Value.UNKNOWN, Value.INVALID) == (values["progress"], values["complete"], verdict.value)


def test_nothing_planned_is_settled_in_time() -> None:
    """Other checks say that nothing was done."""
    assert "0 of 0 operations settled within 1 s" == check(race(max_settle_s=1.0), "progress").summary


@pytest.mark.parametrize("bound", ["max_settle_s", "max_attempts"])
def test_what_was_never_published_or_settled_is_undecided(bound: str) -> None:
    """Whatever bound is asked for."""
    draft = race(grant(0, 1), grant(1, 1))
    draft.meta[bound] = 5
    draft.add_operation(grant(0, 1), confirmed=False)
    draft.add_attempt(draft.add_operation(grant(1, 1)), outcome="info", reason=None, end_ns=None, final=False)
    found = check(draft, "progress")
    assert (Value.UNKNOWN, True) == (found.value, found.summary.startswith("2 of 4 operations settled within 5 "))
