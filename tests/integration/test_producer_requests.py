"""Requests on a real Postgres: what a producer's transactions leave, what a task finds, what the history says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from orchestrator import gather, gather_database
from orchestrator import schema as group
from orchestrator.errors import ServiceError
from orchestrator.history.files import Writer, read
from orchestrator.history.model import Meta
from orchestrator.patience import Line
from orchestrator.plan import plan
from orchestrator.producer import Requests
from orchestrator.profile import Profile
from worker import attempt
from worker.config import Config
from worker.contract import Isolation, Operation, Outcome, Reason, Retry, Settings
from worker.runtime import Identity, ProcessRuntime
from worker.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Connection = psycopg.Connection[Any]

FULFIL = Operation(7, "fulfil", {"request": 7, "user": 0, "amount": 5})


@pytest.fixture
def schema(database: Connection, fresh_schema: str) -> str:
    """A group of requests with two users."""
    group.create(database, fresh_schema, "requests", 2, idempotency=True, recording=True)
    gather_database.snapshot(database, fresh_schema, "requests")
    return fresh_schema


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    """The producer's connection, with some patience."""
    opened = Line(lambda: psycopg.connect(database_url, autocommit=True), 30.0)
    yield opened
    opened.close()


@pytest.fixture
def runtime(database_url: str, tmp_path: Path) -> Iterator[ProcessRuntime]:
    """A worker process's runtime, on the test's own database and folder."""
    made = ProcessRuntime(Config(database_url=database_url, journal_dir=tmp_path), Identity("n", "threads"))
    yield made
    made.close()


def _settings(schema: str, strategy: str = "optimistic", mistakes: tuple[str, ...] = ()) -> Settings:
    return Settings(
        run="abcd",
        schema=schema,
        scenario="requests",
        strategy=strategy,
        isolation=Isolation.REPEATABLE_READ,
        retry=Retry(),
        think_ms=(0, 0),
        lock_timeout_ms=0,
        recording=True,
        seed=1,
        mistakes=mistakes,
    )


def _requests(database: Connection, schema: str) -> list[tuple[int, int]]:
    query = sql.SQL("SELECT id, operation FROM {} ORDER BY id").format(sql.Identifier(schema, "requests"))
    return database.execute(query).fetchall()


def _credits(database: Connection, schema: str) -> list[int]:
    query = sql.SQL("SELECT credits FROM {} ORDER BY id").format(sql.Identifier(schema, "users"))
    return [amount for (amount,) in database.execute(query)]


def _nothing() -> None:
    """Do nothing within a transaction."""


def test_only_groups_of_requests_have_the_table(database: Connection, fresh_schema: str) -> None:
    """Others need none."""
    group.create(database, fresh_schema, "credits", 2, idempotency=True, recording=True)
    found = database.execute("SELECT to_regclass(%s)", (f"{fresh_schema}.requests",)).fetchone()
    assert (None,) == found
    assert gather_database.requested(database, fresh_schema, "credits", 3) is None


def test_nobody_sees_a_request_before_its_commit(database: Connection, schema: str, line: Line) -> None:
    """What is done within the transaction finds nothing yet; a request has its operation's number."""
    seen: list[list[tuple[int, int]]] = []
    requests = Requests(line, schema)
    requests.ask(np.array([3, 5]), lambda: seen.append(_requests(database, schema)), commit=True)
    assert ([[]], [(3, 3), (5, 5)]) == (seen, _requests(database, schema))


def test_a_request_that_is_rolled_back_is_not_there(database: Connection, schema: str, line: Line) -> None:
    """Nor is its connection left in a transaction."""
    requests = Requests(line, schema)
    requests.ask(np.array([3]), _nothing, commit=False)
    assert ([], psycopg.pq.TransactionStatus.IDLE) == (
        _requests(database, schema),
        line.get().info.transaction_status,
    )


def test_a_broken_connection_asks_again_and_publishes_once(database: Connection, schema: str, line: Line) -> None:
    """The transaction is repeated, what was done in it is not."""
    done: list[int] = []

    def cut() -> None:
        done.append(line.get().info.backend_pid)
        database.execute("SELECT pg_terminate_backend(%s, 10000)", (done[-1],))

    Requests(line, schema).ask(np.array([3]), cut, commit=True)
    assert (1, [(3, 3)]) == (len(done), _requests(database, schema))


def test_asking_for_what_is_there_changes_nothing(database: Connection, schema: str, line: Line) -> None:
    """A COMMIT without an answer may have been one."""
    for _ in range(2):
        Requests(line, schema).ask(np.array([3]), _nothing, commit=True)
    assert [(3, 3)] == _requests(database, schema)


def test_a_database_that_stays_away_is_one_sentence(schema: str) -> None:
    """After as much patience as there is: none, without faults."""

    def refused() -> Connection:
        raise psycopg.OperationalError("connection refused")

    with pytest.raises(ServiceError, match="The database stopped answering"):
        Requests(Line(refused), schema).ask(np.array([3]), _nothing, commit=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_task_is_done_only_where_its_request_is(
    database: Connection, schema: str, line: Line, runtime: ProcessRuntime, strategy: str
) -> None:
    """Refused for good before the body has looked at a row, whatever the strategy."""
    settings = _settings(schema, strategy)
    refused = attempt.run(FULFIL, settings, runtime)
    assert (Outcome.FAIL, Reason.NO_REQUEST, None) == (refused.outcome, refused.reason, refused.again)
    assert [100, 100] == _credits(database, schema)
    Requests(line, schema).ask(np.array([7]), _nothing, commit=True)
    assert Outcome.OK is attempt.run(FULFIL, settings, runtime).outcome
    assert Reason.DUPLICATE is attempt.run(FULFIL, settings, runtime).reason
    assert [105, 100] == _credits(database, schema)


def test_a_trusting_task_does_not_look(database: Connection, schema: str, runtime: ProcessRuntime) -> None:
    """Its message is all that it asks for."""
    assert Outcome.OK is attempt.run(FULFIL, _settings(schema, mistakes=("trusting-task",)), runtime).outcome
    assert [105, 100] == _credits(database, schema)


@pytest.mark.parametrize("commit", [True, False])
def test_the_history_says_what_was_committed(
    database: Connection, schema: str, line: Line, tmp_path: Path, *, commit: bool
) -> None:
    """Operation by operation; nothing of the sort where a scenario needs no request."""
    count = 5
    Requests(line, schema).ask(np.array([0, 3]), _nothing, commit=commit)
    found = gather_database.requested(database, schema, "requests", count)
    confirmed = np.zeros(count, dtype=np.bool_)
    meta = Meta(run="r", scenario="requests", strategy="atomic", isolation="read committed", mode="", planned=count)
    with Writer(tmp_path / "1-requests") as writer:
        gather.operations(writer, plan(Profile(operations=count), "requests"), confirmed, None, found)
        writer.meta(meta)
    expected = [commit, False, False, commit, False]
    assert expected == read(tmp_path / "1-requests").operations["requested"].to_pylist()


def test_requests_are_read_piece_by_piece(
    database: Connection, schema: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are; afterwards nothing holds the schema."""
    monkeypatch.setattr(gather_database, "PIECE", 2)
    Requests(line, schema).ask(np.arange(5), _nothing, commit=True)
    found = gather_database.requested(database, schema, "requests", 6)
    assert [True] * 5 + [False] == (None if found is None else found.tolist())
    group.drop(database, schema)
    assert schema not in group.schemas(database)
