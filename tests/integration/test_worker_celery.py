"""Real Celery workers on a real broker: pools, retries, malformed messages, forks, refusals to start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from orchestrator import schema as group
from tests.worker_nodes import ROOT, Node, ask, running
from worker.contract import (
    Batch,
    EndLine,
    Isolation,
    Line,
    Operation,
    ProcessLine,
    Retry,
    Settings,
    StartLine,
    Via,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg


@pytest.fixture
def node(database: psycopg.Connection[Any], fresh_schema: str, broker_url: str) -> Iterator[Node]:
    """A group of credits, and where its messages go."""
    group.create(database, fresh_schema, "credits", 2, idempotency=True, recording=True)
    made = Node(database, fresh_schema, broker_url)
    yield made
    made.close()


@pytest.fixture
def urls(database_url: str, broker_url: str) -> dict[str, str]:
    """What a worker finds in its environment."""
    return {"ROWRACE_DATABASE_URL": database_url, "ROWRACE_BROKER_URL": broker_url, "ROWRACE_NODE": "n1"}


def _settings(node: Node, **changes: Any) -> Settings:  # noqa: ANN401 - fields of several types
    return Settings(
        run="abcd",
        schema=node.schema,
        scenario="credits",
        strategy=changes.get("strategy", "optimistic"),
        isolation=Isolation.READ_COMMITTED,
        retry=changes.get("retry", Retry(attempts=200)),
        think_ms=(0, 2),
        lock_timeout_ms=0,
        recording=True,
        seed=1,
    )


@pytest.mark.parametrize("via", Via)
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_every_pool_applies_every_operation_once(
    database: psycopg.Connection[Any], node: Node, urls: dict[str, str], tmp_path: Path, pool: str, via: Via
) -> None:
    """Several slots on one row, conflicts retried either way: each operation ends ok, once; the journal is complete."""
    settings = _settings(node, retry=Retry(attempts=500, cap_ms=20, via=via))
    with running(node, tmp_path, urls, "--pool", pool, "--concurrency", "3"):
        for first in range(0, 30, 3):
            node.send(settings, *(Operation(n, "grant", {"user": 0, "amount": 1}) for n in range(first, first + 3)))
        ends = node.wait(30)
    assert ["ok"] * 30 == [end.outcome for end in ends]
    rows = ask(database, node.schema, "SELECT credits, seq FROM {}.users WHERE id = 0").fetchall()
    assert [(130, 30)] == rows
    lines = node.lines()
    starts = [line for line in lines if isinstance(line, StartLine)]
    assert {line.token for line in starts} == {line.token for line in lines if isinstance(line, EndLine)}
    assert {("n1", pool)} == {(line.node, line.pool) for line in lines if isinstance(line, ProcessLine)}
    files = {path.name: path.read_bytes() for path in (tmp_path / "journals").glob("*/*")}
    assert sum(map(len, files.values())) == sum(
        length for (length,) in ask(database, node.schema, "SELECT octet_length(chunk) FROM {}.journal")
    )


def test_attempts_are_numbered_across_messages(
    database: psycopg.Connection[Any], node: Node, urls: dict[str, str], tmp_path: Path
) -> None:
    """Retried via Celery, an operation's attempts count on, and only the conflicting one of a message comes again."""
    settings = _settings(node, strategy="naive", retry=Retry(attempts=3, base_ms=0, via=Via.CELERY))
    locked = msgspec.structs.replace(settings, lock_timeout_ms=10)
    with database.transaction(), running(node, tmp_path, urls, "--pool", "solo"):
        ask(database, node.schema, "SELECT FROM {}.users WHERE id = 0 FOR UPDATE")
        operations = [Operation(n, "grant", {"user": n, "amount": 1}) for n in range(2)]
        node.send(locked, *operations)
        ends = node.wait(2)
    assert ["fail", "ok"] == sorted(end.outcome for end in ends)
    starts = sorted((line.operation, line.attempt) for line in node.lines() if isinstance(line, StartLine))
    assert [(0, 1), (0, 2), (0, 3), (1, 1)] == starts


def test_malformed_messages_are_dropped_with_a_line(node: Node, urls: dict[str, str], tmp_path: Path) -> None:
    """Neither a crash nor a loop: the next message is run, and the log says why."""
    with running(node, tmp_path, urls, "--pool", "solo"):
        node.send_raw(args=[1, 2])
        node.send_raw(kwargs={"settings": {}, "operations": []})
        node.send_raw(kwargs={**msgspec.to_builtins(Batch(settings=_settings(node), operations=[])), "more": 1})
        node.send(_settings(node), Operation(0, "grant", {"user": 0, "amount": 1}))
        assert ["ok"] == [end.outcome for end in node.wait(1)]
    log = (tmp_path / "log").read_text()
    assert (3, 0) == (log.count("is rejected:"), log.count("Traceback"))


def test_the_log_keeps_passwords_to_itself(node: Node, urls: dict[str, str], tmp_path: Path) -> None:
    """Neither URL's password stands in the log, not even where the database refuses."""
    wrong = {**urls, "ROWRACE_DATABASE_URL": "postgresql://me:hush-hush@127.0.0.1:1/none"}
    settings = _settings(node, retry=Retry(attempts=2, base_ms=0))
    with running(node, tmp_path, wrong, "--pool", "solo", "--loglevel", "DEBUG"):
        node.send(settings, Operation(0, "grant", {"user": 0, "amount": 1}))
        journals = tmp_path / "journals" / node.schema
        deadline = time.monotonic() + 60
        while not any(b"lost-connection" in path.read_bytes() for path in journals.glob("*.jsonl")):
            assert time.monotonic() < deadline
    log = (tmp_path / "log").read_text()
    broker_password = urls["ROWRACE_BROKER_URL"].partition("://")[2].rpartition("@")[0].rpartition(":")[2]
    assert "can't be reached" in log
    assert [False, False] == ["hush-hush" in log, broker_password in log]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ROWRACE_BROKER_URL": ""}, "Set ROWRACE_BROKER_URL"),
        ({"ROWRACE_DATABASE_URL": ""}, "Set ROWRACE_DATABASE_URL"),
        ({"ROWRACE_PREFETCH": "many"}, "ROWRACE_PREFETCH must be a number"),
    ],
)
def test_a_worker_without_its_settings_does_not_start(changes: dict[str, str], sentence: str, tmp_path: Path) -> None:
    """One sentence that says what to set, and an exit code that isn't zero."""
    urls = {"ROWRACE_BROKER_URL": "redis://127.0.0.1:1/0", "ROWRACE_DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker"],
        env={**os.environ, "PYTHONPATH": ROOT, **urls, **changes},
        cwd=tmp_path,
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


_FORK = """
import os, sys
from worker import attempt, runtime
from worker.contract import *
settings = Settings(run="abcd", schema=sys.argv[1], scenario="credits", strategy="optimistic", retry=Retry(),
    isolation=Isolation.READ_COMMITTED, think_ms=(0, 0), lock_timeout_ms=0, recording=True, seed=1)
def work(first):
    for number in range(first, first + 50):
        attempt.run(Operation(number, "grant", {"user": number % 2, "amount": 1}), settings, runtime.current())
work(0)
child = os.fork()
work(1000 if child else 2000)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_fork_starts_anew(
    database: psycopg.Connection[Any], database_url: str, fresh_schema: str, tmp_path: Path
) -> None:
    """Parent and child use connections, tokens and journals of their own, even where the parent used them before."""
    group.create(database, fresh_schema, "credits", 2, idempotency=True, recording=True)
    environment = {
        **os.environ,
        "PYTHONPATH": ROOT,
        "ROWRACE_DATABASE_URL": database_url,
        "ROWRACE_JOURNAL_DIR": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", _FORK, fresh_schema], env=environment, timeout=60, check=True)
    rows = ask(database, fresh_schema, "SELECT credits, seq FROM {}.users").fetchall()
    assert [(175, 75)] * 2 == rows
    files = [path.read_bytes().splitlines() for path in tmp_path.glob("*/*.jsonl")]
    backends = [
        {
            line.backend_pid
            for line in (msgspec.json.decode(each, type=Line) for each in file)
            if isinstance(line, StartLine)
        }
        for file in files
    ]
    assert (2, 1, 1) == (len(backends), *map(len, backends))
    assert backends[0] != backends[1]
