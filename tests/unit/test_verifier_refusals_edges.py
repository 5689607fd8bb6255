"""Refusals in time: every moment of a window, and every bound of a clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.refused import BOUNDED, PROVEN, WRONG, Window, graded, staged


def told(levels: list[int], bounds: list[tuple[int, int]], window: tuple[int, int], error: int, need: int) -> str:
    """The same by definition: a state is current from its own commit to the next one's."""
    states, (begin, end) = [5, *levels], window
    earliest = [max(low for low, _ in bounds[: place + 1]) for place in range(len(bounds))]
    latest = [max(high for _, high in bounds[: place + 1]) for place in range(len(bounds))]
    surely, maybe = False, False
    for place, level in enumerate(states):
        if level >= need:
            continue
        begun_surely = place == 0 or latest[place - 1] <= end - error
        begun_maybe = place == 0 or earliest[place - 1] <= end + error
        over_maybe = place < len(levels) and earliest[place] < begin + error
        over_surely = place < len(levels) and latest[place] < begin - error
        surely |= begun_surely and not over_maybe
        maybe |= begun_maybe and not over_surely
    return PROVEN if surely else BOUNDED if maybe else WRONG


WINDOWS = st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda pair: Window(pair[0], pair[0] + pair[1]))


@given(
    writers=st.lists(st.tuples(st.integers(0, 9), WINDOWS), max_size=5),
    window=WINDOWS,
    need=st.integers(1, 10),
)
@settings(max_examples=80, deadline=None)
def test_on_one_clock_attempts_bound_their_commits(
    writers: list[tuple[int, Window]], window: Window, need: int
) -> None:
    """A commit lies between its attempt's start and its end."""
    levels, windows = [level for level, _ in writers], [each for _, each in writers]
    draft = staged(levels, [*windows, window], [0] * len(levels), error=None, need=need)
    bounds = [(each.begin * 1000, each.end * 1000) for each in windows]
    expected = told(levels, bounds, (window.begin * 1000, window.end * 1000), 0, need)
    assert expected == graded(draft)


@given(
    writers=st.lists(st.tuples(st.integers(0, 9), WINDOWS), max_size=5),
    commits=st.lists(st.integers(0, 18), min_size=5, max_size=5),
    window=WINDOWS,
    need=st.integers(1, 10),
    error=st.sampled_from((0, 1, 500, 1_000, 3_000)),
)
@settings(max_examples=120, deadline=None)
def test_on_several_clocks_triggers_bound_commits(
    writers: list[tuple[int, Window]], commits: list[int], window: Window, need: int, error: int
) -> None:
    """A commit comes after its trigger, before its attempt's end and the next trigger on the row."""
    levels, windows = [level for level, _ in writers], [each for _, each in writers]
    some = commits[: len(levels)]
    draft = staged(levels, [*windows, window], some, error=error, need=need)
    bounds = [
        (
            (commit - 1) * 1000,
            min([windows[place].end * 1000 + error, *((later + 1) * 1000 for later in some[place + 1 : place + 2])]),
        )
        for place, commit in enumerate(some)
    ]
    expected = told(levels, bounds, (window.begin * 1000, window.end * 1000), error, need)
    assert expected == graded(draft)


@pytest.mark.parametrize(("late", "expected"), [(-1, PROVEN), (0, PROVEN), (1, WRONG)])
def test_a_state_that_was_over_before_the_attempt_began_is_no_excuse(late: int, expected: str) -> None:
    """On one clock it is over once the next writer's attempt has ended."""
    draft = staged([1, 9], [Window(0, 2), Window(3, 5), Window(5, 9)], [0, 0], error=None, need=4)
    attempt = draft.attempt_of(2)
    attempt["start_ns"] += late
    draft.accesses.append({**draft.accesses[0], "token": attempt["token"], "seq": 1, "at_ns": attempt["start_ns"]})
    assert expected == graded(draft)


@pytest.mark.parametrize(("error", "expected"), [(500, WRONG), (999, WRONG), (1_000, PROVEN), (1_500, PROVEN)])
def test_a_clocks_error_leaves_it_open_whether_a_state_was_over(error: int, expected: str) -> None:
    """By the error of the attempt's start and of the next writer's end."""
    draft = staged([1, 9], [Window(0, 2), Window(3, 5), Window(7, 9)], [1, 4], error=error, need=4)
    attempt = draft.attempt_of(2)
    draft.accesses.append({**draft.accesses[0], "token": attempt["token"], "seq": 1, "at_ns": attempt["start_ns"]})
    assert expected == graded(draft)


@pytest.mark.parametrize(
    ("rows", "mode", "expected"), [(0, "w", BOUNDED), (1, "w", WRONG), (0, "l", WRONG), (0, "r", WRONG)]
)
def test_a_write_without_match_may_have_seen_another_state(rows: int, mode: str, expected: str) -> None:
    """Whatever was read besides was not what it decided by."""
    draft = staged([1, 9], [Window(0, 2), Window(3, 5), Window(5, 9)], [1, 4], error=2_000, need=4)
    token = draft.attempt_of(2)["token"]
    draft.accesses.append({**draft.accesses[0], "token": token, "seq": 2})
    draft.accesses.append({**draft.accesses[0], "token": token, "seq": None, "mode": mode, "rows": rows})
    assert expected == graded(draft)


@pytest.mark.parametrize(("begin", "expected"), [(11, PROVEN), (12, WRONG)])
def test_a_commit_comes_before_the_next_trigger_on_the_row(begin: int, expected: str) -> None:
    """Which the database counts in whole microseconds: the state before it may have lasted until the next one."""
    windows = [Window(0, 2), Window(3, 90), Window(5, 90), Window(begin, begin + 3)]
    draft = staged([1, 9, 9], windows, [1, 12, 10], error=0, need=4)
    assert expected == graded(draft)


@pytest.mark.parametrize(("end", "expected"), [(9, BOUNDED), (8, WRONG)])
def test_a_commit_comes_after_its_own_trigger(end: int, expected: str) -> None:
    """Less the microsecond that was cut off."""
    draft = staged([1], [Window(0, 90), Window(end - 3, end)], [10], error=0, need=4)
    assert expected == graded(draft)


@pytest.mark.parametrize(("late", "expected"), [(0, PROVEN), (1, BOUNDED)])
def test_the_larger_error_of_a_windows_ends_counts(late: int, expected: str) -> None:
    """50 microseconds at the end, none at the start: a commit must be older than that."""
    end = 1_000_000
    draft = staged([1], [Window(0, end - 50), Window(0, end)], [10], error=0, need=4)
    draft.attempts[0]["end_ns"] += late
    draft.clocks[0]["mono_ns"] = draft.attempts[0]["end_ns"]
    last = draft.clocks[-1]
    assert [2, draft.attempts[1]["end_ns"]] == [last["process"], last["mono_ns"]]
    last["error_ns"] = 50_000
    assert expected == graded(draft)


def test_a_killed_writer_leaves_its_commit_open() -> None:
    """On one clock too: it may have been visible at any time after its start."""
    windows = [Window(0, 2), Window(3, 5), Window(12, 14)]
    draft = staged([1, 9], windows, [0, 0], error=None, need=4)
    assert WRONG == graded(draft)
    draft.attempts[1].update(end_ns=None, outcome="info")
    assert BOUNDED == graded(draft)


def test_a_writer_that_nobody_heard_of_leaves_its_commit_open() -> None:
    """At both ends, so that the state before it surely was current for no moment."""
    windows = [Window(0, 2), Window(13, 15), Window(8, 10)]
    draft = staged([1, 9], windows, [0, 0], error=None, need=4)
    assert PROVEN == graded(draft)
    draft.effects[1]["writer"] = 77
    assert BOUNDED == graded(draft)


def test_a_deleted_row_was_there_before_and_is_missing_after() -> None:
    """Presence is a level of 1, and its end is the commit of the effect that deleted the row."""
    draft = staged([6, 7], [Window(0, 2), Window(3, 5), Window(6, 9)], [0, 0], error=None, need=4)
    draft.refuse(2, "missing")
    assert WRONG == graded(draft)
    draft.effects[1].update(after=None, version_after=None)
    assert PROVEN == graded(draft)
    draft.attempts[2].update(start_ns=3_000, end_ns=3_500)
    assert BOUNDED == graded(draft)
    draft.attempts[2].update(start_ns=2_000, end_ns=2_500)
    assert WRONG == graded(draft)
