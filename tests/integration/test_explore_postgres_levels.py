"""Proofs on PostgreSQL where bodies choose their own isolation level, or keep even readers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from orchestrator.controlled.arena import BodiesArena
from orchestrator.controlled.postgres import PostgresDatabase
from orchestrator.controlled.postgres_scratch import scratch
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.exhaustive import Exhaustive
from orchestrator.explorer.judging import serial_outcome
from orchestrator.explorer.search import Budget, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.explorer.judging import Anomaly
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy
    from orchestrator.services import Services

    Connection = psycopg.Connection[Any]
    Body = Callable[[Connection], object]

REPEATABLE, SERIALIZABLE = psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE
ONE, OTHER = "SELECT v FROM one WHERE id = 1", "SELECT v FROM other WHERE id = 1"
CHANGE, SUM = "UPDATE one SET v = 5 WHERE id = 1", "SELECT sum(v) FROM one"


@pytest.fixture(scope="module")
def url(services: Services) -> Iterator[str]:
    """URL of a database with two tables of two rows."""
    with scratch(services.database_url) as made:
        with psycopg.connect(made, autocommit=True) as connection:
            for table in ("one", "other"):
                connection.execute(f"CREATE TABLE {table} (id integer PRIMARY KEY, v integer)")
                connection.execute(f"INSERT INTO {table} VALUES (1, 1), (2, 1)")  # noqa: S608 - a name of ours
        yield made


def _sends(*texts: str, level: psycopg.IsolationLevel | None = None) -> Body:
    """Send statements in one transaction, and give what they read, or the error's name."""

    def body(connection: Connection) -> object:
        connection.isolation_level = level
        try:
            cursors = [connection.execute(text) for text in texts]
            connection.commit()
        except psycopg.Error as error:
            return type(error).__name__
        return [each.fetchall() if each.description else each.rowcount for each in cursors]

    return body


def _outcomes(arena: BodiesArena, policy: Policy) -> tuple[set[str], bool]:
    """Give the outcomes of a whole search, and whether it was complete."""
    outcomes = set()

    def judge(execution: Execution) -> Sequence[Anomaly]:
        outcomes.add(repr(serial_outcome(execution)))
        return ()

    return outcomes, search(arena, policy, judge, Budget()).complete


CASES: dict[str, tuple[Body, Body]] = {
    "the connection's level": (_sends(OTHER, ONE, level=REPEATABLE), _sends(CHANGE)),
    "a level that is set": (_sends("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", OTHER, ONE), _sends(CHANGE)),
    "write skew": (
        _sends(SUM, CHANGE, level=SERIALIZABLE),
        _sends(SUM, "UPDATE one SET v = 5 WHERE id = 2", level=SERIALIZABLE),
    ),
    "the strongest lock": (_sends(ONE, OTHER), _sends("LOCK TABLE one", "UPDATE other SET v = 7 WHERE id = 1")),
    "a circle with a reader": (_sends(ONE, OTHER), _sends("LOCK TABLE other", "LOCK TABLE one")),
    "TRUNCATE": (_sends(ONE, ONE), _sends("TRUNCATE one")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_complete_search_has_every_outcome(url: str, name: str) -> None:
    """The level that the search reckons with is READ COMMITTED; what bodies do beyond it is foreseen all the same."""
    database = PostgresDatabase(url, "read committed", hard=True)
    try:
        with BodiesArena(database, CASES[name]) as arena:
            database.keep()
            every, complete = _outcomes(arena, Exhaustive())
            assert ((every, True), True) == (_outcomes(arena, Dpor(database.isolation)), complete)
    finally:
        database.reset()
        database.close()


def test_a_level_of_the_users_own_connections_counts(url: str) -> None:
    """A level among a connection's options is not the server's default, and both outcomes are found."""

    def reader() -> object:
        with psycopg.connect(url, options=r"-c default_transaction_isolation=repeatable\ read") as connection:
            return [connection.execute(text).fetchall() for text in (OTHER, ONE)]

    database = PostgresDatabase(url, hard=True)
    try:
        with BodiesArena(database, [reader, _sends(CHANGE)]) as arena:
            database.keep()
            outcomes, complete = _outcomes(arena, Dpor(database.isolation))
            assert ("read committed", 2, True) == (database.isolation, len(outcomes), complete)
    finally:
        database.reset()
        database.close()
