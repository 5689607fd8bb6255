"""Faults of the database strike for real, are healed for real, and leave no session behind."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from psycopg import sql

from orchestrator import schema
from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults.sessions import NAME
from orchestrator.services import Embedding, PostgresSettings, open_services
from tests.stand_ins import wait_until
from tests.striking import fault, heal, reach, session, sessions, struck

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.faults.model import Reach
    from orchestrator.services import Services

#: Sessions that are no worker's.
OTHERS = ("rowrace", "rowrace producer", NAME, "another app", "rowraces node1")


@pytest.fixture(scope="module")
def own() -> Iterator[Services]:
    """A pair that others don't use, with few connections to use up."""
    with open_services(embedding=Embedding(settings=PostgresSettings(max_connections=20))) as opened:
        yield opened


@pytest.fixture
def reached(own: Services) -> Iterator[Reach]:
    """A group on it; afterwards no fault is connected any more."""
    with reach(own) as made:
        yield made
        wait_until(lambda: sessions(own, NAME) == 0)


def test_workers_sessions_are_terminated_and_no_others(own: Services, reached: Reach) -> None:
    """Those of every node, an external one too, and of its shipper; the orchestrator's own stay."""
    with contextlib.ExitStack() as stack:
        names = ("rowrace node1", "rowrace node2 shipper", "rowrace celery@worker1")
        workers = [stack.enter_context(session(own, name)) for name in names]
        others = [stack.enter_context(session(own, name)) for name in OTHERS]
        done = struck("terminate-backends", reached)
        assert ("3 of 3 sessions of workers were terminated", None) == done
        for worker in workers:
            with pytest.raises(psycopg.OperationalError):
                worker.execute("SELECT 1")
        assert [(1,)] * len(others) == [other.execute("SELECT 1").fetchone() for other in others]


def test_a_share_of_the_sessions_is_terminated(own: Services, reached: Reach) -> None:
    """Half of four are two."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(session(own, "rowrace node1")) for _ in range(4)]
        assert "2 of 4 sessions of workers were terminated" == struck("terminate-backends:share=0.5", reached).detail
        wait_until(lambda: sessions(own, "rowrace node1") == 2)
        assert 4 == len(workers)


def test_without_workers_there_is_nothing_to_terminate(reached: Reach) -> None:
    """It is tried again at the next time."""
    assert fault("terminate-backends", reached).strike() is None


def test_another_runs_sessions_are_not_ours_to_terminate(own: Services, reached: Reach) -> None:
    """Its workers' names are the same, so the fault is refused while it lives."""
    with reach(own) as other, session(own, "rowrace") as holder:
        run = other.schema.removeprefix("rowrace_").removesuffix("_1")
        assert schema.hold(holder, run)
        with pytest.raises(ServiceError, match=rf"can't tell this run's sessions from those of run {run}"):
            fault("terminate-backends", reached)


def test_a_user_who_may_not_strike_is_told_so(own: Services, reached: Reach) -> None:
    """One sentence, not the driver's."""
    with _weak(own) as url, session(own, "rowrace node1"):
        weak = msgspec.structs.replace(reached, database_url=url)
        for entry in ("terminate-backends", "lock-table"):
            with pytest.raises(ServiceError, match=rf"\AFault «{entry}» is more than the database's user may do"):
                fault(entry, weak).strike()


@pytest.mark.parametrize("entry", ["restart-database", "restart-database:mode=immediate", "stop-database:for=2s"])
def test_a_database_is_away_until_it_is_healed(own: Services, reached: Reach, entry: str) -> None:
    """Refused in between, there again afterwards, and nothing to strike while it is down."""
    made = fault(entry, reached)
    done = made.strike()
    assert done is not None
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(own.database_url)
    assert made.strike() is None
    for other in ("terminate-backends", "lock-table", "exhaust-connections", "long-transaction"):
        assert fault(other, reached).strike() is None
    heal(done)
    psycopg.connect(own.database_url).close()


def test_a_paused_database_is_resumed(own: Services, reached: Reach) -> None:
    """It answers nobody in between."""
    done = struck("pause-database", reached)
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        psycopg.connect(own.database_url, connect_timeout=2)
    assert fault("lock-table", reached).strike() is None
    heal(done)
    psycopg.connect(own.database_url).close()


def test_a_locked_table_lets_nobody_in(own: Services, reached: Reach) -> None:
    """Not even readers, until it is healed."""
    done = struck("lock-table", reached)
    with session(own, "rowrace node1") as worker:
        worker.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            worker.execute(_table("SELECT * FROM {}", reached))
        heal(done)
        worker.execute("RESET lock_timeout")
        assert 4 == worker.execute(_table("SELECT * FROM {}", reached)).rowcount


def test_a_table_in_use_is_not_waited_for_for_ever(own: Services, reached: Reach) -> None:
    """Whoever queues behind the fault would wait as well."""
    with session(own, "rowrace node1") as worker, worker.transaction():
        worker.execute(_table("SELECT * FROM {}", reached))
        assert fault("lock-table", reached).strike() is None


def test_connections_are_used_up_and_given_back(own: Services, reached: Reach) -> None:
    """The next is refused; after healing the next is not."""
    done = struck("exhaust-connections", reached)
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        psycopg.connect(own.database_url)
    assert fault("exhaust-connections", reached).strike() is None
    heal(done)
    psycopg.connect(own.database_url).close()


def test_no_more_connections_are_opened_than_the_plan_allows(own: Services, reached: Reach) -> None:
    """A database that others use is not filled up."""
    done = struck("exhaust-connections:connections=3", reached)
    assert (3, "3 connections were opened and held, more would be against the plan") == (
        sessions(own, NAME),
        done.detail,
    )
    heal(done)


def test_a_long_transaction_holds_its_row(own: Services, reached: Reach) -> None:
    """The others are free; so is that one after healing."""
    done = struck("long-transaction:key=2", reached)
    with session(own, "rowrace node1") as worker:
        free = "SELECT id FROM {} ORDER BY id FOR UPDATE SKIP LOCKED"
        assert [(0,), (1,), (3,)] == worker.execute(_table(free, reached)).fetchall()
        state = "SELECT state FROM pg_stat_activity WHERE application_name = %s"
        assert [("idle in transaction",)] == worker.execute(state, (NAME,)).fetchall()
        heal(done)
        wait_until(lambda: worker.execute(_table(free, reached)).rowcount == 4)


def test_a_long_transaction_without_a_key_holds_only_its_snapshot(own: Services, reached: Reach) -> None:
    """No row and no table is locked, but what is deleted from now on can't be vacuumed away."""
    done = struck("long-transaction", reached)
    with session(own, "rowrace node1") as worker:
        query = """
            SELECT backend_xmin IS NOT NULL, state, (SELECT count(relation) FROM pg_locks l WHERE l.pid = a.pid)
            FROM pg_stat_activity a WHERE application_name = %s
        """
        assert [(True, "idle in transaction", 0)] == worker.execute(query, (NAME,)).fetchall()
    heal(done)


def test_a_long_transaction_is_healed_though_its_session_is_gone(own: Services, reached: Reach) -> None:
    """Another fault may have restarted the database meanwhile."""
    done = struck("long-transaction:key=1", reached)
    heal(struck("restart-database:mode=immediate", reached))
    heal(done)
    psycopg.connect(own.database_url).close()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("restart-database:mode=slow", "mode=slow is none of fast, immediate"),
        ("terminate-backends:share=2", "share=2 is no share"),
        ("terminate-backends:share=0", "share=0 is no share"),
        ("long-transaction:key=x", "key=x is no whole number from 0"),
        ("long-transaction:key=99", "table users has no row with key 99"),
        ("exhaust-connections:connections=0", "connections must be from 1 to"),
        ("exhaust-connections:connections=99999999", "connections must be from 1 to"),
    ],
)
def test_what_makes_no_sense_is_refused(reached: Reach, entry: str, sentence: str) -> None:
    """One sentence that names the entry."""
    with pytest.raises(UsageError, match=rf"\AFault «{entry}»: {sentence}[^\n]*\Z"):
        fault(entry, reached)


@pytest.mark.parametrize("entry", ["restart-database", "stop-database:for=1s", "pause-database"])
def test_a_database_of_somebody_elses_is_not_stopped(own: Services, entry: str) -> None:
    """External and kept services are refused at once."""
    with reach(own, external=True) as reached, pytest.raises(UsageError, match=rf"\AFault «{entry}» needs services"):
        fault(entry, reached)


def test_where_only_the_broker_is_embedded_the_database_is_not_stopped(own: Services) -> None:
    """The handle has the broker alone."""
    with (
        open_services(own.database_url) as half,
        reach(half) as reached,
        pytest.raises(UsageError, match=r"\AFault «stop-database» needs a database of the run's own"),
    ):
        fault("stop-database", reached)


def test_a_shared_database_is_filled_up_to_a_number_only(own: Services) -> None:
    """Others use it, so the plan must say how far to go."""
    with reach(own, external=True) as reached:
        with pytest.raises(UsageError, match="say how many connections it may open"):
            fault("exhaust-connections", reached)
        heal(struck("exhaust-connections:connections=2", reached))
        wait_until(lambda: sessions(own, NAME) == 0)


def _table(query: str, reached: Reach) -> sql.Composed:
    return sql.SQL(query).format(sql.Identifier(reached.schema, reached.table))


@contextlib.contextmanager
def _weak(own: Services) -> Iterator[str]:
    """A user who may log in, and no more."""
    with session(own, "rowrace") as owner:
        owner.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
        try:
            yield f"postgresql://weak:weak@127.0.0.1:{urlsplit(own.database_url).port}/postgres"
        finally:
            owner.execute("DROP ROLE weak")
