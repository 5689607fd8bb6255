"""Real Celery workers that lose their processes: what comes again, what doesn't, and what is given up."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from orchestrator import schema as group
from tests.stand_ins import wait_until
from tests.worker_nodes import Node, ask, kill, running
from worker.contract import (
    Action,
    EndLine,
    Failpoint,
    FaultLine,
    Isolation,
    Operation,
    ProcessLine,
    Retry,
    Settings,
    StartLine,
    Via,
    Where,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from worker.contract import Line

_PREFORK = ("--pool", "prefork", "--concurrency", "1")


@pytest.fixture
def node(database: psycopg.Connection[Any], fresh_schema: str, broker_url: str) -> Iterator[Node]:
    """A group of two rows with 100 credits each, and where its messages go."""
    group.create(database, fresh_schema, "credits", 2, idempotency=True, recording=True)
    made = Node(database, fresh_schema, broker_url)
    yield made
    made.close()


@pytest.fixture
def urls(database_url: str, broker_url: str) -> dict[str, str]:
    """What a worker finds in its environment."""
    return {
        "ROWRACE_DATABASE_URL": database_url,
        "ROWRACE_BROKER_URL": broker_url,
        "ROWRACE_NODE": "n1",
        "ROWRACE_UNACKED": f"test:{secrets.token_hex(4)}:unacked",
    }


def _settings(node: Node, *failpoints: Failpoint, **changes: Any) -> Settings:  # noqa: ANN401 - fields of several types
    return Settings(
        run="abcd",
        schema=node.schema,
        scenario="credits",
        strategy="pessimistic",
        isolation=Isolation.READ_COMMITTED,
        retry=changes.get("retry", Retry(attempts=5, base_ms=0)),
        think_ms=(0, 0),
        lock_timeout_ms=changes.get("lock_timeout_ms", 0),
        recording=True,
        seed=1,
        failpoints=failpoints,
    )


def _grants(*numbers: int) -> list[Operation]:
    return [Operation(number, "grant", {"user": number % 2, "amount": 1}) for number in numbers]


def _kill(where: Where, *operations: int, always: bool = False) -> Failpoint:
    return Failpoint(where=where, action=Action.KILL, operations=operations, always=always)


def _starts(lines: list[Line], operation: int) -> list[StartLine]:
    return [line for line in lines if isinstance(line, StartLine) and line.operation == operation]


def _ended(node: Node, operation: int) -> list[tuple[str, str | None]]:
    lines = node.lines()
    tokens = [line.token for line in _starts(lines, operation)]
    return [(line.outcome, line.reason) for line in lines if isinstance(line, EndLine) and line.token in tokens]


def _credits(database: psycopg.Connection[Any], node: Node) -> list[int]:
    return [value for (value,) in ask(database, node.schema, "SELECT credits FROM {}.users ORDER BY id")]


@pytest.mark.parametrize(
    ("where", "ends"),
    [
        (Where.BEFORE_COMMIT, [("ok", None)]),
        (Where.AFTER_COMMIT, [("fail", "duplicate")]),
        (Where.BEFORE_ACK, [("fail", "duplicate"), ("ok", None)]),
    ],
)
def test_a_killed_process_s_message_comes_again(
    database: psycopg.Connection[Any],
    node: Node,
    urls: dict[str, str],
    tmp_path: Path,
    where: Where,
    ends: list[tuple[str, str | None]],
) -> None:
    """It is delivered twice and takes effect once."""
    with running(node, tmp_path, urls, *_PREFORK):
        node.send(_settings(node, _kill(where, 0)), *_grants(0))
        wait_until(lambda: len(_ended(node, 0)) == len(ends))
    assert ends == sorted(_ended(node, 0))
    assert [False, True] == sorted(line.redelivered for line in _starts(node.lines(), 0))
    assert [101, 100] == _credits(database, node)


@pytest.mark.parametrize("setting", ["ROWRACE_ACKS_LATE", "ROWRACE_REJECT_ON_WORKER_LOST"])
def test_without_the_setting_it_is_lost(
    database: psycopg.Connection[Any], node: Node, urls: dict[str, str], tmp_path: Path, setting: str
) -> None:
    """Acknowledged, with neither an effect nor an end; the worker goes on with the next one."""
    with running(node, tmp_path, {**urls, setting: "0"}, *_PREFORK):
        node.send(_settings(node, _kill(Where.BEFORE_COMMIT, 0)), *_grants(0))
        wait_until(lambda: len(_starts(node.lines(), 0)) == 1)
        node.send(_settings(node), *_grants(1))
        node.wait(1)
    assert ([], [("ok", None)]) == (_ended(node, 0), _ended(node, 1))
    assert [100, 101] == _credits(database, node)


@pytest.mark.parametrize("via", Via)
def test_a_poisonous_message_is_given_up(
    database: psycopg.Connection[Any], node: Node, urls: dict[str, str], tmp_path: Path, via: Via
) -> None:
    """It takes two processes down and no third; what took effect stays ok, the rest is given up without being run."""
    settings = _settings(node, _kill(Where.BEFORE_COMMIT, 1, always=True), retry=Retry(via=via))
    with running(node, tmp_path, {**urls, "ROWRACE_MAX_DELIVERIES": "2"}, *_PREFORK):
        node.send(settings, *_grants(0, 1, 2))
        node.send(_settings(node), *_grants(3))
        wait_until(lambda: bool(_ended(node, 2)) and bool(_ended(node, 3)))
    poison = ("fail", "poison")
    assert [("fail", "duplicate"), ("ok", None)] == sorted(_ended(node, 0))
    assert ([poison], [poison], [("ok", None)]) == (_ended(node, 1), _ended(node, 2), _ended(node, 3))
    lines = node.lines()
    assert 2 == len([line for line in lines if isinstance(line, FaultLine)])
    assert [False, True, True] == sorted(line.redelivered for line in _starts(lines, 1))
    assert [101, 101] == _credits(database, node)


def test_attempts_are_no_lost_workers(
    database: psycopg.Connection[Any], node: Node, urls: dict[str, str], tmp_path: Path
) -> None:
    """Retries via Celery count towards the attempts, and not towards the cap on lost workers."""
    settings = _settings(node, retry=Retry(attempts=4, base_ms=0, via=Via.CELERY), lock_timeout_ms=10)
    with database.transaction(), running(node, tmp_path, {**urls, "ROWRACE_MAX_DELIVERIES": "1"}, *_PREFORK):
        ask(database, node.schema, "SELECT FROM {}.users WHERE id = 0 FOR UPDATE")
        node.send(settings, *_grants(0))
        node.wait(1)
    assert [("fail", "lock-timeout")] * 4 == _ended(node, 0)
    assert [(1, False), (2, False), (3, False), (4, False)] == sorted(
        (line.attempt, line.redelivered) for line in _starts(node.lines(), 0)
    )


def _sharing(folder: Path) -> bool:
    """Say whether two processes' attempts name one backend."""
    seen: dict[tuple[int, int], set[int]] = {}
    for path in (folder / "journals").glob("*/*.jsonl"):
        lines = [msgspec.json.decode(text) for text in path.read_bytes().splitlines()]
        starts = [msgspec.convert(line, StartLine) for line in lines if line[0] == "start"]
        for start in starts:
            seen.setdefault((start.backend_pid, start.backend_start_us), set()).add(start.token >> 32)
    return any(len(processes) > 1 for processes in seen.values())


def test_a_connection_opened_before_the_fork_is_everybody_s(node: Node, urls: dict[str, str], tmp_path: Path) -> None:
    """Two processes run their attempts on one and the same backend."""
    shared = {**urls, "ROWRACE_ENGINE_BEFORE_FORK": "1"}
    with running(node, tmp_path, shared, "--pool", "prefork", "--concurrency", "2") as process:
        for number in range(20):
            node.send(_settings(node), *_grants(number))
        try:
            wait_until(lambda: _sharing(tmp_path))
        finally:
            kill(process)  # its children may wait for each other's answers for ever


def test_a_pool_that_is_exhausted_fails_the_attempt(
    database: psycopg.Connection[Any], node: Node, urls: dict[str, str], tmp_path: Path
) -> None:
    """Who gets no connection in time says so; who has one goes on."""
    small = {**urls, "ROWRACE_POOL_SIZE": "1", "ROWRACE_POOL_TIMEOUT": "0.1"}
    with running(node, tmp_path, small, "--pool", "threads", "--concurrency", "2"):
        with database.transaction():
            ask(database, node.schema, "SELECT FROM {}.users WHERE id = 0 FOR UPDATE")
            node.send(_settings(node), *_grants(0))
            wait_until(lambda: len(_starts(node.lines(), 0)) == 1)
            node.send(_settings(node), *_grants(1))
            wait_until(lambda: len(_ended(node, 1)) == 1)
        node.wait(2)
    assert ([("ok", None)], [("fail", "error")]) == (_ended(node, 0), _ended(node, 1))
    details = [line.detail for line in node.lines() if isinstance(line, EndLine) and line.reason == "error"]
    assert ["PoolTimeout"] == details
    assert {"threads"} == {line.pool for line in node.lines() if isinstance(line, ProcessLine)}
