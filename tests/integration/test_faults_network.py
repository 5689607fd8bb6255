"""Network faults between real clients and real services: ambiguous commits and publications, silence, half ends."""

from __future__ import annotations

import gc
import threading
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.faults.network import Links
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LINKS = {"node1-db", "node1-broker"}
DB, BROKER = ["node1-db"], ["node1-broker"]


@pytest.fixture(name="links")
def _links(database_url: str, broker_url: str) -> Iterator[Links]:
    with Links(LINKS, {"db": database_url, "broker": broker_url}) as links:
        yield links


@pytest.fixture(name="table")
def _table(database: psycopg.Connection, fresh_schema: str) -> sql.Composed:
    database.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(fresh_schema)))
    table = sql.SQL("{}").format(sql.Identifier(fresh_schema, "rows"))
    database.execute(sql.SQL("CREATE TABLE {} (n int)").format(table))
    return table


@pytest.fixture(name="key")
def _key(broker_url: str) -> Iterator[str]:
    key = f"rowrace.test.{uuid.uuid4().hex}"
    yield key
    with redis.Redis.from_url(broker_url) as direct:
        direct.delete(key)


def _connect(links: Links) -> psycopg.Connection:
    return psycopg.connect(links.url("node1", "db") or "", connect_timeout=30)


def _broker(links: Links) -> redis.Redis:
    url = links.url("node1", "broker") or ""
    return redis.Redis.from_url(url, socket_timeout=60, retry=Retry(NoBackoff(), 0))


def _rows(database: psycopg.Connection, table: sql.Composed) -> list[int]:
    return [n for (n,) in database.execute(sql.SQL("SELECT n FROM {} ORDER BY n").format(table))]


def _insert(connection: psycopg.Connection, table: sql.Composed, n: int) -> None:
    connection.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(table), (n,))


def test_a_commit_whose_answer_is_swallowed_has_happened(
    links: Links, database: psycopg.Connection, table: sql.Composed
) -> None:
    """The client has lost its connection and knows nothing; the row is there."""
    connection = _connect(links)
    _insert(connection, table, 1)
    trap = links.swallow_next_answer(DB, b"COMMIT")
    assert trap.caught(0, linger=60) is None
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    assert "node1-db" == trap.caught(30)
    assert [1] == _rows(database, table)


def test_a_commit_that_is_reset_on_its_way_has_not_happened(
    links: Links, database: psycopg.Connection, table: sql.Composed
) -> None:
    """The very same error for the client; no row."""
    connection = _connect(links)
    pid = connection.info.backend_pid
    _insert(connection, table, 1)
    trap = links.reset_after(DB, 0, match=b"COMMIT")
    assert trap.caught(0, linger=60) is None
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    backend = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    wait_until(lambda: database.execute(backend, (pid,)).fetchone() is None)
    assert [] == _rows(database, table)


def test_a_publication_whose_answer_is_swallowed_has_happened(links: Links, broker_url: str, key: str) -> None:
    """The publisher has an error; the message is there."""
    with _broker(links) as publisher, redis.Redis.from_url(broker_url) as direct:
        publisher.ping()
        trap = links.swallow_next_answer(BROKER, b"LPUSH")
        assert trap.caught(0, linger=60) is None
        with pytest.raises(redis.ConnectionError):
            publisher.lpush(key, "message")
        assert "node1-broker" == trap.caught(30)
        assert 1 == direct.llen(key)


def test_a_commit_waits_for_a_partition_to_be_healed(
    links: Links, database: psycopg.Connection, table: sql.Composed
) -> None:
    """And is answered then: nothing was lost."""
    connection = _connect(links)
    _insert(connection, table, 1)
    heal = links.disturb(DB, hold=True)
    committing = threading.Thread(target=connection.commit)
    committing.start()
    assert [] == _rows(database, table)
    assert committing.is_alive()
    heal()
    committing.join(30)
    assert not committing.is_alive()
    assert [1] == _rows(database, table)
    connection.close()


def test_one_way_a_commit_happens_and_is_not_heard_of(
    links: Links, database: psycopg.Connection, table: sql.Composed
) -> None:
    """A partition of the answers alone."""
    connection = _connect(links)
    _insert(connection, table, 1)
    heal = links.disturb(DB, "from", hold=True)
    committing = threading.Thread(target=connection.commit)
    committing.start()
    wait_until(lambda: _rows(database, table) == [1])
    assert committing.is_alive()
    heal()
    committing.join(30)
    assert not committing.is_alive()
    connection.close()


def test_nobody_connects_through_a_partition(links: Links, database: psycopg.Connection) -> None:
    """A client gives up by its own timeout, and its login never reaches the server."""
    heal = links.disturb(DB, hold=True)
    name = f"rowrace {uuid.uuid4().hex}"
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        psycopg.connect(links.url("node1", "db") or "", connect_timeout=2, application_name=name)
    gc.collect()  # psycopg leaves the socket to the collector, and an open one would still wait for its SYN's answer
    heal()
    wait_until(lambda: links.look()["node1-db"] == {"connections": 0, "joining": 0})
    with _connect(links) as connection:
        assert (1,) == connection.execute("SELECT 1").fetchone()
    row = database.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (name,)).fetchone()
    assert (0,) == row


def test_a_client_that_nobody_is_told_of_keeps_its_lock(
    links: Links, database: psycopg.Connection, table: sql.Composed
) -> None:
    """Half-open at the client: its session idles in its transaction until the link is healed."""
    _insert(database, table, 1)
    connection = _connect(links)
    connection.execute(sql.SQL("UPDATE {} SET n = 2").format(table))
    heal = links.strike("half-open", "node1", "db", {"side": "client"})
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    locked = sql.SQL("SELECT n FROM {} FOR UPDATE NOWAIT").format(table)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        database.execute(locked)
    heal()

    def free() -> bool:
        try:
            return database.execute(locked).fetchone() == (1,)
        except psycopg.errors.LockNotAvailable:
            return False

    wait_until(free)


def test_a_consumer_that_left_in_a_partition_pops_nothing_afterwards(links: Links, broker_url: str, key: str) -> None:
    """It never was connected, so it takes no message with it."""
    heal = links.disturb(BROKER, hold=True)
    url = links.url("node1", "broker") or ""
    consumer = redis.Redis.from_url(url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))
    with consumer, pytest.raises(redis.TimeoutError):
        consumer.brpop([key])
    with redis.Redis.from_url(broker_url) as direct:
        direct.lpush(key, "message")
        heal()
        wait_until(lambda: links.look()["node1-broker"] == {"connections": 0, "joining": 0})
        assert 1 == direct.llen(key)
