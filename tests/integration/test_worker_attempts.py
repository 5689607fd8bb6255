"""Attempts on a real Postgres: every strategy alone, against others, and with a broken connection."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest

from orchestrator import schema as group
from worker import attempt
from worker.config import Config
from worker.contract import ClockLine, EndLine, Isolation, Line, Operation, Outcome, Reason, Retry, Settings
from worker.runtime import Identity, ProcessRuntime
from worker.strategies import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from worker.access import Access
    from worker.scenarios.model import Change

RC, RR, SER = Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ, Isolation.SERIALIZABLE
HOLDS = [(s, i) for s in STRATEGIES for i in Isolation if s != "naive-autocommit" and (s, i) != ("naive", RC)]
LOSES = [("naive", RC), *(("naive-autocommit", isolation) for isolation in Isolation)]
CELLS = [(s, i) for s in STRATEGIES for i in Isolation]


@pytest.fixture
def runtime(database_url: str, tmp_path: Path) -> Iterator[ProcessRuntime]:
    """A worker process's runtime, on the test's own database and folder."""
    made = ProcessRuntime(Config(database_url=database_url, journal_dir=tmp_path), Identity("n", "threads"))
    yield made
    made.close()


def _settings(schema: str, strategy: str, isolation: Isolation, scenario: str = "credits", **changes: Any) -> Settings:  # noqa: ANN401
    return Settings(
        run="abcd",
        schema=schema,
        scenario=scenario,
        strategy=strategy,
        isolation=isolation,
        retry=changes.get("retry", Retry(attempts=200)),
        think_ms=changes.get("think_ms", (0, 0)),
        lock_timeout_ms=changes.get("lock_timeout_ms", 0),
        recording=True,
        seed=1,
    )


def _ask(connection: psycopg.Connection[Any], schema: str, text: str, *params: object) -> psycopg.Cursor[Any]:
    """Run a statement in which {} stands for the schema."""
    return connection.execute(text.replace("{}", schema), params or None)


def _values(database: psycopg.Connection[Any], schema: str, column: str = "credits", table: str = "users") -> list[Any]:
    query = f"SELECT {column} FROM {{}}.{table} ORDER BY id"  # noqa: S608 - names as they stand here
    return [value for (value,) in _ask(database, schema, query)]


def _lines(folder: Path) -> list[Line]:
    files = sorted(folder.glob("*/*.jsonl"))
    return [msgspec.json.decode(line, type=Line) for path in files for line in path.read_bytes().splitlines()]


def _ends(folder: Path) -> list[EndLine]:
    return [line for line in _lines(folder) if isinstance(line, EndLine)]


@pytest.mark.parametrize("timeout", [0, 5_000])
@pytest.mark.parametrize(("strategy", "isolation"), CELLS)
def test_credits_alone(
    database: psycopg.Connection[Any],
    fresh_schema: str,
    runtime: ProcessRuntime,
    strategy: str,
    isolation: Isolation,
    timeout: int,
) -> None:
    """Without company every strategy does the same, refuses the same, and applies nothing twice."""
    group.create(database, fresh_schema, "credits", 4, idempotency=True, recording=True)
    settings = _settings(fresh_schema, strategy, isolation, lock_timeout_ms=timeout)
    operations = [
        Operation(0, "deduct", {"user": 0, "amount": 5}),
        Operation(1, "transfer", {"source": 2, "target": 1, "amount": 7}),
        Operation(2, "deduct", {"user": 0, "amount": 96}),
        Operation(3, "grant", {"user": 9, "amount": 1}),
        Operation(4, "transfer", {"source": 1, "target": 9, "amount": 5}),
        Operation(5, "transfer", {"source": 2, "target": 0, "amount": 94}),
        Operation(1, "transfer", {"source": 2, "target": 1, "amount": 7}),
    ]
    reasons = [attempt.run(operation, settings, runtime).reason for operation in operations]
    missing, insufficient = Reason.MISSING, Reason.INSUFFICIENT
    assert [None, None, insufficient, missing, missing, insufficient, Reason.DUPLICATE] == reasons
    assert [95, 107, 93, 100] == _values(database, fresh_schema)
    assert [1, 1, 1, 0] == _values(database, fresh_schema, "version")


@pytest.mark.parametrize(("strategy", "isolation"), CELLS)
def test_configurations_alone(
    database: psycopg.Connection[Any], fresh_schema: str, runtime: ProcessRuntime, strategy: str, isolation: Isolation
) -> None:
    """Without company every strategy writes the same document."""
    group.create(database, fresh_schema, "config", 1, idempotency=True, recording=True)
    fields = {"preset": "precise", "temperature": 0.1}
    for operation in (
        Operation(0, "set_field", {"agent": 0, "field": "tools", "value": ["a", "b"]}),
        Operation(1, "set_fields", {"agent": 0, "fields": fields}),
        Operation(2, "increment", {"agent": 0, "field": "calls", "by": 3}),
    ):
        settings = _settings(fresh_schema, strategy, isolation, "config")
        assert attempt.run(operation, settings, runtime).outcome is Outcome.OK
    (document,) = _values(database, fresh_schema, "config", "configs")
    changed = {"tools": ["a", "b"], **fields, "calls": 3}
    assert {"model": "small", "max_tokens": 1024, "enabled": True, **changed} == document


class _Together(ProcessRuntime):
    """A runtime in which two have read before one writes, and that one has ended before the other writes."""

    def __init__(self, settings: Config, identity: Identity) -> None:
        super().__init__(settings, identity)
        self.barrier = threading.Barrier(2)
        self.ended = threading.Event()

    def pause(self, seconds: float) -> None:
        """Think until it is this one's turn."""
        assert seconds == 0.001
        if self.barrier.wait(timeout=60):
            assert self.ended.wait(timeout=60)


@pytest.mark.parametrize(("strategy", "isolation"), [*LOSES, ("optimistic", RC), ("naive", RR), ("serializable", SER)])
def test_two_who_read_the_same(
    database: psycopg.Connection[Any],
    database_url: str,
    fresh_schema: str,
    tmp_path: Path,
    strategy: str,
    isolation: Isolation,
) -> None:
    """Both read 100: a strategy that loses says ok twice and counts once; the others notice."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    runtime = _Together(Config(database_url=database_url, journal_dir=tmp_path), Identity("n", "threads"))
    settings = _settings(fresh_schema, strategy, isolation, think_ms=(1, 1), retry=Retry(attempts=1))

    def grant(number: int) -> Outcome:
        outcome = attempt.run(Operation(number, "grant", {"user": 0, "amount": 1}), settings, runtime).outcome
        runtime.ended.set()
        return outcome

    with ThreadPoolExecutor(2) as threads:
        outcomes = sorted(threads.map(grant, range(2)))
    runtime.close()
    loses = (strategy, isolation) in LOSES
    assert [Outcome.OK if loses else Outcome.FAIL, Outcome.OK] == outcomes
    assert [101] == _values(database, fresh_schema)


@pytest.mark.parametrize(("strategy", "isolation"), HOLDS)
def test_many_on_one_row_lose_nothing(
    database: psycopg.Connection[Any], fresh_schema: str, runtime: ProcessRuntime, strategy: str, isolation: Isolation
) -> None:
    """Eight slots, one row: what was said to be done is there."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    settings = _settings(fresh_schema, strategy, isolation, think_ms=(0, 1))

    def grant(number: int) -> bool:
        return attempt.run(Operation(number, "grant", {"user": 0, "amount": 1}), settings, runtime).outcome == "ok"

    with ThreadPoolExecutor(8) as threads:
        done = sum(threads.map(grant, range(40)))
    assert ([100 + done], [done]) == (_values(database, fresh_schema), _values(database, fresh_schema, "seq"))
    assert done > 20


@pytest.mark.parametrize("strategy", ["optimistic", "pessimistic", "atomic", "advisory", "serializable"])
def test_transfers_in_both_directions_keep_the_sum(
    database: psycopg.Connection[Any], fresh_schema: str, runtime: ProcessRuntime, strategy: str
) -> None:
    """No balance falls below zero, nothing is made or lost, and rows taken in one order never deadlock."""
    group.create(database, fresh_schema, "credits", 3, idempotency=True, recording=True)
    settings = _settings(fresh_schema, strategy, RC)

    def transfer(number: int) -> None:
        source, target = number % 3, (number + 1 + number % 2) % 3
        attempt.run(
            Operation(number, "transfer", {"source": source, "target": target, "amount": 60}), settings, runtime
        )

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(transfer, range(90)))
    balances = _values(database, fresh_schema)
    assert (300, True) == (sum(balances), min(balances) >= 0)
    ends = _ends(runtime.journal(fresh_schema).path.parent.parent)  # type: ignore[attr-defined]  # a file's
    assert [] == [end for end in ends if end.reason in (Reason.DEADLOCK, Reason.ERROR)]


def test_one_statement_s_refusal_is_justified_in_its_window(
    database: psycopg.Connection[Any], fresh_schema: str, runtime: ProcessRuntime
) -> None:
    """Many deductions of everything: one is done, and every refusal rests on a read of a row without enough."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    settings = _settings(fresh_schema, "atomic", RC)

    def deduct(number: int) -> Outcome:
        return attempt.run(Operation(number, "deduct", {"user": 0, "amount": 100}), settings, runtime).outcome

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(deduct, range(16)))
    assert (1, [0]) == (outcomes.count(Outcome.OK), _values(database, fresh_schema))


@pytest.mark.parametrize("strategy", ["naive", "pessimistic", "advisory", "atomic"])
@pytest.mark.parametrize("isolation", Isolation)
def test_a_lock_timeout_is_a_conflict(
    database: psycopg.Connection[Any],
    fresh_schema: str,
    runtime: ProcessRuntime,
    tmp_path: Path,
    strategy: str,
    isolation: Isolation,
) -> None:
    """Who can't have the row within the limit gives up cleanly, and leaves no lock behind."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    settings = _settings(fresh_schema, strategy, isolation, lock_timeout_ms=20, retry=Retry(attempts=2, base_ms=0))
    grant = Operation(0, "grant", {"user": 0, "amount": 1})
    with database.transaction():
        _ask(database, fresh_schema, "SELECT FROM {}.users FOR UPDATE")
        assert attempt.run(grant, settings, runtime)[:3] == (Outcome.FAIL, Reason.LOCK_TIMEOUT, 2)
    assert [False, True] == [end.final for end in _ends(tmp_path)]
    assert attempt.run(grant, settings, runtime).outcome is Outcome.OK
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
    assert database.execute(locks).fetchone() == (0,)


def _terminate(database: psycopg.Connection[Any], schema: str, folder: Path) -> None:
    """End the backend of the attempt that is under way."""
    start = next(line for line in reversed(_lines(folder)) if type(line).__name__ == "StartLine")
    database.execute("SELECT pg_terminate_backend(%s, 5000)", (start.backend_pid,))  # type: ignore[union-attr]
    assert schema


class _Cut(ProcessRuntime):
    """A runtime that has its backend ended at the first think."""

    cut: Callable[[], None] | None = None

    def pause(self, seconds: float) -> None:
        """End the backend, once."""
        if self.cut is not None and seconds == 0.001:
            cut, self.cut = self.cut, None
            cut()


def test_a_connection_lost_before_commit_is_retried_on_another(
    database: psycopg.Connection[Any], database_url: str, fresh_schema: str, tmp_path: Path
) -> None:
    """Surely without effect, so it fails and is tried again; the broken connection does not come back."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    runtime = _Cut(Config(database_url=database_url, journal_dir=tmp_path), Identity("n", "threads"))
    runtime.cut = lambda: _terminate(database, fresh_schema, tmp_path)
    settings = _settings(fresh_schema, "naive", RC, think_ms=(1, 1))
    assert attempt.run(Operation(0, "grant", {"user": 0, "amount": 1}), settings, runtime).outcome is Outcome.OK
    runtime.close()
    expected = [(Outcome.FAIL, Reason.LOST_CONNECTION, False), (Outcome.OK, None, True)]
    assert expected == [(end.outcome, end.reason, end.final) for end in _ends(tmp_path)]
    assert [101] == _values(database, fresh_schema)


def test_a_commit_without_an_answer_is_unknown(
    database: psycopg.Connection[Any], fresh_schema: str, runtime: ProcessRuntime, tmp_path: Path
) -> None:
    """COMMIT was sent and the connection broke: info, and no retry follows."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    _commit_waits(database, fresh_schema)
    grant = Operation(0, "grant", {"user": 0, "amount": 1})
    with ThreadPoolExecutor(1) as threads, database.transaction():
        database.execute("SELECT pg_advisory_xact_lock(77)")
        result = threads.submit(attempt.run, grant, _settings(fresh_schema, "naive", RC), runtime)
        while not database.execute(_WAITING).fetchone():
            assert not result.done()
        (pid,) = database.execute(_WAITING).fetchone() or (0,)
        database.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert (Outcome.INFO, Reason.LOST_CONNECTION, 1, None) == result.result()
    assert [(Outcome.INFO, True)] == [(end.outcome, end.final) for end in _ends(tmp_path)]


def test_a_swallowed_error_is_not_taken_for_ok(
    database: psycopg.Connection[Any],
    fresh_schema: str,
    runtime: ProcessRuntime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server answers COMMIT of an aborted transaction with ROLLBACK and no error: it took no effect."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)

    def careless(db: Access, change: Change) -> None:
        with db.transaction():
            db.update(change.keys[0], 5)
            with contextlib.suppress(psycopg.Error):
                db.update(change.keys[0], 1 << 70)  # out of the column's range

    monkeypatch.setitem(STRATEGIES, "careless", careless)
    grant = Operation(0, "grant", {"user": 0, "amount": 1})
    result = attempt.run(grant, _settings(fresh_schema, "careless", RC), runtime)
    assert (Outcome.FAIL, Reason.ERROR) == result[:2]
    assert ["RolledBack"] == [end.detail for end in _ends(tmp_path)]
    assert [100] == _values(database, fresh_schema)


_WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted"


def _commit_waits(database: psycopg.Connection[Any], schema: str) -> None:
    """Have COMMIT wait for advisory lock 77."""
    body = "BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END"
    _ask(database, schema, f"CREATE FUNCTION {{}}.wait() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
    when = "AFTER UPDATE ON {}.users DEFERRABLE INITIALLY DEFERRED"
    _ask(database, schema, f"CREATE CONSTRAINT TRIGGER wait {when} FOR EACH ROW EXECUTE FUNCTION {{}}.wait()")


def test_a_database_that_is_not_there_fails_cleanly(tmp_path: Path) -> None:
    """No connection: the attempt is on record, without a backend, and surely without effect."""
    url = "postgresql://nobody:secret@127.0.0.1:1/none"
    runtime = ProcessRuntime(Config(database_url=url, journal_dir=tmp_path), Identity("n", "threads"))
    settings = _settings("rowrace_abcd_1", "naive", RC, retry=Retry(attempts=2, base_ms=0))
    result = attempt.run(Operation(0, "grant", {"user": 0, "amount": 1}), settings, runtime)
    assert (Outcome.FAIL, Reason.LOST_CONNECTION, 2, None) == result
    assert [False, True] == [end.final for end in _ends(tmp_path)]


def test_a_group_that_is_gone_fails_cleanly(database: psycopg.Connection[Any], runtime: ProcessRuntime) -> None:
    """A late message of an ended run is an error on record, never a crash, and the connection stays good."""
    assert database.closed is False
    settings = _settings("rowrace_abcdabcd_1", "naive", RC)
    results = [attempt.run(Operation(0, "grant", {"user": 0, "amount": 1}), settings, runtime) for _ in range(2)]
    assert [(Outcome.FAIL, Reason.ERROR)] * 2 == [result[:2] for result in results]


@pytest.mark.parametrize(("skew", "drift"), [(3_600_000.0, 0.0), (-86_400_000.0, 100_000.0)])
def test_a_clock_that_is_off_is_measured_as_it_is(
    database: psycopg.Connection[Any], database_url: str, fresh_schema: str, tmp_path: Path, skew: float, drift: float
) -> None:
    """Every time in the journal is off, and the offset that was measured with the same clock puts it right."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    (before,) = database.execute(_CLOCK).fetchone() or (0,)
    settings = Config(database_url=database_url, journal_dir=tmp_path, clock_skew_ms=skew, clock_drift_ppm=drift)
    runtime = ProcessRuntime(settings, Identity("n", "threads"))
    attempt.run(Operation(0, "grant", {"user": 0, "amount": 1}), _settings(fresh_schema, "naive", RC), runtime)
    runtime.close()
    (after,) = database.execute(_CLOCK).fetchone() or (0,)
    lines = _lines(tmp_path)
    (reading,) = [line for line in lines if isinstance(line, ClockLine)]
    (end,) = [line for line in lines if isinstance(line, EndLine)]
    assert abs(end.mono_ns - time.monotonic_ns()) > abs(skew) * 900_000
    times = [reading.mono_ns, *(access.mono_ns for access in end.accesses), end.mono_ns]
    assert times == sorted(times)
    slack = reading.error_ns + (times[-1] - times[0])  # what the clock may drift in between
    assert before - slack <= times[0] + reading.offset_ns <= times[-1] + reading.offset_ns <= after + slack


_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000"
