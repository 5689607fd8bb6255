"""What VALID is earned with, told whole: overlap, work, fleet and completeness; and the table of checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.verifier import ASKED, CONSISTENT, EARNED, Check, Value, verify
from orchestrator.verifier.columns import prepare
from orchestrator.verifier.facts import Facts
from orchestrator.verifier.overlap import workers
from tests.unit.histories import OFFSETS, TURN_NS, check, deduct, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft

AGREES = "every operation is settled, and everything was gathered"


def busy(count: int = 10, **meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """Operations of two workers on one row."""
    return race(*(grant(0, 1) for _ in range(count)), **meta)


def earned(name: str, summary: str) -> Check:
    """What was asked for is there."""
    return Check(name=name, value=Value.VALID, summary=summary)


def missed(name: str, summary: str) -> Check:
    """What was asked for isn't there."""
    return Check(name=name, value=Value.UNKNOWN, summary=summary)


def test_overlap_is_told_with_what_was_asked() -> None:
    """How many attempts met, and of how many workers; as many as asked are enough."""
    summary = "10 attempts met another worker's on a row, {} asked; 2 workers"
    assert earned("overlap", summary.format(10)) == check(busy(min_overlaps=10), "overlap")
    assert missed("overlap", summary.format("1,100")) == check(busy(min_overlaps=1_100), "overlap")
    assert earned("overlap", "not asked for") == check(busy(min_overlaps=0), "overlap")


def test_one_overlap_may_be_asked_for() -> None:
    """One is more than none."""
    draft = race(grant(0, 1), min_overlaps=1)
    summary = "0 attempts met another worker's on a row, 1 asked; 1 worker"
    assert missed("overlap", summary) == check(draft, "overlap")


def test_work_is_told_with_what_kept_it_from_being_done() -> None:
    """Refusals by rules are taken off what can be asked for; give-ups and failures are not."""
    draft = race(*(grant(0, 1) for _ in range(4)), deduct(0, 900), min_done=0.5)
    for reason in ("version", "serialization", "deadlock", "lock-timeout", "error"):
        draft.add_attempt(draft.add_operation(grant(0, 1)), outcome="fail", reason=reason)
    tried = "4 of 9 operations that the rules allow done (1 refused, 4 given up, 1 failed), at least {} asked"
    assert missed("work", tried.format("50%")) == check(draft, "work")
    draft.meta["min_done"] = 4 / 9
    assert earned("work", tried.format("44%")) == check(draft, "work")


def test_nothing_asked_is_not_earned_by_nothing_done() -> None:
    """One operation done is the least."""
    found = check(race(deduct(0, 900), min_done=0.0), "work")
    assert (
        missed(
            "work",
            "0 of 0 operations that the rules allow done (1 refused, 0 given up, 0 failed), at least 0% asked",
        )
        == found
    )
    assert Value.VALID is check(race(grant(0, 1), min_done=1.0), "work").value


def test_the_fleet_is_told_with_what_was_asked() -> None:
    """Nodes, hosts and processes that ran attempts."""
    draft = busy(min_nodes=2, min_hosts=1, min_processes=2)
    summary = "2 nodes of 2 asked, 1 host of 1 asked, 2 processes of 2 asked ran attempts"
    assert earned("fleet", summary) == check(draft, "fleet")
    draft.processes[1]["node"] = "node-1"
    summary = "1 node of 2 asked, 1 host of 1 asked, 2 processes of 2 asked ran attempts"
    assert missed("fleet", summary) == check(draft, "fleet")
    draft.processes.pop()
    summary = "1 node of 2 asked, 1 host of 1 asked, 2 processes of 2 asked ran attempts"
    assert missed("fleet", summary) == check(draft, "fleet")


def test_a_process_that_ran_nothing_is_no_part_of_the_fleet() -> None:
    """It may have been started and never got a message."""
    summary = "1 node of 1 asked, 1 host of 1 asked, 1 process of 1 asked ran attempts"
    assert earned("fleet", summary) == check(busy(1, min_nodes=1, min_hosts=1, min_processes=1), "fleet")


@pytest.mark.parametrize(
    ("meta", "story"),
    [
        ({"interrupted": True}, "the run was interrupted"),
        ({"timed_out": True}, "the run ended at its time limit"),
        ({"recording": False}, "recording was off"),
        (
            {"planned": 12, "interrupted": True, "drained": False},
            (
                "the run was interrupted; gathering ended before queue and workers were empty; 2 operations not run"
                " (never published, or withdrawn when the race was cut short)"
            ),
        ),
        ({"drained": False}, "gathering ended before queue and workers were empty"),
        ({"planned": 12}, "2 operations not confirmed as published"),
        ({"planned": 11}, "1 operation not confirmed as published"),
        ({"gaps": ("a journal is missing", "a host is gone")}, "a journal is missing; a host is gone"),
        (
            {"interrupted": True, "timed_out": True, "drained": False},
            (
                "the run was interrupted; the run ended at its time limit; gathering ended before queue and workers"
                " were empty"
            ),
        ),
    ],
)
def test_why_a_run_is_not_complete_is_said(meta: dict[str, Any], story: str) -> None:
    """Every reason, in one sentence."""
    assert missed("complete", story) == check(busy(**meta), "complete")


def test_a_complete_run_is_told_so() -> None:
    """Fewer operations planned than settled are no fault of the run."""
    assert earned("complete", AGREES) == check(busy(), "complete")
    assert earned("complete", AGREES) == check(busy(planned=9), "complete")


def test_open_operations_and_attempts_are_counted() -> None:
    """Unsettled, unpublished, and what may still take effect where no guard keeps it from that."""
    draft = busy(idempotency=False)
    draft.add_operation(grant(1, 1), confirmed=False)
    number = draft.add_operation(grant(1, 1))
    draft.add_attempt(number, outcome="info", reason=None, end_ns=None, final=False)
    stories = ["1 operation unsettled", "1 attempt of unknown outcome may still take effect"]
    unpublished = "1 operation not confirmed as published"
    assert missed("complete", "; ".join([*stories, unpublished])) == check(draft, "complete")
    draft.meta["planned"] += 2
    stories.append("3 operations not confirmed as published")
    assert missed("complete", "; ".join(stories)) == check(draft, "complete")


def test_a_run_without_operations_shows_nothing() -> None:
    """And says so."""
    draft = race()
    assert missed("complete", "no operation was planned") == check(draft, "complete")


def test_the_checks_stand_in_the_order_in_which_they_are_told() -> None:
    """Consistency first, then what is asked for, then what VALID is earned with."""
    consistent = ["lost updates", "applied once", "lost operations", "accounting", "row chains", "intents"]
    assert [*consistent, "refusals", "dependencies", "business rules", "conserved"] == [*CONSISTENT]
    assert ["overlap", "work", "fleet", "complete"] == [*EARNED]
    assert [*CONSISTENT, *EARNED] == [found.name for found in verify(busy().history()).checks]
    draft = busy(max_attempts=3)
    draft.operations[0]["requested"] = True
    assert ["requests", "progress"] == [*ASKED]
    assert [*CONSISTENT, *ASKED, *EARNED] == [found.name for found in verify(draft.history()).checks]
    assert [*EARNED] == [found.name for found in verify(busy(recording=False).history()).checks]


def shifted(draft: Draft, starts: list[int], ends: list[int]) -> Draft:
    """Let the attempts touch the row and end at these turns of the database's clock."""
    for attempt, start, end in zip(draft.attempts, starts, ends, strict=True):
        zero = 10**15 - OFFSETS[attempt["process"]]
        attempt.update(start_ns=zero + start * TURN_NS, end_ns=zero + end * TURN_NS)
        for access in draft.accesses:
            if access["token"] == attempt["token"]:
                access["at_ns"] = zero + start * TURN_NS
    return draft


def met(draft: Draft) -> list[bool]:
    """Which attempts provably met another worker's, by operation."""
    facts = Facts(draft.history())
    owner = facts.columns.attempts.operation
    return [bool(facts.overlapping[np.flatnonzero(owner == number)[0]]) for number in range(len(draft.attempts))]


@given(windows=st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4)), min_size=2, max_size=8))
@settings(max_examples=80, deadline=None)
def test_attempts_meet_where_their_windows_share_a_moment(windows: list[tuple[int, int]]) -> None:
    """Of different workers, on one row, and by more than the clocks' errors."""
    starts, ends = [start for start, _ in windows], [start + length for start, length in windows]
    draft = shifted(busy(len(windows)), starts, ends)
    expected = [
        any(
            starts[one] < ends[other] and starts[other] < ends[one] and one % 2 != other % 2
            for other in range(len(windows))
        )
        for one in range(len(windows))
    ]
    for effect in draft.effects:
        effect["writer"] = 0  # no effect proves anything here: only the windows do
    assert expected == met(draft)


@pytest.mark.parametrize(("error", "expected"), [(TURN_NS // 4 - 1, True), (TURN_NS // 4, False)])
def test_a_window_is_shortened_by_the_error_at_either_end(error: int, *, expected: bool) -> None:
    """Two windows that share half a turn meet as long as less than that is in doubt.

    In doubt is the error of one window's end and of the other one's start.
    """
    draft = shifted(busy(2), [0, 3], [4, 7])
    second = draft.attempts[1]["token"]
    for access in draft.accesses:
        access["at_ns"] += TURN_NS // 2 if access["token"] == second else 0
    # A reading at each of the four times, so that nothing has drifted.
    turns = {1: (0, 8), 2: (7, 14)}
    draft.clocks = [
        {**clock, "mono_ns": clock["mono_ns"] + half * TURN_NS // 2, "error_ns": error}
        for clock in draft.clocks
        for half in turns[clock["process"]]
    ]
    assert [expected, expected] == met(draft)


def test_a_single_process_needs_no_clock() -> None:
    """Its attempts' own times are comparable as they are."""
    draft = shifted(busy(4, mode="eager"), [0, 1, 5, 9], [2, 3, 6, 10])
    draft.clocks.clear()
    for place, attempt in enumerate(draft.attempts):
        attempt["slot"] = place
    times = {attempt["token"]: attempt["start_ns"] + OFFSETS[attempt["process"]] for attempt in draft.attempts}
    for attempt in draft.attempts:
        length = attempt["end_ns"] - attempt["start_ns"]
        attempt.update(start_ns=times[attempt["token"]], end_ns=times[attempt["token"]] + length)
    for access in draft.accesses:
        access["at_ns"] = times[access["token"]]
    assert [True, True, False, False] == met(draft)


def test_a_window_without_length_meets_nobody() -> None:
    """It is no moment that anybody could share."""
    draft = shifted(busy(2, mode="eager"), [0, 2], [4, 2])
    for attempt in draft.attempts:
        for name in ("start_ns", "end_ns"):
            attempt[name] += OFFSETS[attempt["process"]]
    for access in draft.accesses:
        access["at_ns"] += OFFSETS[access["token"] >> 32]
    assert [False, False] == met(draft)
    draft.attempts[1]["end_ns"] += 1
    assert [True, True] == met(draft)


def test_an_attempt_without_end_has_no_window() -> None:
    """Nobody knows how long it was open."""
    draft = shifted(busy(3), [0, 1, 2], [9, 9, 9])
    draft.attempts[1].update(end_ns=None, outcome="info")
    draft.effects.clear()
    assert [False, False, False] == met(draft)


def test_a_window_begins_with_the_first_touch_of_the_row() -> None:
    """Not with the attempt, and not with its last statement."""
    draft = shifted(busy(2), [0, 3], [4, 7])
    late = draft.attempts[1]["token"]
    touches = [access for access in draft.accesses if access["token"] == late]
    touches[-1]["at_ns"] += 2 * TURN_NS
    assert [True, True] == met(draft)
    touches[0]["at_ns"] += 2 * TURN_NS
    for effect in draft.effects:
        effect["writer"] = 0
    assert [False, False] == met(draft)


def test_windows_on_another_row_do_not_count() -> None:
    """An attempt that touches two rows has a window on each."""
    draft = shifted(race(grant(0, 1), grant(1, 1), grant(2, 1)), [0, 3, 20], [9, 9, 29])
    assert [False, False, False] == met(draft)
    access = next(access for access in draft.accesses if access["token"] == draft.attempts[0]["token"])
    draft.accesses.append({**access, "key": "1", "at_ns": access["at_ns"] + 8 * TURN_NS})
    assert [True, True, False] == met(draft)


def test_workers_are_processes_or_their_slots() -> None:
    """Slots count in eager mode and in pools of threads only."""
    draft = busy(4)
    for attempt, slot in zip(draft.attempts, (0, 0, 1, 0), strict=True):
        attempt["slot"] = slot
    assert [0, 0, 1, 1] == workers(prepare(draft.history())).tolist()
    draft.processes[0]["pool"] = "threads"
    assert [0, 1, 2, 2] == workers(prepare(draft.history())).tolist()
    draft.processes[0]["pool"] = "prefork"
    draft.meta["mode"] = "eager"
    assert [0, 1, 2, 2] == workers(prepare(draft.history())).tolist()


def test_a_run_without_attempts_has_no_workers() -> None:
    """Nobody met anybody."""
    draft = race()
    assert [] == workers(prepare(draft.history())).tolist()
    assert [] == Facts(draft.history()).overlapping.tolist()


def test_a_stale_write_of_an_unknown_attempt_proves_nothing_of_others() -> None:
    """Only the attempt that overwrote has met somebody."""
    draft = shifted(busy(4), [0, 10, 20, 30], [1, 11, 21, 31])
    draft.read_of(2).update(seq=1)
    assert [False, False, True, False] == met(draft)
    draft.effects[2]["writer"], draft.effects[0]["writer"] = (draft.effects[each]["writer"] for each in (0, 2))
    draft.read_of(0)["seq"] = 1
    assert [True, False, False, False] == met(draft)
    draft.drop(0)
    facts = Facts(draft.history())
    assert [False, False, False] == facts.overlapping.tolist()
