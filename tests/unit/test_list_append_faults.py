"""Whatever is wrong with a list-append history is said in one sentence with file and line."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.history import HistoryError, list_append
from orchestrator.history.lines import MalformedError
from tests.unit.lists import events, written

if TYPE_CHECKING:
    from pathlib import Path

OK = '{"type": "ok", "process": 0, "value": [["append", "x", 1]]}\n'
NO_TRANSACTION = ": holds no transaction: no event has an integer process and a list of appends"


def fault(path: Path) -> str:
    """What is said of a file, without the folder."""
    with pytest.raises(HistoryError) as caught:
        list_append.read(path)
    return str(caught.value).removeprefix(f"{path.parent}/")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"type": "okay", "process": 0}', ', line 2: "type" is "okay", not invoke, ok, fail or info'),
        ('{"process": 0, "value": []}', ', line 2: has no "type"'),
        ('{"type": "ok", "value": []}', ', line 2: has no "process"'),
        ('{"type": 7, "process": 0}', ', line 2: "type" is 7, not invoke, ok, fail or info'),
        ('{"type": "ok", "process": 0}', ', line 2: "value" is null, not a list of micro-operations'),
        ('{"type": "ok", "process": 0, "value": [], "index": "a"}', ', line 2: "index" is "a", not an integer'),
        (
            '{"type": "ok", "process": 0, "value": [["w", 1, 2]]}',
            ', line 2: ["w",1,2] is neither [append key element] nor [r key list]',
        ),
        (
            '{"type": "ok", "process": 0, "value": [["r", 1]]}',
            ', line 2: ["r",1] is neither [append key element] nor [r key list]',
        ),
        (
            '{"type": "ok", "process": 0, "value": [["append", 1, true]]}',
            ", line 2: appends true to a key, which is neither an integer nor a string",
        ),
        (
            '{"type": "ok", "process": 0, "value": [["r", 1, 2]]}',
            ", line 2: reads 2, which is no list of integers and strings",
        ),
        (
            '{"type": "ok", "process": 0, "value": [["r", 1, [null]]]}',
            ", line 2: reads [null], which is no list of integers and strings",
        ),
        (
            '{"type": "ok", "process": 0, "value": [["r", null, [1]]]}',
            ", line 2: the key null is neither an integer nor a string",
        ),
        ("[1]", ", line 2: is no map with type, process and value"),
        ('{"type": "ok", ', ", line 2: isn't JSON (Input data was truncated)"),
        ('{"type": okay}', ", line 2: isn't JSON (invalid character (byte 9))"),
        ("[" * 100_000, ", line 2: isn't JSON (values are nested too deeply)"),
        (OK, ', line 2: appends 1 to key "x" again, which line 1 appended already'),
        (
            '{"type": "ok", "process": 0, "value": [["append", 7, 1], ["append", 7, 1]]}',
            ", line 2: appends 1 to key 7 twice",
        ),
    ],
)
def test_a_line_of_json_that_is_wrong(tmp_path: Path, content: str, expected: str) -> None:
    """The first such line is named."""
    path = tmp_path / "h.jsonl"
    path.write_text(f"{OK}{content}\n{OK}")
    assert fault(path) == f"h.jsonl{expected}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{:type :okay, :process 0}", ', line 2: "type" is "okay", not invoke, ok, fail or info'),
        ("{:type :ok, :process 0, :value 1}", ', line 2: "value" is 1, not a list of micro-operations'),
        (
            "{:type :ok, :process 0, :value [[:r 1 [:a nil]]]}",
            ", line 2: reads [:a nil], which is no list of integers and strings",
        ),
        ("{:type :ok, :process 0, :value []} 7", ", line 2: event 3: is no map with type, process and value"),
        ("{:type :ok]", ", line 2: isn't EDN (a map is closed by ])"),
        ("{:type :ok\n\n:process 0", ", line 2: isn't EDN (a map isn't closed)"),
        ('{:type "ok', ", line 2: isn't EDN (a string isn't closed)"),
        ("txn,op,key", ", line 2: is no map with type, process and value"),
    ],
)
def test_a_line_of_edn_that_is_wrong(tmp_path: Path, content: str, expected: str) -> None:
    """The line is named on which what isn't closed began."""
    path = tmp_path / "h.edn"
    path.write_text("{:type :ok, :process 0, :value [[:append 1 1]]}\n" + content + "\n")
    assert fault(path) == f"h.edn{expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0> ax1 | 0> ax2", ", line 2: process 0 invokes again, though its invocation (line 1) is still open"),
        (
            "0> ax1 | 0+ ax1 rx1",
            ", line 2: has 2 micro-operations, but its invocation (line 1) has 1",
        ),
        (
            "1> rx | 0> ax1 rx | 0+ ax1 ry1",
            ', line 3: micro-operation 2 is [r "y" [1]], but its invocation (line 2) has [r "x" nil]',
        ),
        (
            "0> ax1 | 0+ ax2",
            ', line 2: micro-operation 1 is [append "x" 2], but its invocation (line 1) has [append "x" 1]',
        ),
        (
            "0> ax1 | 0+ rx1",
            ', line 2: micro-operation 1 is [r "x" [1]], but its invocation (line 1) has [append "x" 1]',
        ),
        (
            "0> rx | 0+ ax1",
            ', line 2: micro-operation 1 is [append "x" 1], but its invocation (line 1) has [r "x" nil]',
        ),
        (
            "0> ax1 | 0? ax1 | 1> ax1",
            ', line 3: appends 1 to key "x" again, which line 1 appended already',
        ),
    ],
)
def test_events_that_contradict_each_other(tmp_path: Path, text: str, expected: str) -> None:
    """Both lines are named."""
    assert fault(written(tmp_path, events(text))) == f"h.jsonl{expected}"


def test_events_stand_in_the_order_of_their_indexes(tmp_path: Path) -> None:
    """Else nobody knows what came first."""
    wrong = [{**event, "index": index} for event, index in zip(events("0= ax1"), (7, 5), strict=True)]
    assert fault(written(tmp_path, wrong)) == "h.jsonl, line 2: index 5 comes after index 7; events must stand in order"


def test_events_without_an_index_may_say_minus_one(tmp_path: Path) -> None:
    """As Jepsen does before it numbers them."""
    unnumbered = [{**event, "index": -1} for event in events("0= ax1")]
    assert list_append.read(written(tmp_path, unnumbered)).names.transaction(0) == "line 2, process 0"


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_names_event_or_line(tmp_path: Path, indent: int | None) -> None:
    """An event's number where all stand on one line, the line where each has its own."""
    path = tmp_path / "h.json"
    path.write_text(json.dumps([*events("0= ax1 | 1= ax2"), {"type": "no", "process": 0}], indent=indent))
    place = "line 1: event 5: " if indent is None else "line 50: "
    assert fault(path) == f'h.json, {place}"type" is "no", not invoke, ok, fail or info'
    path.write_text(json.dumps(events("0= ax1 | 1= ax1"), indent=indent))
    expected = {
        None: 'line 1: event 4: appends 1 to key "x" again, which event 1 appended already',
        1: 'line 38: appends 1 to key "x" again, which line 2 appended already',
    }
    assert fault(path) == f"h.json, {expected[indent]}"


def test_one_line_of_edn_names_the_event(tmp_path: Path) -> None:
    """As an array of JSON does."""
    path = tmp_path / "h.edn"
    path.write_text("[{:type :ok, :process 0, :value []} {:type :no, :process 0, :value []}]")
    assert fault(path) == 'h.edn, line 1: event 2: "type" is "no", not invoke, ok, fail or info'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"type": "ok"},\n{"type": ]', ", line 2: isn't JSON (invalid character (byte 26))"),
        (b'[{"type": "ok"},\n{"type": "ok"', ", line 2: isn't JSON (Input data was truncated)"),
        (b'[{"type": "ok"},\n\n{"type": "\xff"', ", line 3: byte 0xff isn't UTF-8"),
        (OK.encode() + b'{"note": "\xff"}', ", line 2: byte 0xff isn't UTF-8"),
        (b'{:type :ok\n"\xff"}', ", line 2: byte 0xff isn't UTF-8"),
        (b"", NO_TRANSACTION),
        (b"[]", NO_TRANSACTION),
        (b"{:type :info, :process :nemesis, :f :kill}", NO_TRANSACTION),
        (b'{"type": "ok", "process": 0, "f": "transfer", "value": {"from": 1}}', NO_TRANSACTION),
        (gzip.compress(OK.encode() * 100)[:-20], ": the gzip data is cut off"),
        (b"\x1f\x8b\x00" * 9, ": the gzip data is damaged"),
        (gzip.compress(OK.encode())[:-5] + b"12345", ": the gzip data is damaged"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, content: bytes, expected: str) -> None:
    """Whatever it holds, it is one sentence and no traceback."""
    path = tmp_path / "h"
    path.write_bytes(content)
    assert fault(path) == f"h{expected}"


def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """The fault names the line after the last one that was there."""
    path = tmp_path / "h.jsonl.gz"
    whole = gzip.compress(b"".join(b'{"f": %d}\n' % number for number in range(50_000)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MalformedError, match=r"line \d+: the gzip data is cut off") as caught:
        list_append.read(path)
    assert caught.value.line > 10_000


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The system's reason is given."""
    assert fault(tmp_path / "none") == "none: can't be read (No such file or directory)"
    assert fault(tmp_path) == f"{tmp_path.name}: can't be read (Is a directory)"


def test_a_fault_tells_its_line(tmp_path: Path) -> None:
    """For those who want to show the line itself."""
    path = tmp_path / "h.jsonl"
    path.write_text(OK + OK)
    with pytest.raises(MalformedError) as caught:
        list_append.read(path)
    assert (caught.value.path, caught.value.line) == (path, 2)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is written over and over."""
    return tmp_path_factory.mktemp("damaged") / "h"


@settings(deadline=None)
@given(st.data())
def test_damage_is_never_worse_than_a_fault(damaged: Path, data: st.DataObject) -> None:
    """However some bytes are changed, the file reads, or one line says why not."""
    history = events("0= ax1 rx1 | 1> ax2 rx | 0= rx1 ax3 | 1+ ax2 rx132 | 2> ay1 | 2? ay1 | 3= ry1 rx132")
    json_lines = "\n".join(map(json.dumps, history))
    edn_lines = re.sub(r'"(\w+)":?', r":\1", json_lines).replace("null", "nil")
    content = data.draw(st.sampled_from([json_lines, edn_lines, json.dumps(history), f"[{edn_lines}]"])).encode()
    if data.draw(st.booleans()):
        content = gzip.compress(content, mtime=0)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        put = data.draw(st.sampled_from([b"", b"[", b"}", b'"', b"\\", b"#_", b":", b"7", b"\n", b"\xff", b"nil"]))
        content = content[:at] + put + content[at + data.draw(st.integers(0, 3)) :]
    damaged.write_bytes(content)
    try:
        list_append.read(damaged)
    except MalformedError as error:
        assert str(error).count("\n") == 0  # noqa: PT017 (reading may as well go well)


def test_what_is_quoted_is_short_and_on_one_line(tmp_path: Path) -> None:
    """A fault stays one sentence, whatever the file holds."""
    path = tmp_path / "h.jsonl"
    path.write_text(json.dumps({"type": "a\n" + "b" * 1000, "process": 0}))
    quote = "a\N{REPLACEMENT CHARACTER}" + "b" * 57 + "…"
    assert fault(path) == f'h.jsonl, line 1: "type" is "{quote}", not invoke, ok, fail or info'
