"""Foreign histories: which form a path holds, what judging it takes, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rowrace
from orchestrator import foreign
from orchestrator.errors import UsageError
from orchestrator.foreign import Format, format_of, judged, level_of, needed
from orchestrator.memory import available
from orchestrator.reports.result import Exit
from orchestrator.verifier.dependencies import LEVELS
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from pathlib import Path

EVENT = {"index": 0, "type": "ok", "process": 0, "f": "txn", "value": [["append", "x", 1], ["r", "x", [1]]]}
INVOKED = {**EVENT, "index": 0, "type": "invoke", "value": [["append", "x", 1], ["r", "x", None]]}
LINE = '{"txn": 1, "op": "r", "key": "x", "version": 0}\n'

CONTENTS = {
    "edn": (b"{:type :ok, :process 0}", Format.LIST_APPEND),
    "edn vector": (b"[ {:type :ok, :process 0}]", Format.LIST_APPEND),
    "edn record": (b"#jepsen.history.Op{:index 0}", Format.LIST_APPEND),
    "json event": (json.dumps(EVENT).encode(), Format.LIST_APPEND),
    "json events": (json.dumps([INVOKED, EVENT], indent=1).encode(), Format.LIST_APPEND),
    "a long json event": (json.dumps({**EVENT, "value": [["r", 1, list(range(50_000))]]}).encode(), Format.LIST_APPEND),
    "json line": (LINE.encode(), Format.PLAIN),
    "json line with a value": (b'\n{"value": "five", "type": 3, "txn": 1}', Format.PLAIN),
    "csv": (b'"op","txn",key,version\n', Format.PLAIN),
    "csv with a mark": (b"\xef\xbb\xbftxn,op\r\n1,r", Format.PLAIN),
    "csv with tabs": (b"op\ttxn\tkey\n", Format.PLAIN),
    "csv without a header": (b"1,r,x,0\n", Format.PLAIN),
    "json lines in an array": (b"[" + LINE.encode() + b"]", Format.PLAIN),
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("packed", [False, True])
def test_the_content_says_what_a_file_is(content: str, packed: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Names need say nothing, and gzip is seen through."""
    written, expected = CONTENTS[content]
    (tmp_path / "history").write_bytes(gzip.compress(written) if packed else written)
    assert expected == format_of(tmp_path / "history")


@pytest.mark.parametrize(("name", "expected"), [("h.edn", Format.LIST_APPEND), ("h.csv.gz", Format.PLAIN)])
def test_a_name_says_what_the_content_leaves_open(name: str, expected: Format, tmp_path: Path) -> None:
    """An empty file is what it is called."""
    (tmp_path / name).write_bytes(b"")
    assert expected == format_of(tmp_path / name)


def test_folders_are_told_apart_by_their_files(tmp_path: Path) -> None:
    """A run has a group.json in it or one level below, a plain history its two tables."""
    for name in ("run/1-credits/group.json", "group/group.json", "plain/transactions.parquet"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = [format_of(tmp_path / name) for name in ("run", "group", "plain")]
    assert [Format.RUN, Format.RUN, Format.PLAIN] == found


def test_parquet_is_plain(tmp_path: Path) -> None:
    """No other form is written so."""
    pq.write_table(pa.table({"txn": [1]}), tmp_path / "history")
    assert Format.PLAIN == format_of(tmp_path / "history")


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b'{"a": 1}\n', b"[1, 2]", b'{"type": "ok"}'])
def test_what_is_no_history_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    """Whoever knows better can say so."""
    (tmp_path / "history").write_bytes(content)
    with pytest.raises(UsageError, match=r"neither list-append nor the plain form.*--format"):
        format_of(tmp_path / "history")


def test_a_folder_without_a_history_is_one_sentence(tmp_path: Path) -> None:
    """What was looked for is named."""
    with pytest.raises(UsageError, match=r"no group.json in it or one folder below, and no transactions.parquet"):
        format_of(tmp_path)


def test_nothing_there_is_one_sentence(tmp_path: Path) -> None:
    """Whether or not the form is given."""
    with pytest.raises(UsageError, match="there is no such folder or file"):
        format_of(tmp_path / "none")
    with pytest.raises(UsageError, match="there is no such folder or file"):
        foreign.read(tmp_path / "none", Format.PLAIN)


def test_a_pipe_can_be_read_once_only(tmp_path: Path) -> None:
    """So whoever has one makes a file of it, which is gone afterwards; a fault in it names the pipe."""
    os.mkfifo(tmp_path / "pipe")
    for refused in (partial(format_of, tmp_path / "pipe"), partial(foreign.read, tmp_path / "pipe", Format.PLAIN)):
        with pytest.raises(UsageError, match="pipe: is neither a file nor a folder; write the history into a file"):
            refused()
    writer = Thread(daemon=True, target=(tmp_path / "pipe").write_bytes, args=[b"txn,op,key,version\n1,r,x,-2\n"])
    writer.start()
    with (
        pytest.raises(UsageError, match=f"^{tmp_path / 'pipe'}, line 2: version is negative"),
        foreign.seekable(tmp_path / "pipe") as file,
    ):
        foreign.read(file, format_of(file))
    writer.join()
    assert not file.parent.exists()


def test_a_pipe_without_room_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is told."""

    def copy(*_: object) -> None:
        raise OSError(28, "No space left on device")

    os.mkfifo(tmp_path / "pipe")
    writer = Thread(daemon=True, target=(tmp_path / "pipe").write_bytes, args=[b""])
    writer.start()
    monkeypatch.setattr("shutil.copyfileobj", copy)
    said = r"pipe: can't be copied into a temporary file \(No space left on device\)"
    with pytest.raises(UsageError, match=said), foreign.seekable(tmp_path / "pipe"):
        raise NotImplementedError
    writer.join()


def test_a_file_is_read_where_it_is(tmp_path: Path) -> None:
    """Nothing is copied that can be read twice."""
    (tmp_path / "h").touch()
    with foreign.seekable(tmp_path / "h") as file:
        assert tmp_path / "h" == file


def test_a_cut_off_gzip_file_is_one_sentence(tmp_path: Path) -> None:
    """Damage is told before the form is asked about."""
    (tmp_path / "h").write_bytes(gzip.compress(LINE.encode() * 99)[:20])
    with pytest.raises(UsageError, match="the gzip data is cut off"):
        format_of(tmp_path / "h")


def test_an_unknown_level_lists_the_known_ones() -> None:
    """One sentence, with every name that there is."""
    with pytest.raises(UsageError) as told:
        level_of("serialisable")
    assert str(told.value).startswith("Unknown level serialisable; did you mean serializable? All levels are ")
    assert all(name in str(told.value) for name in LEVELS)
    assert "strong-serializable" == level_of("strict-serializable")


@pytest.mark.parametrize(
    ("lines", "value", "code"),
    [
        (
            '{"txn":1,"op":"w","key":1,"version":1}\n{"txn":2,"op":"r","key":1,"version":1}\n',
            Value.VALID,
            Exit.AS_EXPECTED,
        ),
        ('{"txn":1,"op":"r","key":1,"version":1}\n', Value.INVALID, Exit.NOT_AS_EXPECTED),
        ('{"txn":1,"op":"w","key":1,"version":1}\n', Value.UNKNOWN, Exit.UNKNOWN),
    ],
)
def test_a_history_is_judged(lines: str, value: Value, code: Exit, tmp_path: Path) -> None:
    """What the dependencies say becomes the exit code; nothing looked at is not success."""
    (tmp_path / "h").write_text(lines, encoding="utf-8")
    judgement = judged(tmp_path / "h", Format.PLAIN)
    assert (value, code) == (judgement.value, foreign.exit_code(judgement))


def test_the_public_api_judges_a_history(tmp_path: Path) -> None:
    """People's own tests need no command line."""
    lost = "txn,op,key,version\n1,r,x,0\n1,w,x,1\n2,r,x,0\n2,w,x,2\n"
    (tmp_path / "h").write_text(lost, encoding="utf-8")
    found = [rowrace.verify(tmp_path / "h", level).value for level in (None, "read-committed")]
    assert [Value.INVALID, Value.VALID] == found


def test_malformed_input_is_one_sentence_with_its_line(tmp_path: Path) -> None:
    """The reader's fault, told as wrong usage is."""
    (tmp_path / "h").write_text("txn,op,key,version\n1,r,x,-2\n", encoding="utf-8")
    with pytest.raises(UsageError) as told:
        foreign.read(tmp_path / "h", Format.PLAIN)
    assert f"{tmp_path / 'h'}, line 2: version is negative." == str(told.value)


def test_memory_grows_with_the_micro_operations(tmp_path: Path) -> None:
    """Each kind of file is estimated alike: by its lines, packed or not, or by its rows."""
    lines, each = 20_000, 48 + 64
    text = "txn,op,key,version\n" + "12345,r,678,9\n" * lines
    (tmp_path / "csv").write_text(text, encoding="utf-8")
    (tmp_path / "csv.gz").write_bytes(gzip.compress(text.encode()))
    columns = {name: [1] * lines for name in ("txn", "key", "version")}
    pq.write_table(pa.table({**columns, "op": ["r"] * lines}), tmp_path / "parquet")
    (tmp_path / "folder").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "folder" / "operations.parquet")
    pq.write_table(pa.table({"outcome": [0]}), tmp_path / "folder" / "transactions.parquet")
    found = [needed(tmp_path / name, Format.PLAIN) - 150_000_000 for name in ("csv", "csv.gz", "parquet", "folder")]
    assert [pytest.approx(each * lines, rel=0.01)] * 4 == found


def test_list_append_is_estimated_by_its_text(tmp_path: Path) -> None:
    """Lists take memory as they take room in the file; micro-operations stand there twice."""
    text = (json.dumps(INVOKED) + "\n" + json.dumps(EVENT) + "\n") * 1000
    (tmp_path / "h").write_text(text, encoding="utf-8")
    (tmp_path / "h.gz").write_bytes(gzip.compress(text.encode()))
    expected = 150_000_000 + 2 * len(text) + 64 * 2 * 1000
    assert [expected] * 2 == [needed(tmp_path / name, Format.LIST_APPEND) for name in ("h", "h.gz")]


def test_values_take_memory_too(tmp_path: Path) -> None:
    """Text that is kept for witnesses counts as it is."""
    (tmp_path / "h").write_text('txn,op,key,version,value\n1,w,x,1,"' + "v" * 5000 + '"\n', encoding="utf-8")
    assert needed(tmp_path / "h", Format.PLAIN) > 150_005_000


def test_what_does_not_fit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence gives both figures."""
    (tmp_path / "h").write_text("txn,op,key,version\nno history at all", encoding="utf-8")
    monkeypatch.setattr(foreign, "available", lambda: 50_000_000)
    with pytest.raises(UsageError) as told:
        foreign.read(tmp_path / "h", Format.PLAIN)
    said = "judging it takes about 150 MB of memory, and 50 MB are available; judge it where there is more."
    assert f"{tmp_path / 'h'}: {said}" == str(told.value)


def test_memory_that_ends_all_the_same_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate can be too low."""

    def read(path: Path, *, ordered: bool) -> None:
        raise MemoryError(path, ordered)

    (tmp_path / "h").write_text(LINE, encoding="utf-8")
    monkeypatch.setattr("orchestrator.history.plain.read", read)
    with pytest.raises(UsageError, match="not enough memory"):
        judged(tmp_path / "h", Format.PLAIN)


def test_what_can_t_be_opened_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own reason is told."""

    def needed(path: Path, _: Format) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "h").write_text(LINE, encoding="utf-8")
    monkeypatch.setattr(foreign, "needed", needed)
    with pytest.raises(UsageError, match=r"h: can't be read \(Permission denied\)"):
        foreign.read(tmp_path / "h", Format.PLAIN)


def groups(tmp_path: Path, own: str, files: dict[str, str]) -> int:
    """What is available where control groups look like this."""
    (tmp_path / "own").write_text(own, encoding="utf-8")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return available(tmp_path / "groups", tmp_path / "own")


def test_a_control_group_s_limit_counts(tmp_path: Path) -> None:
    """Version 2: the narrowest group on the way up; what is given back on demand is there."""
    files = {
        "groups/a/memory.max": "9000\n",
        "groups/a/memory.current": "8000\n",
        "groups/a/memory.stat": "anon 1\ninactive_file 500\n",
        "groups/a/b/memory.max": "max\n",
        "groups/a/b/memory.current": "10\n",
    }
    assert 1500 == groups(tmp_path, "0::/a/b\n", files)


def test_an_old_control_group_s_limit_counts(tmp_path: Path) -> None:
    """Version 1 has other names for the same."""
    files = {
        "groups/memory/c/memory.limit_in_bytes": "7000\n",
        "groups/memory/c/memory.usage_in_bytes": "2000\n",
        "groups/memory/c/memory.stat": "total_inactive_file 25\n",
    }
    assert 5025 == groups(tmp_path, "5:cpu:/\n4:cpuset,memory:/c\n", files)


def test_without_control_groups_the_machine_counts(tmp_path: Path) -> None:
    """Where there are none, or no limits, nothing is lost."""
    assert 2**20 < available(tmp_path / "groups", tmp_path / "none")
    assert 2**20 < groups(tmp_path, "0::/\n", {})


#: A read and a write over it, without times or sessions, of a row that was there before.
LIVE = "txn,op,key,version\nA,r,x,57\nA,w,x,58\nB,r,x,58\nB,w,x,60\n"


def test_a_model_of_times_is_not_claimed_without_any(tmp_path: Path) -> None:
    """Nobody looked at real time where none is recorded: not VALID; what needs none can be."""
    path = tmp_path / "h.csv"
    path.write_text("txn,op,key,version\nA,w,x,1\nB,r,x,1\n", encoding="utf-8")
    plain_ = Format.PLAIN
    assert (Value.VALID, "serializable") == (judged(path, plain_).value, judged(path, plain_).level)
    assert Value.UNKNOWN is judged(path, plain_, "strict-serializable").value
    assert Value.UNKNOWN is judged(path, plain_, "strong-session-serializable").value
    path.write_text("txn,op,key,version,session\nA,w,x,1,1\nB,r,x,1,1\n", encoding="utf-8")
    assert "strong-session-serializable" == judged(path, plain_).level
    path.write_text("txn,op,key,version,start,end\nA,w,x,1,1,2\nB,r,x,1,3,4\n", encoding="utf-8")
    assert (Value.VALID, "strong-serializable") == (judged(path, plain_).value, judged(path, plain_).level)


def test_versions_that_are_an_order_alone_may_begin_anywhere(tmp_path: Path) -> None:
    """A row that was there before the history is at its initial state, and gaps are none."""
    path = tmp_path / "h.csv"
    path.write_text(LIVE, encoding="utf-8")
    assert {"garbage-read": 1, "version-gap": 58} == judged(path, Format.PLAIN).anomalies
    judgement = judged(path, Format.PLAIN, ordered=True)
    assert (Value.VALID, {}) == (judgement.value, judgement.anomalies)
    assert any("version-gap" in sentence for sentence in judgement.not_checked)
    path.write_text(LIVE.replace("B,r,x,58", "B,r,x,57"), encoding="utf-8")
    assert {"G-single-item": 1, "lost-update": 1} == judged(path, Format.PLAIN, ordered=True).anomalies


@pytest.mark.parametrize("name", ["Serializable", "snapshot isolation", "READ_COMMITTED", "strict-serializable"])
def test_a_level_s_name_may_be_written_as_people_do(name: str) -> None:
    """Case, spaces and underscores make no other level."""
    assert level_of(name) in LEVELS
