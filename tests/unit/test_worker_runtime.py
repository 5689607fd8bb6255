"""What a process keeps: tokens, slots, journals, and who stands in for it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NoReturn

import msgspec
import pytest

from worker import config, journal, runtime
from worker.contract import COUNTER_BITS, ClockLine, Line, ProcessLine
from worker.errors import LostConnection, PoolTimeout
from worker.runtime import OPEN_JOURNALS, Identity, ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from worker.errors import RowraceError


def _runtime(folder: Path) -> ProcessRuntime:
    return ProcessRuntime(config.Config(journal_dir=folder), Identity("node.1@here", "threads"))


def test_tokens_count_under_the_process_id(tmp_path: Path) -> None:
    """A token's high bits are the process's, its low bits count from 1."""
    process = _runtime(tmp_path)
    tokens = [process.token() for _ in range(3)]
    assert [(process.process, 1), (process.process, 2), (process.process, 3)] == [
        (token >> COUNTER_BITS, token & ((1 << COUNTER_BITS) - 1)) for token in tokens
    ]


def test_tokens_fit_a_signed_64_bit_column_and_are_never_nobody(tmp_path: Path) -> None:
    """Every token is positive and below 2**63."""
    assert all(0 < _runtime(tmp_path).token() < 2**63 for _ in range(100))


def test_each_thread_has_a_slot_of_its_own(tmp_path: Path) -> None:
    """Slots number threads from 0, and a thread keeps its number."""
    process = _runtime(tmp_path)
    seen: list[tuple[int, int]] = []

    def ask() -> None:
        seen.append((process.slot(), process.slot()))

    for _ in range(3):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert [(0, 0), (1, 1), (2, 2)] == seen


def test_an_installed_runtime_stands_in_for_the_process_s_own(tmp_path: Path) -> None:
    """Within the block the other runtime is current, afterwards it is not."""
    other = _runtime(tmp_path)
    before = runtime.current()
    with runtime.install(other):
        assert other is runtime.current()
    assert before is runtime.current()


def test_a_journal_s_first_line_names_its_process(tmp_path: Path) -> None:
    """A file begins with one process line, however often it is opened."""
    process = _runtime(tmp_path)
    schema = "rowrace_abcd_1"
    process.journal(schema).write(ClockLine(1, 2, 3))
    process.close()
    process.journal(schema).write(ClockLine(4, 5, 6))
    (path,) = (tmp_path / schema).iterdir()
    lines = [msgspec.json.decode(line, type=Line) for line in path.read_bytes().splitlines()]
    assert [ProcessLine, ClockLine, ClockLine] == [type(line) for line in lines]


def test_a_fleet_that_serves_many_runs_keeps_few_journals_open(tmp_path: Path) -> None:
    """The oldest journal is closed, and opened again when it is needed."""
    process = _runtime(tmp_path)
    schemas = [f"rowrace_abcd_{number}" for number in range(OPEN_JOURNALS + 3)]
    for schema in [*schemas, schemas[0]]:
        process.journal(schema).write(ClockLine(1, 2, 3))
    lines = [len(path.read_bytes().splitlines()) for path in sorted(tmp_path.glob("*/*.jsonl"))]
    assert sorted([3] + [2] * (OPEN_JOURNALS + 2)) == sorted(lines)


def test_journal_folders_are_private(tmp_path: Path) -> None:
    """Nobody else may read what a run wrote; folders that exist are left alone."""
    tmp_path.chmod(0o755)
    _runtime(tmp_path / "new").journal("rowrace_abcd_1")
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "new", tmp_path / "new" / "rowrace_abcd_1")]
    assert [0o755, 0o700, 0o700] == modes


@pytest.mark.parametrize(
    ("node", "file", "found"),
    [
        ("node1", "node1.77.jsonl", "node1"),
        ("node.1@a.b", "node.1@a.b.77.jsonl", "node.1@a.b"),
        ("../up", ".._up.77.jsonl", ".._up"),
    ],
)
def test_a_file_s_name_tells_its_node(node: str, file: str, found: str) -> None:
    """A node's name may hold dots but leads out of no folder."""
    assert (file, found) == (journal.file_name(node, 77), journal.node_of(file))


@pytest.mark.parametrize("file", ["node1.jsonl", "node1.x.jsonl", "node1.77.txt", ".jsonl"])
def test_other_files_are_no_journals(file: str) -> None:
    """A file that is not named like a journal belongs to no node."""
    assert journal.node_of(file) is None


def test_the_environment_gives_the_settings(tmp_path: Path) -> None:
    """Every variable is read; the rest has a default."""
    found = config.read(
        {
            "ROWRACE_DATABASE_URL": "postgresql://me:secret@db/x",
            "ROWRACE_BROKER_URL": "redis://:secret@b/0",
            "ROWRACE_JOURNAL_DIR": str(tmp_path),
            "ROWRACE_NODE": "n7",
            "ROWRACE_VISIBILITY_TIMEOUT": "2.5",
            "ROWRACE_PREFETCH": "4",
        }
    )
    assert (tmp_path, "n7", 2.5, 4) == (found.journal_dir, found.node, found.visibility_timeout, found.prefetch)
    assert "secret" not in repr(found)


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan"])
def test_a_malformed_number_is_named(value: str) -> None:
    """The sentence names the variable."""
    with pytest.raises(config.ConfigError, match="ROWRACE_PREFETCH must be a number"):
        config.read({"ROWRACE_PREFETCH": value})


def test_two_databases_never_share_the_default_folder() -> None:
    """A shipper removes files of groups that its database doesn't know: they must not be another database's."""
    one, two = (config.read({"ROWRACE_DATABASE_URL": f"postgresql://h/{name}"}) for name in ("a", "b"))
    assert one.journal_dir != two.journal_dir


def test_a_line_after_a_torn_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full a part of a line may be written: that is an error, and the next line starts anew."""
    torn = journal.FileJournal(tmp_path, ProcessLine(7, "n", "here", 1, "solo"))
    with monkeypatch.context() as patch:
        patch.setattr("worker.journal.os.write", lambda file, data, write=os.write: write(file, data[:9]))
        with pytest.raises(OSError, match="in part only"):
            torn.write(ClockLine(1, 2, 3))
    torn.write(ClockLine(4, 5, 6))
    assert [b'["clock",', b'["clock",4,5,6]'] == torn.path.read_bytes().splitlines()[1:]


def test_a_line_that_another_thread_writes_beside_a_torn_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that comes between the half and the note of it waits, and starts anew."""
    shared = journal.FileJournal(tmp_path, ProcessLine(7, "n", "here", 1, "threads"))
    other = threading.Thread(target=shared.write, args=(ClockLine(4, 5, 6),))

    def write(file: int, data: bytes, write: Callable[[int, bytes], int] = os.write) -> int:
        written = write(file, data)
        if other.ident is None:
            other.start()
            other.join(0.2)
        return written

    monkeypatch.setattr("worker.journal.os.write", write)
    shared.tear(ClockLine(1, 2, 3))
    other.join()
    assert [b'["clock', b'["clock",4,5,6]'] == shared.path.read_bytes().splitlines()[1:]


@pytest.mark.parametrize("error", [LostConnection(in_commit=False), PoolTimeout()])
def test_a_process_ends_though_it_gets_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RowraceError
) -> None:
    """Its last clock reading is missing, and whatever else is to be done at its end is done."""
    made = _runtime(tmp_path)
    made.journal("rowrace_abcd_1")

    def connect() -> NoReturn:
        raise error

    monkeypatch.setattr(made, "connect", connect)
    made.finish()
