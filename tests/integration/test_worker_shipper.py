"""Journals reach the database whole, once, whoever ships them and whoever died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest

import worker
from orchestrator import schema as group
from worker import shipper
from worker.config import Config
from worker.contract import ClockLine, Line, ProcessLine
from worker.runtime import Identity, ProcessRuntime
from worker.shipper import Shipper, ShipperThread, ship_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Connect = Callable[[], psycopg.Connection[Any]]

HOME = str(Path(worker.__file__).resolve().parent.parent)


@pytest.fixture
def connect(database_url: str) -> Connect:
    """Make a shipper's connection."""
    return lambda: psycopg.connect(database_url, autocommit=True)


@pytest.fixture
def schema(database: psycopg.Connection[Any], fresh_schema: str) -> str:
    """A group whose journal is empty."""
    group.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    return fresh_schema


def _runtime(folder: Path, node: str = "n1") -> ProcessRuntime:
    return ProcessRuntime(Config(journal_dir=folder), Identity(node, "solo"))


def _write(runtime: ProcessRuntime, schema: str, *numbers: int) -> None:
    for number in numbers:
        runtime.journal(schema).write(ClockLine(number, 0, 0))


def _ask(connection: psycopg.Connection[Any], schema: str, text: str, *params: object) -> psycopg.Cursor[Any]:
    """Run a statement in which {} stands for the schema."""
    return connection.execute(text.replace("{}", schema), params or None)


def _shipped(database: psycopg.Connection[Any], schema: str) -> dict[str, bytes]:
    """Put every file together again from its chunks."""
    query = "SELECT file, pos, chunk FROM {}.journal ORDER BY file, pos"
    found: dict[str, bytes] = {}
    for file, position, chunk in _ask(database, schema, query):
        assert position == len(found.setdefault(file, b""))
        found[file] += chunk.encode()
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*/*.jsonl")}


def test_the_table_holds_what_the_files_hold(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """New lines follow the old ones, without a hole and without a copy."""
    runtime, mine = _runtime(tmp_path), Shipper(tmp_path, connect, "n1")
    for numbers in ((1, 2), (), (3,)):
        _write(runtime, schema, *numbers)
        mine.ship()
        assert _files(tmp_path) == _shipped(database, schema)
    mine.close()


def test_what_a_crash_took_back_is_shipped_again(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """Though nothing new is written: the session has ended, and so much is noticed."""
    opened: list[psycopg.Connection[Any]] = []

    def connected() -> psycopg.Connection[Any]:
        opened.append(connect())
        return opened[-1]

    runtime, mine = _runtime(tmp_path), Shipper(tmp_path, connected, "n1")
    _write(runtime, schema, 1, 2)
    mine.ship()
    assert (0, 1) == (mine.ship(), len(opened))
    _ask(database, schema, "DELETE FROM {}.journal")
    database.execute("SELECT pg_terminate_backend(%s, 5000)", (opened[0].info.backend_pid,))
    mine.ship()
    assert _files(tmp_path) == _shipped(database, schema)
    mine.close()


def test_a_line_that_is_not_whole_waits(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """Half a line is shipped with its other half."""
    folder = tmp_path / schema
    folder.mkdir()
    path = folder / "n1.7.jsonl"
    path.write_bytes(b"[1]\n[2")
    assert ship_all(tmp_path, connect) == 4
    with path.open("ab") as file:
        file.write(b"]\n")
    assert ship_all(tmp_path, connect) == 4
    assert _files(tmp_path) == _shipped(database, schema)


def test_chunks_end_at_lines(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long files go in pieces, and a line longer than a piece goes whole."""
    monkeypatch.setattr(shipper, "CHUNK", 100)
    folder = tmp_path / schema
    folder.mkdir()
    (folder / "n1.7.jsonl").write_bytes(b"".join(b"[%d]\n" % (10**size) for size in (1, 5, 90, 300, 40, 40, 40, 2)))
    ship_all(tmp_path, connect)
    assert _files(tmp_path) == _shipped(database, schema)
    query = "SELECT bool_and(right(chunk, 1) = E'\\n'), count(*) > 3 FROM {}.journal"
    assert _ask(database, schema, query).fetchone() == (True, True)


def test_two_shippers_at_once_are_harmless(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """Whoever comes second finds out how far the first one was."""
    runtime, one, two = _runtime(tmp_path), Shipper(tmp_path, connect, "n1"), Shipper(tmp_path, connect)
    for first, second in ((one, two), (two, one), (two, two), (one, one), (two, one)):
        _write(runtime, schema, 1)
        first.ship()
        _write(runtime, schema, 2)
        second.ship()
    one.close()
    two.close()
    assert _files(tmp_path) == _shipped(database, schema)


def test_a_node_ships_its_own_files(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """Nodes of one host share a folder; dead processes of the node itself are its own too."""
    for node in ("n1", "n1", "n1.x", "n2"):
        _write(_runtime(tmp_path, node), schema, 1)
    mine = Shipper(tmp_path, connect, "n1")
    mine.ship()
    mine.close()
    assert {name for name in _files(tmp_path) if name.startswith("n1.") and "x" not in name} == set(
        _shipped(database, schema)
    )


def test_files_of_groups_that_are_gone_are_removed(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """Both when new lines come and when none do; other groups' files stay."""
    gone, quiet = "rowrace_abcdefgh_1", "rowrace_abcdefgh_2"
    for each in (gone, quiet, schema):
        _write(_runtime(tmp_path), each, 1)
    mine = Shipper(tmp_path, connect)
    (tmp_path / quiet).rename(tmp_path / "aside")
    mine.ship()
    assert {schema, "aside"} == {path.name for path in tmp_path.iterdir()}
    (tmp_path / "aside").rename(tmp_path / quiet)
    mine.sweep()
    mine.close()
    assert {schema} == {path.name for path in tmp_path.iterdir()}
    assert _files(tmp_path) == _shipped(database, schema)


def test_what_is_no_group_s_is_left_alone(connect: Connect, schema: str, tmp_path: Path) -> None:
    """A folder or file with another name is nobody's business."""
    for name in ("rowrace_x", "public", schema):
        (tmp_path / name).mkdir()
    strangers = [tmp_path / "public" / "n1.7.jsonl", tmp_path / "rowrace_x" / "n1.7.jsonl", tmp_path / schema / "a.txt"]
    for path in strangers:
        path.write_bytes(b"[1]\n")
    assert ship_all(tmp_path, connect) == 0
    assert [True] * 3 == [path.exists() for path in strangers]


def test_a_killed_process_loses_nothing(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """SIGKILL right after a line was written: the line is there, and somebody else ships it."""
    code = (
        "import os, signal; from worker import runtime; from worker.contract import ClockLine\n"
        f"runtime.current().journal('{schema}').write(ClockLine(7, 8, 9)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": HOME, "ROWRACE_JOURNAL_DIR": str(tmp_path), "ROWRACE_NODE": "dead"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    ship_all(tmp_path, connect)
    ((file, text),) = _shipped(database, schema).items()
    lines = [msgspec.json.decode(line, type=Line) for line in text.splitlines()]
    assert file.startswith("dead.")
    assert isinstance(lines[0], ProcessLine)
    assert lines[1:] == [ClockLine(7, 8, 9)]


def test_the_command_ships_a_folder(
    database: psycopg.Connection[Any], database_url: str, schema: str, tmp_path: Path
) -> None:
    """`python -m worker.shipper FOLDER` ships what a killed node left."""
    _write(_runtime(tmp_path), schema, 1, 2)
    environment = {**os.environ, "PYTHONPATH": HOME, "ROWRACE_DATABASE_URL": database_url}
    command = [sys.executable, "-m", "worker.shipper", str(tmp_path)]
    done = subprocess.run(command, env=environment, timeout=60, check=False, capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr)
    assert _files(tmp_path) == _shipped(database, schema)


@pytest.mark.parametrize(
    ("arguments", "url", "code"),
    [([], "postgresql://127.0.0.1:1/x", 2), (["."], "", 2), (["."], "postgresql://me:secret@127.0.0.1:1/x", 4)],
)
def test_the_command_says_what_is_wrong(arguments: list[str], url: str, code: int, schema: str, tmp_path: Path) -> None:
    """One sentence, no traceback, no password."""
    _write(_runtime(tmp_path), schema, 1)
    environment = {**os.environ, "PYTHONPATH": HOME, "ROWRACE_DATABASE_URL": url}
    command = [sys.executable, "-m", "worker.shipper", *arguments]
    done = subprocess.run(
        command, env=environment, timeout=60, check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (code, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert "secret" not in done.stderr


def test_a_database_away_for_a_while_disturbs_nobody(
    database: psycopg.Connection[Any],
    connect: Connect,
    schema: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failure is logged once, tried again, and nothing is lost."""
    answers: list[Exception] = [psycopg.OperationalError("away"), psycopg.OperationalError("away")]

    def sometimes() -> psycopg.Connection[Any]:
        if answers:
            raise answers.pop()
        return connect()

    _write(_runtime(tmp_path), schema, 1)
    thread = ShipperThread(Shipper(tmp_path, sometimes, "n1"))
    for _ in range(3):
        thread.once()
    thread.start()
    thread.finish()
    assert _files(tmp_path) == _shipped(database, schema)
    assert len(caplog.records) == 1


def test_the_end_ships_the_rest(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """What was written just before the end is shipped."""
    runtime = _runtime(tmp_path)
    thread = ShipperThread(Shipper(tmp_path, connect, "n1"))
    thread.start()
    _write(runtime, schema, *range(50))
    thread.finish()
    assert _files(tmp_path) == _shipped(database, schema)


def test_the_end_leaves_no_files_of_groups_that_are_gone(
    database: psycopg.Connection[Any], connect: Connect, schema: str, tmp_path: Path
) -> None:
    """A worker that listens for many runs has nothing to keep of those that ended before it."""
    _write(_runtime(tmp_path), schema, 1)
    thread = ShipperThread(Shipper(tmp_path, connect, "n1"))
    thread.once()
    group.drop(database, schema)
    thread.start()
    thread.finish()
    assert [] == list(tmp_path.iterdir())


def test_a_file_that_another_shipper_forgot_is_no_failure(connect: Connect, schema: str, tmp_path: Path) -> None:
    """Two shippers may find the same group gone."""
    runtime = _runtime(tmp_path)
    _write(runtime, schema, 1)
    (path,) = (tmp_path / schema).iterdir()

    class Late(Shipper):
        def _files(self) -> Iterator[Path]:
            yield path

    path.unlink()
    late = Late(tmp_path, connect)
    assert 0 == late.ship()
    late.close()
