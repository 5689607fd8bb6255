"""Mistakes on a real Postgres: each one's harm really happens, and is absent without it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from orchestrator import schema as group
from tests.stand_ins import wait_until
from tests.worker_nodes import ask
from worker import attempt
from worker.config import Config
from worker.contract import (
    Action,
    EndLine,
    Failpoint,
    Isolation,
    Jitter,
    Line,
    Operation,
    Outcome,
    Retry,
    Settings,
    Where,
)
from worker.mistakes import Mistake
from worker.runtime import Identity, ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from worker.attempt import Result

RC, RR = Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ
GRANT = Operation(0, "grant", {"user": 0, "amount": 1})


@pytest.fixture
def schema(database: psycopg.Connection[Any], fresh_schema: str) -> str:
    """A group of two rows with 100 credits each; a second application is not refused."""
    group.create(database, fresh_schema, "credits", 2, idempotency=False, recording=True)
    return fresh_schema


class _Turns(ProcessRuntime):
    """A runtime in which two think at the same time; where asked, the second waits for the first one's end."""

    def __init__(self, settings: Config, identity: Identity) -> None:
        super().__init__(settings, identity)
        self.barrier = threading.Barrier(2)
        self.ended = threading.Event()
        self.pauses: list[float] = []
        self._thought = threading.local()
        self.in_turn = True

    def pause(self, seconds: float) -> None:
        """Think together once; every later pause takes no time."""
        self.pauses.append(seconds)
        if seconds == 0.001 and not getattr(self._thought, "once", False):
            self._thought.once = True
            if self.barrier.wait(timeout=60) and self.in_turn:
                assert self.ended.wait(timeout=60)


@pytest.fixture
def runtime(database_url: str, tmp_path: Path) -> Iterator[_Turns]:
    """A worker process's runtime, on the test's own database and folder."""
    made = _Turns(Config(database_url=database_url, journal_dir=tmp_path), Identity("n", "threads"))
    yield made
    made.close()


def _settings(schema: str, *mistakes: Mistake, **changes: Any) -> Settings:  # noqa: ANN401 - fields of several types
    return Settings(
        run="abcd",
        schema=schema,
        scenario="credits",
        strategy=changes.get("strategy", "optimistic"),
        isolation=changes.get("isolation", RC),
        retry=changes.get("retry", Retry(attempts=5, base_ms=0)),
        think_ms=changes.get("think_ms", (0, 0)),
        lock_timeout_ms=0,
        recording=True,
        seed=1,
        mistakes=tuple(mistakes),
        failpoints=changes.get("failpoints", ()),
    )


def _ends(folder: Path) -> list[EndLine]:
    texts = [text for path in sorted(folder.glob("*/*.jsonl")) for text in path.read_bytes().splitlines()]
    return [line for line in (msgspec.json.decode(text, type=Line) for text in texts) if isinstance(line, EndLine)]


def _effects(database: psycopg.Connection[Any], schema: str) -> int:
    (number,) = ask(database, schema, "SELECT count(*) FROM {}.effects").fetchone() or (0,)
    assert isinstance(number, int)
    return number


def _both(runtime: _Turns, settings: Settings, *operations: Operation) -> list[Result]:
    """Run two operations that have read before either writes."""

    def run(operation: Operation) -> Result:
        result = attempt.run(operation, settings, runtime)
        runtime.ended.set()
        return result

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(run, operations))


def _grants() -> list[Operation]:
    return [Operation(number, "grant", {"user": 0, "amount": 1}) for number in range(2)]


def _once(strategy: str = "optimistic", isolation: Isolation = RC) -> dict[str, Any]:
    """Two meet on a row, and nobody tries again."""
    return {"strategy": strategy, "isolation": isolation, "think_ms": (1, 1), "retry": Retry(attempts=1)}


@pytest.mark.parametrize(
    ("mistake", "how"),
    [
        (Mistake.UNCHECKED_ROWCOUNT, _once()),
        (Mistake.SILENT_GIVE_UP, _once()),
        (Mistake.SILENT_GIVE_UP, _once("naive", RR)),
        (Mistake.SWALLOWED_ERROR, _once("naive", RR)),
    ],
)
def test_an_attempt_without_effect_says_ok(
    database: psycopg.Connection[Any], schema: str, runtime: _Turns, mistake: Mistake, how: dict[str, Any]
) -> None:
    """Both tasks end ok; one grant is there."""
    results = _both(runtime, _settings(schema, mistake, **how), *_grants())
    assert [Outcome.OK] * 2 == [result.outcome for result in results]
    assert 1 == _effects(database, schema)


@pytest.mark.parametrize("how", [_once(), _once("naive", RR)])
def test_without_the_mistake_it_fails(
    database: psycopg.Connection[Any], schema: str, runtime: _Turns, how: dict[str, Any]
) -> None:
    """The one without an effect says so."""
    results = _both(runtime, _settings(schema, **how), *_grants())
    assert {Outcome.OK, Outcome.FAIL} == {result.outcome for result in results}
    assert 1 == _effects(database, schema)


def test_a_session_goes_on_after_an_error(
    database: psycopg.Connection[Any], schema: str, runtime: _Turns, tmp_path: Path
) -> None:
    """A transfer's second write meets the aborted transaction, COMMIT is answered with ROLLBACK: ok, no effect."""
    transfers = [Operation(number, "transfer", {"source": 0, "target": 1, "amount": 1}) for number in range(2)]
    settings = _settings(schema, Mistake.SWALLOWED_ERROR, **_once("naive", RR))
    assert [Outcome.OK] * 2 == [result.outcome for result in _both(runtime, settings, *transfers)]
    assert 2 == _effects(database, schema)
    writes = [[each.rows for each in end.accesses if each.mode == "w"] for end in _ends(tmp_path)]
    assert [[0, 0], [1, 1]] == sorted(writes)


@pytest.mark.parametrize(
    ("mistake", "where", "action", "ends"),
    [
        (Mistake.BLIND_RETRY, Where.IN_COMMIT, Action.DISCONNECT, [("info", False), ("ok", True)]),
        (Mistake.RETRY_AFTER_COMMIT, Where.AFTER_COMMIT, Action.RAISE, [("ok", False), ("ok", True)]),
        (Mistake.RETRY_AFTER_COMMIT, Where.BEFORE_ACK, Action.RAISE, [("ok", True), ("ok", True)]),
    ],
)
def test_a_committed_operation_is_done_again(
    database: psycopg.Connection[Any],
    schema: str,
    runtime: _Turns,
    tmp_path: Path,
    mistake: Mistake,
    where: Where,
    action: Action,
    ends: list[tuple[str, bool]],
) -> None:
    """Two attempts with tokens of their own, two effects of one operation."""
    failpoint = Failpoint(where=where, action=action, operations=(0,))
    attempt.run(GRANT, _settings(schema, mistake, failpoints=(failpoint,)), runtime)
    assert ends == [(end.outcome, end.final) for end in _ends(tmp_path)]
    wait_until(lambda: _effects(database, schema) == 2)
    writers = ask(database, schema, "SELECT count(DISTINCT writer), count(DISTINCT operation) FROM {}.effects")
    assert (2, 1) == writers.fetchone()


@pytest.mark.parametrize(
    ("where", "action"), [(Where.IN_COMMIT, Action.DISCONNECT), (Where.AFTER_COMMIT, Action.RAISE)]
)
def test_without_those_mistakes_it_is_done_once(
    database: psycopg.Connection[Any], schema: str, runtime: _Turns, tmp_path: Path, where: Where, action: Action
) -> None:
    """An unknown outcome is left to be settled, and an error after COMMIT undoes nothing."""
    failpoint = Failpoint(where=where, action=action, operations=(0,))
    attempt.run(GRANT, _settings(schema, failpoints=(failpoint,)), runtime)
    assert [True] == [end.final for end in _ends(tmp_path)]
    wait_until(lambda: _effects(database, schema) == 1)


def _transfers() -> list[Operation]:
    return [
        Operation(0, "transfer", {"source": 0, "target": 1, "amount": 1}),
        Operation(1, "transfer", {"source": 1, "target": 0, "amount": 1}),
    ]


@pytest.mark.parametrize(
    ("mistakes", "outcomes"),
    [
        ([Mistake.UNORDERED_KEYS], ["ok", "ok"]),
        ([Mistake.UNORDERED_KEYS, Mistake.NO_DEADLOCK_RETRY], ["fail", "ok"]),
        ([], ["ok", "ok"]),
    ],
)
def test_rows_in_no_order_deadlock(
    schema: str, runtime: _Turns, tmp_path: Path, mistakes: list[Mistake], outcomes: list[str]
) -> None:
    """Each holds what the other wants; the victim tries again, unless that is left out."""
    # A delay after the first read keeps both rows locked until both are.
    delay = Failpoint(where=Where.AFTER_READ, action=Action.DELAY, operations=(0, 1), delay_ms=1)
    settings = _settings(schema, *mistakes, strategy="pessimistic", failpoints=(delay,))
    runtime.in_turn = False
    if not mistakes:
        runtime.barrier = threading.Barrier(1)  # in key order the second has nothing to hold meanwhile
    results = _both(runtime, settings, *_transfers())
    assert outcomes == sorted(result.outcome for result in results)
    deadlocks = [end.final for end in _ends(tmp_path) if end.reason == "deadlock"]
    assert [Mistake.NO_DEADLOCK_RETRY in mistakes][: bool(mistakes)] == deadlocks


@pytest.mark.parametrize(("mistakes", "pauses"), [([Mistake.NO_BACKOFF], [0.0] * 3), ([], [0.002, 0.004, 0.008])])
def test_conflicts_are_tried_again_at_once(
    database: psycopg.Connection[Any], schema: str, runtime: _Turns, mistakes: list[Mistake], pauses: list[float]
) -> None:
    """Without a backoff no time passes between attempts."""
    settings = _settings(schema, *mistakes, retry=Retry(attempts=4, base_ms=2, jitter=Jitter.NONE))
    locked = msgspec.structs.replace(settings, lock_timeout_ms=10)
    with database.transaction():
        ask(database, schema, "SELECT FROM {}.users FOR UPDATE")
        assert attempt.run(GRANT, locked, runtime).attempt == 4
    assert pauses == runtime.pauses
