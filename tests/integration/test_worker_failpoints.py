"""Failpoints on a real Postgres: every point, every action, seen in the journal and in the rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from orchestrator import schema as group
from tests.stand_ins import wait_until
from tests.worker_nodes import ROOT, ask
from worker import attempt
from worker.config import Config
from worker.contract import (
    Action,
    EndLine,
    Failpoint,
    FaultLine,
    Isolation,
    Line,
    Operation,
    Outcome,
    Reason,
    Retry,
    Settings,
    StartLine,
    Where,
)
from worker.runtime import Identity, ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

_Kind = TypeVar("_Kind")

GRANT = Operation(0, "grant", {"user": 0, "amount": 1})

_OK = ("ok", None)
_ERROR = ("fail", "error")
_LOST = ("fail", "lost-connection")
_UNKNOWN = ("info", "lost-connection")

#: Per action: how the attempts end, by point, and whether the operation takes effect; what isn't named ends ok.
_ENDS: dict[Action, dict[Where, tuple[list[tuple[str, str | None]], int]]] = {
    Action.RAISE: {
        Where.AFTER_READ: ([_ERROR], 0),
        Where.BEFORE_COMMIT: ([_ERROR], 0),
        Where.IN_COMMIT: ([_UNKNOWN], 1),
    },
    Action.DISCONNECT: {
        Where.AFTER_READ: ([_LOST, _OK], 1),
        Where.BEFORE_COMMIT: ([_UNKNOWN], 0),
        Where.IN_COMMIT: ([_UNKNOWN], 1),
    },
    Action.DELAY: {},
}

#: Points that a transaction has committed before.
_COMMITTED = (Where.IN_COMMIT, Where.AFTER_COMMIT, Where.BEFORE_ACK, Where.WHILE_LOGGING)


@pytest.fixture
def schema(database: psycopg.Connection[Any], fresh_schema: str) -> str:
    """A group of one row with 100 credits; a second application is not refused."""
    group.create(database, fresh_schema, "credits", 1, idempotency=False, recording=True)
    return fresh_schema


@pytest.fixture
def runtime(database_url: str, tmp_path: Path) -> Iterator[ProcessRuntime]:
    """A worker process's runtime, on the test's own database and folder."""
    made = ProcessRuntime(Config(database_url=database_url, journal_dir=tmp_path), Identity("n", "threads"))
    yield made
    made.close()


def _settings(schema: str, *failpoints: Failpoint, strategy: str = "optimistic", **changes: Any) -> Settings:  # noqa: ANN401
    return Settings(
        run="abcd",
        schema=schema,
        scenario="credits",
        strategy=strategy,
        isolation=changes.pop("isolation", Isolation.READ_COMMITTED),
        retry=changes.pop("retry", Retry(attempts=5, base_ms=0)),
        think_ms=(0, 0),
        lock_timeout_ms=0,
        recording=True,
        seed=1,
        failpoints=failpoints,
    )


def _lines(folder: Path) -> tuple[list[Line], int]:
    """Read the journals: whole lines, and the number of torn ones."""
    lines, torn = [], 0
    for path in sorted(folder.glob("*/*.jsonl")):
        for text in path.read_bytes().splitlines():
            try:
                lines.append(msgspec.json.decode(text, type=Line))
            except msgspec.DecodeError:
                torn += 1
    return lines, torn


def _of(lines: list[Line], kind: type[_Kind]) -> list[_Kind]:
    return [line for line in lines if isinstance(line, kind)]


def _settled(database: psycopg.Connection[Any], schema: str, backends: set[int]) -> tuple[int, int]:
    """Give credits and number of effects, once none of the backends is in a transaction any more."""
    busy = "SELECT FROM pg_stat_activity WHERE pid = ANY(%s) AND state <> 'idle'"
    wait_until(lambda: database.execute(busy, (list(backends),)).fetchone() is None)
    count = "SELECT credits, (SELECT count(*) FROM {}.effects) FROM {}.users"
    credits_, effects = ask(database, schema, count).fetchone() or (0, 0)
    return credits_, effects


@pytest.mark.parametrize("action", [Action.RAISE, Action.DISCONNECT, Action.DELAY])
@pytest.mark.parametrize("where", Where)
def test_a_worker_that_lives_on_says_how_it_ended(
    database: psycopg.Connection[Any],
    schema: str,
    runtime: ProcessRuntime,
    tmp_path: Path,
    where: Where,
    action: Action,
) -> None:
    """What the client can't know is info, what surely failed is tried again, and what is committed stays ok."""
    failpoint = Failpoint(where=where, action=action, operations=(0,), delay_ms=5)
    result = attempt.run(GRANT, _settings(schema, failpoint), runtime)
    ends, effects = _ENDS[action].get(where, ([_OK], 1))
    lines, torn = _lines(tmp_path)
    assert ends == [(end.outcome, end.reason) for end in _of(lines, EndLine)]
    assert ends[-1] == (result.outcome, result.reason)
    assert [f"{where}:{action}"] == [line.name for line in _of(lines, FaultLine)]
    assert torn == (where is Where.WHILE_LOGGING)
    starts = _of(lines, StartLine)
    assert _of(lines, FaultLine)[0].token == starts[0].token
    assert (100 + effects, effects) == _settled(database, schema, {line.backend_pid for line in starts})


@pytest.mark.parametrize("strategy", ["naive", "naive-autocommit", "pessimistic", "advisory", "serializable"])
@pytest.mark.parametrize("isolation", Isolation)
def test_every_strategy_meets_every_point_it_passes(
    database: psycopg.Connection[Any], schema: str, runtime: ProcessRuntime, strategy: str, isolation: Isolation
) -> None:
    """A connection that breaks after the read is replaced; one that breaks in COMMIT leaves the outcome unknown."""
    read = Failpoint(where=Where.AFTER_READ, action=Action.DISCONNECT, operations=(0,))
    commit = Failpoint(where=Where.IN_COMMIT, action=Action.DISCONNECT, operations=(0,))
    settings = _settings(schema, read, commit, strategy=strategy, isolation=isolation)
    result = attempt.run(GRANT, settings, runtime)
    assert (Outcome.INFO, Reason.LOST_CONNECTION, 2, None) == result
    taken = "SELECT FROM {}.effects"
    wait_until(lambda: ask(database, schema, taken).fetchone() is not None)


def test_a_connection_broken_after_its_use_is_noticed_by_the_next(
    database: psycopg.Connection[Any], schema: str, runtime: ProcessRuntime, tmp_path: Path
) -> None:
    """The pool hands the broken connection out again; that attempt is surely without effect, and is made again."""
    failpoint = Failpoint(where=Where.BEFORE_ACK, action=Action.DISCONNECT, operations=(0,))
    settings = _settings(schema, failpoint)
    for number in range(2):
        attempt.run(Operation(number, "grant", {"user": 0, "amount": 1}), settings, runtime)
    lines, _ = _lines(tmp_path)
    assert [_OK, _LOST, _OK] == [(end.outcome, end.reason) for end in _of(lines, EndLine)]
    assert [(102,)] == ask(database, schema, "SELECT credits FROM {}.users").fetchall()


@pytest.mark.parametrize("where", [Where.WHILE_LOGGING, Where.BEFORE_ACK])
def test_a_connection_is_broken_that_was_lost_before(
    schema: str, runtime: ProcessRuntime, tmp_path: Path, where: Where
) -> None:
    """There is nothing left to break, and the attempt says how it ended all the same."""
    first = Failpoint(where=Where.IN_COMMIT, action=Action.DISCONNECT, operations=(0,))
    second = Failpoint(where=where, action=Action.DISCONNECT, operations=(0,))
    attempt.run(GRANT, _settings(schema, first, second), runtime)
    assert [_UNKNOWN] == [(end.outcome, end.reason) for end in _of(_lines(tmp_path)[0], EndLine)]


@pytest.mark.parametrize(("always", "struck"), [(False, 0), (True, 1)])
def test_a_redelivery_is_spared_unless_asked(
    schema: str, runtime: ProcessRuntime, tmp_path: Path, *, always: bool, struck: int
) -> None:
    """An operation that comes again gets through, so that a run can end."""
    failpoint = Failpoint(where=Where.BEFORE_COMMIT, action=Action.RAISE, operations=(0,), always=always)
    attempt.run(GRANT, _settings(schema, failpoint), runtime, redelivered=True)
    assert struck == len(_of(_lines(tmp_path)[0], FaultLine))


_RUN = """
import sys, msgspec
from worker import attempt, runtime
from worker.contract import Operation, Settings
settings = msgspec.json.decode(sys.argv[1], type=Settings)
attempt.run(Operation(0, "grant", {"user": 0, "amount": 1}), settings, runtime.current())
"""


def _spawn(settings: Settings, database_url: str, folder: Path) -> subprocess.Popen[bytes]:
    """Run the operation in a process of its own."""
    variables = {"PYTHONPATH": ROOT, "ROWRACE_DATABASE_URL": database_url, "ROWRACE_JOURNAL_DIR": str(folder)}
    command = [sys.executable, "-c", _RUN, msgspec.json.encode(settings).decode()]
    return subprocess.Popen(command, env={**os.environ, **variables})


@pytest.mark.parametrize("where", Where)
def test_a_killed_worker_leaves_what_it_had_done(
    database: psycopg.Connection[Any], database_url: str, schema: str, tmp_path: Path, where: Where
) -> None:
    """The journal tells of the strike, and of the end where that was written; the row tells of COMMIT."""
    failpoint = Failpoint(where=where, action=Action.KILL, operations=(0,))
    process = _spawn(_settings(schema, failpoint), database_url, tmp_path)
    assert -signal.SIGKILL == process.wait(60)
    lines, torn = _lines(tmp_path)
    assert [f"{where}:kill"] == [line.name for line in _of(lines, FaultLine)]
    ended = where is Where.BEFORE_ACK
    assert (ended, where is Where.WHILE_LOGGING) == (len(_of(lines, EndLine)), torn)
    effects = int(where in _COMMITTED)
    backends = {line.backend_pid for line in _of(lines, StartLine)}
    assert (100 + effects, effects) == _settled(database, schema, backends)


@pytest.mark.parametrize("where", Where)
def test_a_stopped_worker_goes_on_where_it_stood(
    database: psycopg.Connection[Any], database_url: str, schema: str, tmp_path: Path, where: Where
) -> None:
    """Stopped, it has written the strike and nothing after it; continued, the operation ends ok."""
    failpoint = Failpoint(where=where, action=Action.STOP, operations=(0,))
    process = _spawn(_settings(schema, failpoint), database_url, tmp_path)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        stopped, torn = _lines(tmp_path)
        assert f"{where}:stop" == _of(stopped, FaultLine)[-1].name
        assert (where is Where.BEFORE_ACK, where is Where.WHILE_LOGGING) == (len(_of(stopped, EndLine)), torn)
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    lines, _ = _lines(tmp_path)
    assert [_OK] == [(end.outcome, end.reason) for end in _of(lines, EndLine)]
    assert (101, 1) == _settled(database, schema, {line.backend_pid for line in _of(lines, StartLine)})
