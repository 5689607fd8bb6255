"""Overdue, told whole: how long what is not settled waited at least, and what that is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from orchestrator.verifier import Facts
from orchestrator.verifier.overdue import overdue
from orchestrator.verifier.settling import INFO, LOST
from tests.unit.histories import OFFSETS, TURN_NS, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft

#: Late, undecided, and how long it took or waited.
Held: TypeAlias = tuple[bool, bool, int]

#: Length of each attempt of `race`; when the first one begins, by the database's clock.
TOOK = 3 * TURN_NS // 2
BEGAN_US = 10**12
#: Between the two processes' clocks.
SHIFT = OFFSETS[1] - OFFSETS[2]


def error(since_reading_ns: int) -> int:
    """Of a time that long after the clock was read, which was when the race began."""
    return 1000 + since_reading_ns // 10_000


def held(draft: Draft, bound_ns: int | None = 10**9, *, ended: bool = True) -> list[Held]:
    """Every operation, held to a bound."""
    facts = Facts(draft.history())
    open_ = np.isin(facts.settled.operations, (INFO, LOST))
    found = overdue(facts, open_, None if bound_ns is None else bound_ns / 1e9, ended=ended)
    return list(zip(found.late.tolist(), found.undecided.tolist(), found.took.tolist(), strict=True))


def open_end(draft: Draft, number: int, **changes: Any) -> None:  # noqa: ANN401 - a column's value
    """Let an operation's attempt have left no end and no effect; it may commit yet."""
    draft.crash(number)
    draft.effects = [effect for effect in draft.effects if effect["operation"] != number]
    draft.attempt_of(number).update(changes)


def timed_out(draft: Draft, **profile: object) -> Draft:
    """Let the run have ended at its time limit."""
    draft.meta.update(timed_out=True, drained=False, began_us=BEGAN_US, profile=profile)
    return draft


def moved() -> Draft:
    """One operation that conflicted in process 1 and was done in process 2: 11 turns, give or take two errors."""
    draft = race(grant(0, 1))
    first = draft.attempts[0]
    start = first["start_ns"] + SHIFT + 10 * TURN_NS
    draft.attempts.append(
        {**first, "process": 2, "token": (2 << 32) + 9, "start_ns": start, "end_ns": start + TURN_NS, "attempt": 2}
    )
    first.update(outcome="fail", reason="serialization", final=False)
    draft.effects[0]["writer"] = (2 << 32) + 9
    return draft


ERRORS = error(0) + error(11 * TURN_NS)


@pytest.mark.parametrize(
    ("bound", "late", "undecided"),
    [
        (11 * TURN_NS - ERRORS - 1, True, False),
        (11 * TURN_NS - ERRORS, False, True),
        (11 * TURN_NS + ERRORS - 1, False, True),
        (11 * TURN_NS + ERRORS, False, False),
    ],
)
def test_what_clocks_leave_open_is_undecided(bound: int, *, late: bool, undecided: bool) -> None:
    """To the nanosecond, on both sides."""
    assert [(late, undecided, 11 * TURN_NS)] == held(moved(), bound)


def test_without_a_clock_nobody_knows_how_long_it_took() -> None:
    """Whatever is asked for."""
    draft = moved()
    draft.clocks.clear()
    assert [(False, True, -1)] == held(draft, 1) == held(draft, 10**18)


def test_without_a_bound_nothing_is_late_or_undecided() -> None:
    """And how long it waited is not asked."""
    draft = race(grant(0, 1), grant(1, 1))
    open_end(draft, 1)
    assert [(False, False, TOOK), (False, False, -1)] == held(draft, None)


def test_an_open_operation_waited_until_the_last_end_that_is_known() -> None:
    """Less what both clocks may be wrong by."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1))
    open_end(draft, 0)
    end = 7 * TURN_NS // 2
    waited = end - error(end) - error(0)
    expected = [(False, False, TOOK)] * 2
    assert [(False, True, waited), *expected] == held(draft)
    assert [(False, True, waited), *expected] == held(draft, waited)
    assert [(True, False, waited), (False, False, TOOK)] == held(draft, waited - 1)[:2]
    assert [(False, True, waited), (False, False, TOOK)] == held(draft, waited - 1, ended=False)[:2]


def test_an_open_operation_waited_until_the_last_start_that_is_known() -> None:
    """The one that started last waited for no time at all, as far as is known."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1))
    start = 5 * TURN_NS
    open_end(draft, 0)
    open_end(draft, 2, start_ns=draft.attempts[0]["start_ns"] + start)
    waited = start - error(start) - error(0)
    assert [(False, True, waited), (False, False, TOOK), (False, True, 0)] == held(draft)


def test_an_open_operation_waited_until_the_last_effect() -> None:
    """The database's clock is exact, and what other processes' say is unknown here."""
    draft = race(grant(0, 1), grant(1, 1))
    open_end(draft, 0)
    del draft.clocks[1]
    assert 2 * TURN_NS + 1000 - error(0) == held(draft)[0][2]


def test_the_database_s_clock_goes_on_while_all_that_wrote_are_unheard_of() -> None:
    """Its last effect counts, in whatever order they are told."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1))
    open_end(draft, 0)
    draft.effects.reverse()
    draft.effects[0]["at_us"] += 4 * TURN_NS // 1000
    assert 7 * TURN_NS + 1000 - error(0) == held(draft)[0][2]


def test_a_run_that_was_heard_of_once_went_on_for_no_time() -> None:
    """Even where the database's clock begins with it."""
    draft = race(grant(0, 1))
    open_end(draft, 0)
    start = draft.attempts[0]["start_ns"]
    draft.clocks[:] = [{"process": 1, "mono_ns": start, "offset_ns": -start, "error_ns": 0}]
    assert [(False, True, 0)] == held(draft)


def test_a_clock_may_read_zero_when_the_run_still_goes_on() -> None:
    """That is a time like any other."""
    draft = race(grant(0, 1), grant(1, 1), grant(2, 1))
    open_end(draft, 0)
    later = {"process": 3, "mono_ns": 0, "offset_ns": BEGAN_US * 1000 + 9 * TURN_NS, "error_ns": 7}
    draft.clocks.append(later)
    draft.processes.append({"process": 3, "node": "node-3", "host": "here", "pid": 103, "pool": "prefork"})
    open_end(draft, 1, process=3, start_ns=0)
    assert 9 * TURN_NS - 7 - error(0) == held(draft)[0][2]


def test_a_time_limit_is_how_long_the_run_went_on_at_least() -> None:
    """Only where it was reached: what never came to it ended when the last was heard of it."""
    draft = race(grant(0, 1), grant(1, 1))
    open_end(draft, 1)
    start = TURN_NS + error(TURN_NS)
    waited = 3 * 10**9 - start
    expected = [(False, False, TOOK), (True, False, waited)]
    assert expected == held(timed_out(draft, timeout=3))
    assert [(True, False, waited), (False, True, waited)] == [held(draft, waited - 1)[1], held(draft, waited)[1]]
    assert expected == held(timed_out(draft, timeout=3.0))
    draft.meta.update(timed_out=False)
    assert 2 * TURN_NS > held(draft)[1][2]
    assert 2 * TURN_NS > held(timed_out(draft))[1][2]


def test_what_nobody_attempted_waited_since_any_later_one_was() -> None:
    """The earliest of them; where there is none, nobody knows."""
    draft = timed_out(race(*(grant(0, 1) for _ in range(5))), timeout=3)
    for number in (1, 4):
        draft.drop(number)
        draft.effects = [effect for effect in draft.effects if effect["operation"] != number]
    # Operation 3 began at 1.5 turns, before operation 2 did, in process 2.
    draft.attempt_of(3)["start_ns"] -= TOOK
    since = TOOK + error(TOOK)
    assert [(True, False, 3 * 10**9 - since), (False, True, -1)] == [held(draft)[1], held(draft)[4]]


def test_what_was_attempted_waited_since_its_own_first_attempt() -> None:
    """Though later ones were attempted before."""
    draft = timed_out(race(grant(0, 1), grant(1, 1)), timeout=3)
    start = 5 * TURN_NS
    open_end(draft, 0, start_ns=draft.attempts[0]["start_ns"] + start)
    assert (True, False, 3 * 10**9 - start - error(start)) == held(draft)[0]


def test_who_has_no_clock_says_nothing_of_waiting() -> None:
    """It is undecided, not late."""
    draft = timed_out(race(grant(0, 1), grant(1, 1)), timeout=3)
    open_end(draft, 1)
    del draft.clocks[1]
    assert (False, True, -1) == held(draft)[1]


def test_what_is_lost_is_late_however_short_the_run_was() -> None:
    """Unless the run had no end."""
    draft = race(grant(0, 1))
    draft.add_operation(grant(0, 1))
    assert [(False, False, TOOK), (True, False, -1)] == held(draft)
    assert [(False, False, TOOK), (False, True, -1)] == held(draft, ended=False)
