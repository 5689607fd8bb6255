"""`rowrace.explore` on SQLite: what it finds, proves, shrinks and refuses."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

import rowrace
from orchestrator.explore import explore
from orchestrator.explorer.judging import JudgeError
from orchestrator.explorer.scheduler import Divergence
from tests.bank import accounts, careful_deposit, deposit, nothing_lost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.explorer.judging import Outcome


def test_the_lost_update_is_found_by_the_second_schedule() -> None:
    """Two deposits on one account lose one, and the search says how, with a token."""
    found = rowrace.explore(deposit, deposit, setup=accounts, invariant=nothing_lost(2))
    assert (True, {"lost update": 1}) == (found.found, found.anomalies)
    assert found.schedules <= 2
    assert found.token is not None
    assert found.token.startswith("cs1.sqlite.own.")


def test_a_shrunk_listing_is_short() -> None:
    """Twelve lines at most, with the sentence that says whose update is lost."""
    listing = explore(deposit, deposit, setup=accounts, invariant=nothing_lost(2)).listing
    assert listing is not None
    assert len(listing.splitlines()) <= 12
    assert "B's update is lost" in " ".join(listing.split())


def test_the_whole_search_counts_every_failing_schedule() -> None:
    """Four of the six schedules that differ lose an update."""
    found = explore(
        deposit, deposit, setup=accounts, invariant=nothing_lost(2), policy="dpor", keep_going=True, budget=None
    )
    assert (6, True, {"lost update": 4}) == (found.schedules, found.complete, found.anomalies)


@pytest.mark.parametrize("bodies", [2, 3])
def test_a_version_check_is_proven(bodies: int) -> None:
    """A complete search finds nothing where writes check what they overwrite."""
    found = explore(*[careful_deposit] * bodies, setup=accounts, invariant=nothing_lost(bodies), budget=None)
    assert (False, True, None) == (found.found, found.complete, found.remark)


def test_without_an_invariant_every_end_must_be_a_serial_one() -> None:
    """The lost update is no order's end; the checked one is."""
    lost = explore(deposit, deposit, setup=accounts)
    fine = explore(careful_deposit, careful_deposit, setup=accounts)
    assert ({"lost update": 1}, {}, True) == (lost.anomalies, fine.anomalies, fine.complete)


def test_a_replay_does_the_same_and_an_edited_token_does_not() -> None:
    """A token gives the same anomaly and listing; one whose digest is wrong has diverged."""
    found = explore(deposit, deposit, setup=accounts, invariant=nothing_lost(2))
    assert found.token is not None
    again = explore(deposit, deposit, setup=accounts, invariant=nothing_lost(2), replay=found.token)
    assert (found.anomalies, found.listing, found.token) == (again.anomalies, again.listing, again.token)
    with pytest.raises(Divergence):
        explore(deposit, deposit, setup=accounts, replay=found.token[:-8] + "00000000")


def test_bodies_that_have_no_part_in_it_are_left_out() -> None:
    """Of four bodies two are left, under their own names, and the token replays just these."""

    def other(connection: Any) -> None:  # noqa: ANN401 - sqlite3's
        connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 2")
        connection.commit()

    bodies = (other, deposit, deposit, deposit)
    found = explore(*bodies, setup=accounts, policy="random", seed=3)
    assert found.token is not None
    letters = set(found.token.split(".")[4]) & set("ABCD")
    assert (2, False) == (len(letters), "A" in letters)
    again = explore(*bodies, setup=accounts, replay=found.token, seed=3)
    assert (found.listing, ["lost update"]) == (again.listing, list(again.anomalies))


def test_a_token_of_other_bodies_is_refused() -> None:
    """One sentence says that it is of another scenario."""
    found = explore(deposit, deposit, setup=accounts)
    with pytest.raises(rowrace.UsageError, match="another scenario"):
        explore(deposit, careful_deposit, setup=accounts, replay=found.token)


def test_an_uncaught_error_is_a_finding_unless_it_is_allowed() -> None:
    """A body's exception is an operation that was not carried out."""

    def insert(connection: Any) -> None:  # noqa: ANN401 - sqlite3's
        connection.execute("INSERT INTO account VALUES (3, 0, 0)")
        connection.commit()

    always = explore(insert, insert, setup=accounts, invariant=lambda: True)
    never = explore(insert, insert, setup=accounts, invariant=lambda: True, allowed=(sqlite3.IntegrityError,))
    assert ({"uncaught IntegrityError": 1}, {}, True) == (always.anomalies, never.anomalies, never.complete)


def test_a_body_that_keeps_its_lock_is_stuck(tmp_path: Path) -> None:
    """Who returns without an end to its transaction makes the others wait for ever, and that is said."""
    path = tmp_path / "bank.db"
    kept: list[sqlite3.Connection] = []

    def set_up() -> None:
        with sqlite3.connect(path) as connection:
            accounts(connection)
        connection.close()

    def forgetful() -> None:
        kept.append(sqlite3.connect(path))
        kept[-1].execute("UPDATE account SET balance = 0 WHERE id = 1")

    found = explore(forgetful, forgetful, setup=set_up, engine=path, invariant=lambda: True)
    for connection in kept:
        connection.close()
    assert "stuck" in found.anomalies


def test_crashes_are_tried_where_they_are_allowed() -> None:
    """A worker that crashes between commit and acknowledgement does its work twice."""

    def add(connection: Any) -> None:  # noqa: ANN401 - sqlite3's
        connection.execute("UPDATE account SET balance = balance + 10 WHERE id = 1")
        connection.commit()

    fine = explore(add, add, setup=accounts, invariant=nothing_lost(2), budget=None)
    crashed = explore(add, add, setup=accounts, invariant=nothing_lost(2), crashes=1, budget=None)
    assert (False, True, {"done twice after a crash": 1}) == (fine.found, fine.complete, crashed.anomalies)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"policy": "luck"}, "no policy 'luck'"),
        ({"isolation": "read committed"}, "SQLite has one isolation"),
        ({"database": "oracle"}, "'oracle'"),
        ({"budget": 0}, "above 0"),
        ({"schedules": 0}, "above 0"),
        ({"names": ("a",)}, "a name of its own"),
        ({"names": ("a", "a")}, "names are a, a"),
        ({"budget": "10s"}, "seconds as a number"),
        ({"engine": ":memory:"}, "in memory"),
        ({"engine": 7}, "neither"),
        ({"replay": "cs9.x"}, "version"),
        ({"preemptions": 1}, "bounded"),
    ],
)
def test_what_cannot_be_searched_is_refused(given: dict[str, Any], sentence: str) -> None:
    """One sentence says what is wrong."""
    with pytest.raises(rowrace.UsageError, match=sentence):
        explore(deposit, deposit, setup=None if "engine" in given else accounts, **given)


def test_known_tokens_are_replayed_first_and_set_up_runs_once() -> None:
    """What still fails is the answer; what no longer fits is passed over; either way there is one set-up."""
    token = explore(deposit, deposit, setup=accounts).token
    assert token is not None
    calls: list[int] = []

    def counted(connection: Any) -> None:  # noqa: ANN401 - sqlite3's
        calls.append(1)
        accounts(connection)

    stale = token[:-8] + "00000000"
    again = explore(deposit, deposit, setup=counted, known=(stale, token))
    assert ("replay", token, [1]) == (again.policy, again.token, calls)
    fixed = explore(careful_deposit, careful_deposit, setup=counted, known=(stale, token))
    assert (True, False, [1, 1]) == (fixed.complete, fixed.found, calls)


def test_what_needs_no_race_is_said_to_need_none() -> None:
    """An invariant that fails where bodies run one after another too is no conflict."""
    found = explore(deposit, deposit, setup=accounts, invariant=lambda outcome: len(outcome.rows["account"]) == 3)
    assert "It needs no race" in found.failures[0].sentence


def test_a_pool_is_emptied_where_a_worker_crashes(tmp_path: Path) -> None:
    """The process that takes a crashed one's place opens connections of its own."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'bank.db'}")

    def set_up() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE account (id integer PRIMARY KEY, balance integer)")
            connection.exec_driver_sql("INSERT INTO account VALUES (1, 100)")

    def add() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE account SET balance = balance + 10 WHERE id = 1")

    found = explore(add, add, setup=set_up, engine=engine, invariant=nothing_lost(2), crashes=1, budget=None)
    assert ["done twice after a crash"] == list(found.anomalies)


def test_no_bodies_are_no_success() -> None:
    """Where there is nothing to run, nothing is said to be fine."""
    with pytest.raises(rowrace.UsageError, match="0 bodies"):
        explore(setup=accounts)


def test_bodies_that_touch_nothing_are_no_success() -> None:
    """Where no statement was seen, nothing was looked at: that is refused and not called complete."""
    with pytest.raises(rowrace.UsageError, match="no statement"):
        explore(lambda: None, lambda: None, setup=accounts, invariant=lambda: True)
    found = explore(careful_deposit, lambda: None, setup=accounts, invariant=lambda: True)
    assert (False, "not complete because no statement of B was seen") == (found.complete, found.remark)


async def _coroutine() -> None:
    """Do nothing, and that only when awaited."""


def _generator() -> Iterator[None]:
    yield


@pytest.mark.parametrize("made", [_coroutine, _generator], ids=["coroutine", "generator"])
def test_what_a_call_only_makes_is_no_body_and_no_invariant(made: Any) -> None:  # noqa: ANN401 - either of the two
    """Nothing of it would run, and it would pass for true: both are refused."""
    with pytest.raises(rowrace.UsageError, match="a coroutine or a generator"):
        explore(made, deposit, setup=accounts)
    with pytest.raises(JudgeError, match="a coroutine or a generator"):
        explore(deposit, deposit, setup=accounts, invariant=made)


def test_an_invariant_that_needs_every_worker_keeps_them() -> None:
    """Where it can't judge fewer workers, what was found is told with all of them."""

    def third_is_done(outcome: Outcome) -> bool:
        return outcome.results[2] is None and outcome.rows["account"][0]["balance"] == 130

    found = explore(deposit, deposit, deposit, setup=accounts, invariant=third_is_done)
    assert {"lost update": 1} == found.anomalies
    assert found.listing is not None
    assert "C: deposit" in found.listing


def test_the_sentence_is_of_the_schedule_that_is_shown() -> None:
    """Schedules of one outcome differ in whose update is lost; sentence and listing tell of the same one."""
    for bodies in ((deposit, deposit), (deposit, deposit, deposit)):
        for failure in explore(*bodies, setup=accounts, keep_going=True, policy="dpor").failures:
            said = failure.sentence.split(" No order of")[0]
            assert said[1:] in " ".join(failure.listing.split())
