"""Tokens: what is written is read again, what is not a token is said to be none, and a divergence is told."""

from __future__ import annotations

import shlex
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.explorer.sameness import Difference, compare, digest_of, shape
from orchestrator.explorer.token import (
    BACKENDS,
    ISOLATIONS,
    MOST_WORKERS,
    Token,
    TokenError,
    check,
    decode,
    mismatch,
    read_segments,
    scenario_hash,
    token_of,
    write_segments,
)
from tests.unit.executions import ACCOUNT, BALANCE, SET_BALANCE, Draft, lost_update

SCENARIO = "9f86d081"
TOKEN = "cs1.sqlite.own.9f86d081.AB3A2.029e84be"  # noqa: S105 - a schedule's, no secret

steps = st.lists(
    st.tuples(st.integers(-MOST_WORKERS, MOST_WORKERS - 1), st.integers(1, 40)).map(lambda run: [run[0]] * run[1])
).map(lambda runs: tuple(step for run in runs for step in run))
tokens = st.builds(
    Token,
    st.sampled_from(BACKENDS),
    st.sampled_from(list(ISOLATIONS)),
    st.from_regex(r"\A[0-9a-f]{8}\Z"),
    steps,
    st.from_regex(r"\A[0-9a-f]{8,64}\Z"),
)


def test_lost_update_is_written_in_few_letters() -> None:
    """A token shows who runs how long: A a step, B three, A two."""
    assert str(token_of(lost_update(), "sqlite", "sqlite", SCENARIO)) == TOKEN


def test_token_is_read_back() -> None:
    """Reading gives the parts and the choices."""
    token = decode(TOKEN)
    expected = ("sqlite", "sqlite", SCENARIO, (0, 1, 1, 1, 0, 0))
    assert expected == (token.backend, token.isolation, token.scenario, token.choices(2))


@settings(deadline=None)
@given(tokens)
def test_written_tokens_are_read_again(token: Token) -> None:
    """Whatever is written is read as the same."""
    assert token == decode(str(token))


@settings(deadline=None)
@given(tokens)
def test_tokens_need_no_quotes(token: Token) -> None:
    """Neither a shell nor an address changes a token."""
    text = str(token)
    assert (text, text) == (shlex.quote(text), quote(text, safe=""))


@settings(deadline=None)
@given(steps)
def test_segments_are_read_again(schedule: tuple[int, ...]) -> None:
    """The schedule alone is written and read too."""
    assert schedule == read_segments(write_segments(schedule))


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_token_or_one_sentence(text: str) -> None:
    """Nothing but a TokenError comes out of reading, whatever is read."""
    for candidate in (text, f"cs1.sqlite.own.9f86d081.{text}.029e84be"):
        try:
            decode(candidate)
        except TokenError as error:
            assert "\n" not in str(error).rstrip()  # noqa: PT017 - most texts raise, some do not


def test_long_schedules_stay_short() -> None:
    """Thousands of steps in a row take a few letters."""
    assert write_segments([0] * 5000 + [35] * 40 + [-3] + [1]) == "A3uw_914-CB"


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("", "This is no schedule token: it begins with '' instead of 'cs1'."),
        ("hello world", "This is no schedule token: it begins with 'hello world' instead of 'cs1'."),
        ("cs2.sqlite.own.9f86d081.A.029e84be", "The token's version is cs2, which this release does not know"),
        ("cs1.sqlite.own.9f86d081.A", "The token has 5 parts instead of 6"),
        ("cs1.oracle.own.9f86d081.A.029e84be", "The token's backend is 'oracle'"),
        ("cs1.sqlite.si.9f86d081.A.029e84be", "The token's isolation is 'si'"),
        ("cs1.sqlite.own.9F86D081.A.029e84be", "The token's scenario is '9F86D081'"),
        ("cs1.sqlite.own.9f86d08.A.029e84be", "The token's scenario is '9f86d08'"),
        ("cs1.sqlite.own.9f86d081..029e84be", "The token's segments are empty"),
        ("cs1.sqlite.own.9f86d081.A2*3.029e84be", "The token's segments have '*3' where a worker should be"),
        ("cs1.sqlite.own.9f86d081.A-.029e84be", "The token's segments have '-' where a worker should be"),
        ("cs1.sqlite.own.9f86d081.A0.029e84be", "The token's segments have 'A0', whose length"),
        ("cs1.sqlite.own.9f86d081.Azzzz.029e84be", "The token's segments have more than 1,000,000 steps"),
        (f"cs1.sqlite.own.9f86d081.A{'1' * 9000}.029e84be", "The token's segments have more than 1,000,000 steps"),
        ("cs1.sqlite.own.9f86d081.A.029e84", "The token's digest is '029e84'"),
        ("cs1.sqlite.own.9f86d081.A.029e84bx", "The token's digest is '029e84bx'"),
    ],
)
def test_each_bad_part_is_named(token: str, expected: str) -> None:
    """The sentence names the first part that is wrong."""
    with pytest.raises(TokenError) as caught:
        decode(token)
    assert str(caught.value).startswith(expected)


def test_crashes_are_marked() -> None:
    """A crash of a worker has a minus and is the choice beyond the workers again."""
    draft = Draft(2)
    draft.write(0, ACCOUNT, SET_BALANCE, 110, 1)
    draft.commit(0)
    draft.crash(0, "acknowledge")
    draft.step(0, "dequeue")
    token = decode(str(token_of(draft.done(), "postgres", "repeatable read", SCENARIO)))
    assert ("A2-AA", (0, 0, 2, 0)) == (write_segments(token.steps), token.choices(2))


def test_missing_worker_is_named() -> None:
    """A token of more workers than there are is refused by the worker's letter."""
    with pytest.raises(TokenError, match="name worker B, but there are only 1 workers"):
        decode(TOKEN).choices(1)


def test_too_many_workers_are_refused() -> None:
    """There are no letters for a 37th worker."""
    with pytest.raises(TokenError, match="36 workers, not 37"):
        token_of(Draft(37).done(), "sqlite", "sqlite", SCENARIO)


def test_unknown_isolation_is_refused() -> None:
    """What a token can't say is not written."""
    with pytest.raises(TokenError, match="isolation 'snapshot'"):
        token_of(lost_update(), "sqlite", "snapshot", SCENARIO)


def test_scenarios_have_their_hash() -> None:
    """The hash is that of the description."""
    assert scenario_hash("test") == SCENARIO


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (("sqlite", "sqlite", SCENARIO), None),
        (
            ("postgres", "serializable", SCENARIO),
            "The token is of sqlite, sqlite; this is postgres, serializable.",
        ),
        (
            ("sqlite", "sqlite", "00000000"),
            (
                "The token is of another scenario (9f86d081, this one is 00000000):"
                " its name, its options or its bodies have changed since."
            ),
        ),
    ],
)
def test_tokens_of_something_else_are_told(here: tuple[str, str, str], expected: str | None) -> None:
    """A token is replayed only on what it was made of."""
    assert expected == mismatch(decode(TOKEN), *here)


# divergence


def test_same_run_passes() -> None:
    """The run that the token was made of has nothing to report."""
    assert check(decode(TOKEN), lost_update()) is None


def test_other_outcome_is_reported() -> None:
    """A statement that matches no row this time changes the digest."""
    execution = lost_update()
    execution.records[4].count = 0
    assert str(check(decode(TOKEN), execution)).startswith("The steps are the token's, but what they did is not")


def test_other_choice_is_reported() -> None:
    """Another worker at a step is named."""
    token = decode(TOKEN.replace("AB3A2", "ABA2B2"))
    assert check(token, lost_update()) == "Step 3 ran worker B where the token has worker A."


def test_other_length_is_reported() -> None:
    """A run that ends earlier is no replay."""
    token = decode(TOKEN.replace("AB3A2", "AB3A3"))
    assert check(token, lost_update()) == "The replay took 6 steps, the token has 7."


def test_generated_names_do_not_count() -> None:
    """Literals, white space and the number of a savepoint are not part of a statement's shape."""
    expected = "UPDATE t1 SET a = #, b = # WHERE id = # /* sa_savepoint_# */"
    assert expected == shape("UPDATE t1\n  SET a = 'it''s 5',\n b = 2.5 WHERE id = 17 /* sa_savepoint_12 */")


def test_error_messages_do_not_count() -> None:
    """Of an error the class counts: its message may name processes."""
    one, other = Draft(), Draft()
    for draft, process in ((one, 11), (other, 12)):
        draft.write(0, ACCOUNT, SET_BALANCE, 110, 1).error = f"DeadlockDetected: process {process} waits"
    assert digest_of(one.records) == digest_of(other.records)


def test_same_runs_compare_equal() -> None:
    """Two runs that did the same have no difference, values included."""
    assert compare(lost_update(), lost_update(), values=True) is None


@pytest.mark.parametrize(
    ("change", "values", "expected"),
    [
        ({"count": 0}, False, "rows 1 the first time, 0 the second"),
        ({"error": "SerializationFailure: x"}, False, "error none the first time, SerializationFailure the second"),
        ({"blocked": True}, False, "it had to wait only the second time"),
        ({"answered": 5}, False, "answered at step 5 the first time, 6 the second"),
        ({"choice": 2}, False, "the second time it crashed"),
        ({"rows": [(1,)]}, True, "read None the first time, [(1,)] the second"),
    ],
)
def test_first_difference_is_named(change: dict[str, object], values: bool, expected: str) -> None:  # noqa: FBT001 - a parameter
    """The step, the worker, the statement and what differs are named."""
    other = lost_update()
    for name, value in change.items():
        setattr(other.records[4], name, value)
    assert Difference(4, 0, SET_BALANCE, expected) == compare(lost_update(), other, values=values)


def test_difference_is_a_sentence() -> None:
    """A difference reads as a reason why a schedule can't be replayed."""
    other = lost_update()
    other.records[4].count = 0
    difference = compare(lost_update(), other)
    assert difference is not None
    expected = f"At step 5, A ({SET_BALANCE}): rows 1 the first time, 0 the second."
    assert expected == difference.sentence()


def test_other_parameters_are_a_difference_of_values() -> None:
    """Parameters count only where values do."""
    other = lost_update()
    point = other.records[4].point
    other.records[4].point = point._replace(parameters=(111, 1))
    difference = compare(lost_update(), other, values=True)
    assert difference is not None
    actual = (compare(lost_update(), other), difference.what)
    assert (None, "parameters (110, 1) the first time, (111, 1) the second") == actual


def test_other_ready_workers_are_a_difference() -> None:
    """Who could have run is part of what two runs must share."""
    other = lost_update()
    other = other._replace(ready=(*other.ready[:3], (1,), *other.ready[4:]))
    difference = compare(lost_update(), other)
    assert difference is not None
    assert difference.what == "A, B could run the first time, B the second"


def test_longer_run_is_a_difference() -> None:
    """A step that only one run has is named."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, [(100,)], 1)
    difference = compare(draft.done(), lost_update())
    assert difference is not None
    assert difference.sentence() == f"At step 2, B ({BALANCE}): only the second run has this step."


def test_other_end_is_a_difference_of_values() -> None:
    """Rows that are left differently are told after the last step."""
    difference = compare(lost_update(), lost_update()._replace(state={}), values=True)
    assert difference is not None
    assert difference.sentence() == "After the last step, the rows that are left differ."
