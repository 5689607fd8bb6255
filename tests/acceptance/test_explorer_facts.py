"""What an exploration must find, and what it must prove, on a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa

from orchestrator.controlled.postgres_scratch import scratch
from orchestrator.explore import explore
from tests.bank import accounts, careful_deposit, deposit, in_credit, move, nothing_lost, withdraw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services


@pytest.fixture
def database(services: Services) -> Iterator[str]:
    """A database of the test's own."""
    with scratch(services.database_url) as url:
        yield url


def test_the_lost_update_is_found_by_the_second_schedule(database: str) -> None:
    """Two deposits on one account lose one."""
    found = explore(deposit, deposit, setup=accounts, invariant=nothing_lost(2), database=database)
    assert ({"lost update": 1}, True) == (found.anomalies, found.schedules <= 2)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_the_level_prevents_the_lost_update(database: str, level: str) -> None:
    """Above READ COMMITTED the server aborts the second of them, and a complete search finds nothing else."""
    found = explore(
        deposit,
        deposit,
        setup=accounts,
        invariant=lambda outcome: outcome.rows["account"][0]["balance"] == 120 - 10 * _failed(outcome.results),
        isolation=level,
        allowed=(psycopg.errors.SerializationFailure,),
        database=database,
        budget=None,
    )
    assert (False, True, None) == (found.found, found.complete, found.remark)


def _failed(results: tuple[object, ...]) -> int:
    return sum(isinstance(result, Exception) for result in results)


def test_three_version_checks_are_proven(database: str) -> None:
    """A complete search of three careful deposits finds nothing."""
    found = explore(*[careful_deposit] * 3, setup=accounts, invariant=nothing_lost(3), database=database, budget=None)
    assert (False, True, None) == (found.found, found.complete, found.remark)


def test_a_deadlock_is_found_and_ends_the_same_way_each_time(database: str) -> None:
    """Transfers in opposite order deadlock; whoever closes the circle gets the error, in every replay."""

    def both(replay: str | None = None) -> tuple[dict[str, int], str | None, str | None]:
        found = explore(move(1, 2), move(2, 1), setup=_anew, database=database, replay=replay)
        return found.anomalies, found.listing, found.token

    anomalies, listing, token = both()
    assert {"uncaught DeadlockDetected": 1} == anomalies
    assert [(anomalies, listing, token)] * 5 == [both(token) for _ in range(5)]


def _anew(connection: psycopg.Connection[Any]) -> None:
    connection.execute("DROP TABLE IF EXISTS account")
    accounts(connection)


def test_ordered_transfers_are_proven(database: str) -> None:
    """With one order of accounts nobody deadlocks."""
    found = explore(move(1, 2), move(1, 2), setup=accounts, database=database, budget=None)
    assert (False, True) == (found.found, found.complete)


def test_write_skew_is_found_at_repeatable_read(database: str) -> None:
    """Each takes from its own account what both together hold."""
    found = explore(
        withdraw(1), withdraw(2), setup=accounts, invariant=in_credit, isolation="repeatable read", database=database
    )
    assert {"write skew": 1} == found.anomalies


def test_write_skew_is_proven_absent_at_serializable(database: str) -> None:
    """The server aborts one of the two in every schedule that would show it."""
    found = explore(
        withdraw(1),
        withdraw(2),
        setup=accounts,
        invariant=in_credit,
        isolation="serializable",
        allowed=(psycopg.errors.SerializationFailure,),
        database=database,
        budget=None,
    )
    assert (False, True, None) == (found.found, found.complete, found.remark)


def test_a_crash_in_a_pool_s_transaction_is_no_finding_of_its_own(database: str) -> None:
    """The message comes again to a process with connections of its own; an update by key is then done twice at most."""
    engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))

    def set_up() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE account (id integer PRIMARY KEY, balance integer)")
            connection.exec_driver_sql("INSERT INTO account VALUES (1, 100)")

    def freeze() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE account SET balance = 0 WHERE id = 1")

    found = explore(
        freeze,
        freeze,
        setup=set_up,
        engine=engine,
        invariant=lambda outcome: outcome.rows["account"] == [{"id": 1, "balance": 0}],
        crashes=1,
        budget=None,
    )
    assert ({}, True, None) == (found.anomalies, found.complete, found.remark)
