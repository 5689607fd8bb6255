"""From the group's tables to the history's files: the journal's tail, effects, rows, the plan; and settling."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import psycopg
import pytest
from psycopg import sql

from orchestrator import gather, gather_database, schema, settle
from orchestrator.history.files import Writer, read
from orchestrator.history.model import Meta
from orchestrator.plan import plan
from orchestrator.profile import Profile
from orchestrator.progress import Progress
from orchestrator.tail import Tail
from worker.contract import COUNTER_BITS, EndLine, Outcome, ProcessLine, StartLine

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.history.model import History

Connection = psycopg.Connection[Any]


@pytest.fixture
def group(database: Connection, fresh_schema: str) -> str:
    """A group's schema with three users."""
    schema.create(database, fresh_schema, "credits", 3, idempotency=True, recording=True)
    gather_database.snapshot(database, fresh_schema, "credits")
    return fresh_schema


def _ship(database: Connection, group: str, position: int, lines: bytes) -> int:
    statement = sql.SQL("INSERT INTO {}.journal VALUES ('node1.7.jsonl', %s, %s)").format(sql.Identifier(group))
    database.execute(statement, (position, lines.decode()))
    return position + len(lines)


def _lines(*lines: Any) -> bytes:  # noqa: ANN401 - journal lines of any kind
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _attempt(operation: int) -> bytes:
    token = 7 << COUNTER_BITS | operation + 1
    start = StartLine(token, operation, 1, 0, 10, 1, 1, redelivered=False)
    return _lines(start, EndLine(token, Outcome.OK, reason=None, final=True, mono_ns=20, accesses=[]))


def test_the_tail_follows_the_journal(database: Connection, group: str) -> None:
    """Each look reads what was shipped since the last one, however many chunks that is."""
    progress = Progress(200, lambda _table, _data: None)
    tail = Tail(group)
    position = _ship(database, group, 0, _lines(ProcessLine(7, "node1", "here", 1, "prefork")))
    ended = []
    for first in (0, 1, 50):
        for operation in range(first, {0: 1, 1: 50, 50: 200}[first]):
            position = _ship(database, group, position, _attempt(operation))
        for file, lines in tail.read(database):
            progress.feed(file, lines)
        ended.append(progress.ended())
    assert [1, 50, 200] == ended


def test_the_tail_goes_on_where_a_crash_took_chunks_back(database: Connection, group: str) -> None:
    """What was read and lost again is shipped again in longer chunks, which begin before where the tail stopped."""
    progress = Progress(4, lambda _table, _data: None)
    tail = Tail(group)
    position = _ship(database, group, 0, _lines(ProcessLine(7, "node1", "here", 1, "prefork")))
    _ship(database, group, position, _attempt(0))
    for file, lines in tail.read(database):
        progress.feed(file, lines)
    database.execute(sql.SQL("DELETE FROM {}.journal WHERE pos > 0").format(sql.Identifier(group)))
    position = _ship(database, group, position, _attempt(0) + _attempt(1))
    _ship(database, group, position, _attempt(2))
    for file, lines in tail.read(database):
        progress.feed(file, lines)
    assert (3, 3) == (progress.ended(), progress.attempts)


def _grant(database: Connection, group: str, user: int, amount: int, writer: str) -> None:
    with database.transaction():
        database.execute("SELECT set_config('rowrace.writer', %s, true)", (writer,))
        table = sql.Identifier(group, "users")
        update = sql.SQL("UPDATE {} SET credits = credits + %s, version = version + 1 WHERE id = %s").format(table)
        database.execute(update, (amount, user))


def _history(database: Connection, group: str, folder: Path) -> History:
    with Writer(folder) as writer:
        gather_database.database(database, group, "credits", writer)
        gather.operations(writer, plan(Profile(operations=4), "credits"), np.array([True, True, False, True]))
        meta = Meta(
            run="r", scenario="credits", strategy="atomic", isolation="read committed", mode="distributed", planned=4
        )
        writer.meta(meta)
    return read(folder)


def test_effects_and_rows_are_gathered_as_the_database_has_them(
    database: Connection, group: str, tmp_path: Path
) -> None:
    """Effects in the order of each row's writes; rows with their first and last value."""
    _grant(database, group, 1, 5, "9:0")
    _grant(database, group, 1, 7, "10:3")
    found = _history(database, group, tmp_path)
    columns = ("relation", "key", "seq", "version_before", "version_after", "writer", "operation")
    assert [("users", "1", 1, 0, 1, 9, 0), ("users", "1", 2, 1, 2, 10, 3)] == [
        tuple(row[name] for name in columns) for row in found.effects.to_pylist()
    ]
    assert {"id": 1, "credits": 105} == msgspec.json.decode(found.effects.column("after")[0].as_py())
    rows = {row["key"]: row for row in found.rows.to_pylist()}
    assert {"0", "1", "2"} == set(rows)
    assert ({"id": 1, "credits": 100}, {"id": 1, "credits": 112}) == (
        msgspec.json.decode(rows["1"]["initial"]),
        msgspec.json.decode(rows["1"]["final"]),
    )
    last = ("initial_version", "final_version", "final_seq", "final_writer")
    assert (0, 2, 2, 10) == tuple(rows["1"][name] for name in last)


def test_a_row_that_is_gone_has_no_final_value(database: Connection, group: str, tmp_path: Path) -> None:
    """A deletion is seen, though nothing is left to look at."""
    database.execute(sql.SQL("DELETE FROM {} WHERE id = 2").format(sql.Identifier(group, "users")))
    rows = {row["key"]: row for row in _history(database, group, tmp_path).rows.to_pylist()}
    assert (None, None) == (rows["2"]["final"], rows["2"]["final_seq"])


def test_operations_say_what_the_broker_confirmed(database: Connection, group: str, tmp_path: Path) -> None:
    """The plan is written down with its publication."""
    found = _history(database, group, tmp_path).operations.to_pylist()
    assert [(0, True), (1, True), (2, False), (3, True)] == [(row["operation"], row["confirmed"]) for row in found]


def _backend(connection: Connection) -> tuple[int, int]:
    row = connection.execute(
        "SELECT pid, round(extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity"
        " WHERE pid = pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_a_backend_counts_as_ended_only_once_it_has(database: Connection, database_url: str) -> None:
    """An attempt of unknown outcome is judged when nothing can commit any more."""
    with psycopg.connect(database_url, autocommit=True) as other:
        backend = _backend(other)
        assert {5: False} == settle.ended(database, {5: backend}, grace=0.0)
        earlier = (backend[0], backend[1] - 1)
        assert {5: True} == settle.ended(database, {5: earlier}, grace=0.0)  # the pid was given away again
    assert {5: True} == settle.ended(database, {5: backend}, grace=30.0)


def test_a_backend_that_hides_its_start_counts_as_living(database: Connection, database_url: str) -> None:
    """Another user's sessions show their process numbers alone: nothing may be taken for ended that isn't."""
    with psycopg.connect(database_url, autocommit=True) as other, database.transaction(force_rollback=True):
        backend = _backend(other)
        database.execute("CREATE ROLE rowrace_stranger")
        database.execute("SET LOCAL ROLE rowrace_stranger")
        assert {backend} == settle.living(database, {backend})


def test_backends_that_still_run_can_be_ended(database: Connection, database_url: str) -> None:
    """What a running attempt holds locked is given up before its schema is dropped."""
    with psycopg.connect(database_url, autocommit=True) as other:
        backend = _backend(other)
        settle.terminate(database, {backend})
        assert {5: True} == settle.ended(database, {5: backend}, grace=30.0)


def test_attempts_stream_into_files(tmp_path: Path) -> None:
    """Progress hands its rows to a history without holding them."""
    with Writer(tmp_path) as writer:
        progress = Progress(2, partial(gather.columns, writer))
        progress.feed("f", _lines(ProcessLine(7, "node1", "here", os.getpid(), "prefork")) + _attempt(0) + _attempt(1))
        progress.finish({})
        gather.operations(writer, plan(Profile(operations=2), "credits"), np.ones(2, dtype=np.bool_))
        meta = Meta(
            run="r", scenario="credits", strategy="atomic", isolation="read committed", mode="distributed", planned=2
        )
        writer.meta(meta)
    assert [0, 1] == read(tmp_path).attempts.column("operation").to_pylist()
