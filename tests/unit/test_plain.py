"""The plain form: four kinds of file that say the same, and what each mustn't say."""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from orchestrator.history import plain
from orchestrator.history.lines import MalformedError
from orchestrator.history.plain import csv_lines, json_lines, parquet
from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, NO_VERSION, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.history.transactions import Transactions

ALWAYS = -NEVER

STORY: list[dict[str, Any]] = [
    {"txn": 10, "op": "w", "key": "x", "version": 1, "session": 3, "outcome": "ok", "start": 5, "end": 9, "value": "a"},
    {"txn": 10, "op": "r", "key": "y", "version": 0},
    {"txn": 11, "session": 4, "outcome": "fail", "start": 6, "end": 7},
    {"txn": 12, "op": "r", "key": "x", "version": 1, "session": 3, "start": 10, "end": 12},
    {"txn": 13, "op": "w", "key": "y", "session": 4, "outcome": "info", "start": 8},
    {"txn": 14, "op": "r", "key": "y", "version": 2, "session": 4, "start": 8.0, "end": 9},
]


def csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Lines as CSV."""
    names = [name for name in plain.COLUMNS if any(name in row for row in rows)]
    table = pa.table({name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names})
    written = io.BytesIO()
    pyarrow.csv.write_csv(table, written)
    return written.getvalue()


def _text(value: Any) -> str | None:  # noqa: ANN401 - a cell
    return value if value is None else str(value)


def jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    """Lines as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet_file(rows: Sequence[dict[str, Any]]) -> bytes:
    """Lines as one Parquet file."""
    names = [name for name in plain.COLUMNS if any(name in row for row in rows)]
    written = io.BytesIO()
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), written, row_group_size=2)
    return written.getvalue()


FORMS: dict[str, Callable[[Sequence[dict[str, Any]]], bytes]] = {
    "csv": csv,
    "csv.gz": lambda rows: gzip.compress(csv(rows)),
    "jsonl": jsonl,
    "jsonl.gz": lambda rows: gzip.compress(jsonl(rows)),
    "parquet": parquet_file,
}


def read(tmp_path: Path, content: bytes, name: str = "history") -> Transactions:
    """Write a file and read it; what it is stands in it, not in its name."""
    path = tmp_path / name
    path.write_bytes(content)
    return plain.read(path)


def shown(history: Transactions) -> dict[str, list[Any]]:
    """Columns as lists."""
    names = ("status", "session", "invoke", "complete", "txn", "row", "write", "version")
    return {name: getattr(history, name).tolist() for name in names}


@pytest.mark.parametrize("form", FORMS)
def test_columns_are_of_one_kind(form: str, tmp_path: Path) -> None:
    """What compiled code gets is the same kind of array, whatever was read."""
    history = read(tmp_path, FORMS[form](STORY))
    kinds = {name: str(getattr(history, name).dtype) for name in shown(history)}
    assert {
        **dict.fromkeys(("session", "txn", "row", "version"), "int32"),
        **dict.fromkeys(("invoke", "complete"), "int64"),
        "status": "int8",
        "write": "bool",
    } == kinds
    assert not any(getattr(history, name).flags.writeable for name in kinds)


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_file_tells_the_same_story(form: str, tmp_path: Path) -> None:
    """A history is the same, whatever it is written in."""
    history = read(tmp_path, FORMS[form](STORY))
    expected = {
        "status": [COMMITTED, ABORTED, COMMITTED, UNKNOWN, COMMITTED],
        "txn": [0, 0, 2, 3, 4],
        "row": [0, 1, 0, 1, 1],
        "write": [True, False, False, True, False],
        "version": [1, 0, 1, NO_VERSION, 2],
        "complete": [9, 7, 12, NEVER, 9],
        "invoke": [5, 6, 10, 8, 8],
    }
    found = shown(history)
    assert expected == {name: found[name] for name in expected}
    assert found["session"][0] == found["session"][2] != found["session"][1] == found["session"][3]
    assert {} == history.not_checked
    assert ("transaction 13", "y") == (history.names.transaction(3), history.names.row(1))
    assert ("value a", "", "") == tuple(history.names.version(*which) for which in ((0, 1), (0, 0), (1, 2)))


def test_a_witness_gets_what_the_file_says_of_a_transaction(tmp_path: Path) -> None:
    """Sessions, outcomes and times are told as the file has them."""
    history = read(tmp_path, jsonl(STORY))
    assert {"session": 3, "start": 5, "end": 9} == history.names.details(0)
    assert {"session": 4, "outcome": "info", "start": 8} == history.names.details(3)
    assert {"session": 4, "start": 8, "end": 9} == history.names.details(4)


def test_a_session_ends_at_an_unknown_transaction(tmp_path: Path) -> None:
    """What goes on after one is another session; other sessions stay whole."""
    outcomes = ["ok", "info", "ok", "info", "info", "ok"]
    rows = [{"txn": n, "session": "s", "outcome": outcome} for n, outcome in enumerate(outcomes)]
    rows[3:3] = [{"txn": "other", "session": "t"}]
    rows += [{"txn": "again", "session": "t"}, {"txn": "alone"}]
    session = shown(read(tmp_path, jsonl(rows)))["session"]
    assert session[0] == session[1]
    assert session[2] == session[4]
    assert session[3] == session[7]
    assert -1 == session[8]
    assert 5 == len({session[0], session[2], session[3], session[5], session[6]})


def test_what_is_not_given_is_not_checked(tmp_path: Path) -> None:
    """Without times and sessions there are no such dependencies, and the history says why."""
    rows = [{"txn": "a", "op": "r", "key": 1, "version": 0}]
    history = read(tmp_path, csv(rows))
    assert {"realtime": "no start and end given", "process": "no sessions given"} == history.not_checked
    assert ([ALWAYS], [NEVER], [-1]) == tuple(shown(history)[name] for name in ("invoke", "complete", "session"))
    only_start = read(tmp_path, csv([{**rows[0], "start": 5, "session": 1}]))
    assert {"realtime": "no end given"} == only_start.not_checked


def test_fractions_of_time_keep_their_order(tmp_path: Path) -> None:
    """Times that are no integers are ranked, and equal ones stay equal."""
    times = [(0.5, 1.25), (1.25, None), (None, 0.75), (1.5, 1e18)]
    rows: list[dict[str, Any]] = [{"txn": n, "start": start, "end": end} for n, (start, end) in enumerate(times)]
    for form in ("jsonl", "csv", "parquet"):
        rows[0] |= {"op": "r", "key": 1, "version": 0}
        found = shown(read(tmp_path, FORMS[form](rows)))
        assert ([0, 2, ALWAYS, 3], [2, NEVER, 1, 4]) == (found["invoke"], found["complete"])


def test_versions_far_apart_are_numbered_anew(tmp_path: Path) -> None:
    """Only their order is kept, a gap is not looked for, and people are told the file's own numbers."""
    versions = [7_000_000_000_000, 3_000_000, 0, None, 3_000_000, 5]
    rows = [{"txn": n, "op": "r", "key": n % 2, "version": version} for n, version in enumerate(versions)]
    for written in FORMS.values():
        history = read(tmp_path, written(rows))
        assert [2, 2, 0, NO_VERSION, 1, 1] == shown(history)["version"]
        assert "7000000000000 in the file" == history.names.version(0, 2)
        assert {"realtime", "process", "version-gap"} == set(history.not_checked)


def test_gaps_that_can_be_held_are_kept(tmp_path: Path) -> None:
    """Versions that are near each other keep their numbers, so that gaps show."""
    history = read(tmp_path, csv([{"txn": 1, "op": "w", "key": "x", "version": 900_000}]))
    assert [900_000] == shown(history)["version"]
    assert "version-gap" not in history.not_checked


def test_integers_and_text_may_both_be_keys(tmp_path: Path) -> None:
    """A key is the same whether it is written as an integer or as text, here and in CSV."""
    rows = [{"txn": str(n), "op": "r", "key": key, "version": 0} for n, key in enumerate([5, "x", "5", "05"])]
    for form in ("jsonl", "csv"):
        history = read(tmp_path, FORMS[form](rows))
        assert [0, 1, 0, 2] == shown(history)["row"]
        assert ["5", "x", "05"] == [history.names.row(row) for row in range(3)]


def test_large_keys_become_dense_rows(tmp_path: Path) -> None:
    """Rows are numbered from 0, however large or negative their keys are."""
    rows = [{"txn": n, "op": "r", "key": key, "version": 0} for n, key in enumerate([10**15, -3, 10**15])]
    for written in FORMS.values():
        history = read(tmp_path, written(rows))
        assert [0, 1, 0] == shown(history)["row"]
        assert "-3" == history.names.row(1)


@pytest.mark.parametrize("form", FORMS)
def test_names_may_be_integers_beyond_64_bits(form: str, tmp_path: Path) -> None:
    """They are names: nobody reckons with them."""
    large = 2**64 - 1
    rows = [{"txn": large - n, "op": "r", "key": large - n // 2, "session": large, "version": 0} for n in range(3)]
    if form == "parquet":
        wide = {name: pa.array([row[name] for row in rows], pa.uint64()) for name in ("txn", "key", "session")}
        pq.write_table(pa.table({**wide, "op": ["r"] * 3, "version": [0] * 3}), tmp_path / "history")
        history = plain.read(tmp_path / "history")
    else:
        history = read(tmp_path, FORMS[form](rows))
    assert ([0, 1, 2], [0, 0, 1]) == (shown(history)["txn"], shown(history)["row"])
    assert (str(large), str(large)) == (history.names.row(0), str(history.names.details(2)["session"]))


def test_a_file_of_no_lines_is_an_empty_history(tmp_path: Path) -> None:
    """A header alone is well-formed, and proves nothing."""
    history = read(tmp_path, b"txn,op,key,version\n")
    assert (0, 0) == (history.size, len(history.status))


def test_a_byte_order_mark_and_blank_lines_are_no_fault(tmp_path: Path) -> None:
    """Editors leave these behind."""
    history = read(tmp_path, b"\xef\xbb\xbftxn,op,key,version\r\n\r\n1,r,x,0\r\n\n")
    assert [0] == shown(history)["row"]
    assert [0] == shown(read(tmp_path, b'\xef\xbb\xbf\n{"txn": 1, "op": "r", "key": 2, "version": 0}\n\n'))["version"]


HEADER = b"txn,op,key,version,session,outcome,start,end\n"

FAULTS = {
    "empty": (b"", "history: the file is empty"),
    "missing column": (b"txn,op,key\n1,r,x\n", "line 1: column version is missing"),
    "unknown column": (
        b"txn,op,key,version,sesion\n",
        'line 1: the plain form has no column "sesion"; did you mean session?',
    ),
    "column twice": (b"txn,op,key,version,op\n", "line 1: column op is there twice"),
    "short line": (HEADER + b"\n1,r,x,0,,,,\n2,r,x\n", "line 4: the line has 3 columns, the header has 8"),
    "no txn": (HEADER + b"1,r,x,0,,,,\n,r,x,0,,,,\n", "line 3: txn is missing"),
    "unknown op": (HEADER + b"1,r,x,0,,,,\n2,u,x,0,,,,\n", 'line 3: op is "u", not r, w or p'),
    "no op": (HEADER + b"1,,x,0,,,,\n", "line 2: op is missing; it is one of r, w, p"),
    "no key": (HEADER + b"1,r,x,0,,,,\n1,w,,1,,,,\n", "line 3: key is missing"),
    "text as version": (HEADER + b"1,r,x,0,,,,\n\n1,w,x,one,,,,\n", 'line 4: version is "one", not an integer'),
    "large version": (
        HEADER + b"1,r,x,99999999999999999999,,,,\n",
        'line 2: version is "99999999999999999999", an integer beyond 64 bits',
    ),
    "version without end": (HEADER + b"1,r,x," + b"9" * 5000 + b",,,,\n", "an integer beyond 64 bits"),
    "semicolons": (b"txn;op;key;version\n1;r;x;0\n", "line 1: its columns seem to be separated by semicolons"),
    "semicolons and a comma": (b"txn;op;key;version\n1;r;x,y;0\n", "line 1: its columns seem to be separated by semi"),
    "tabs": (b"txn\top\tkey\tversion\n", "line 1: its columns seem to be separated by tabs; separate them by commas"),
    "bars without a header": (b"1|r|x|0\n", "line 1: its columns seem to be separated by bars"),
    "no header": (
        b"1,r,key,0\n1,w,key,1\n",
        'line 1: the first line must name the columns (txn, op, key, version …), and begins with "1"',
    ),
    "capitals": (b"TXN,op,key,version\n", 'line 1: the plain form has no column "TXN"; did you mean txn?'),
    "negative version": (HEADER + b"1,r,x,-1,,,,\n", "line 2: version is negative"),
    "version 0 written": (HEADER + b"1,r,x,0,,,,\n1,w,x,0,,,,\n", "line 3: version is 0 in a write"),
    "unknown outcome": (HEADER + b"1,r,x,0,,done,,\n", 'line 2: outcome is "done", not ok, fail or info'),
    "two outcomes": (
        HEADER + b"1,r,x,0,,ok,,\n1,w,x,1,,info,,\n",
        "line 3: outcome isn't what the transaction's first",
    ),
    "late outcome": (HEADER + b"1,r,x,0,,,,\n1,w,x,1,,ok,,\n", "line 3: outcome isn't what the transaction's first"),
    "two sessions": (HEADER + b"1,r,x,0,1,,,\n1,w,x,1,2,,,\n", "line 3: session isn't what the transaction's first"),
    "two starts": (HEADER + b"1,r,x,0,,,1,\n1,w,x,1,,,2,\n", "line 3: start isn't what the transaction's first"),
    "two ends": (HEADER + b"1,r,x,0,,,,3\n1,w,x,1,,,,4\n", "line 3: end isn't what the transaction's first"),
    "text as time": (HEADER + b"1,r,x,0,,,noon,\n", 'line 2: start is "noon", not a number'),
    "endless time": (HEADER + b"1,r,x,0,,,1,inf\n", 'line 2: end is "inf", not a finite number'),
    "backwards": (HEADER + b"1,r,x,0,,,1,2\n2,r,x,0,,,3,2\n", "line 3: start is after end"),
    "not together": (HEADER + b"1,r,x,0,,,,\n2,r,x,0,,,,\n1,w,x,1,,,,\n", "line 4: the lines of transaction 1 don't"),
    "text not together": (
        HEADER + b"a,r,x,0,,,,\nb,r,x,0,,,,\na,w,x,1,,,,\n",
        "line 4: the lines of transaction a don't",
    ),
    "session against time": (
        HEADER + b"1,r,x,0,s,,5,6\n2,r,x,0,s,,1,2\n",
        "line 3: the transaction ended before one that",
    ),
    "not UTF-8": (HEADER + b"1,r,x,0,,,,\n2,r,\xff,0,,,,\n", "line 3: the line isn't UTF-8"),
    "not JSON": (b'{"txn": 1}\n{"txn": 2\n', "line 2: isn't JSON"),
    "no object": (b'{"txn": 1}\n\n[2]\n', 'line 3: "[2]" is no object'),
    "JSON: unknown column": (b'{"txn": 1, "when": 2}\n', 'line 1: the plain form has no column "when"'),
    "JSON: no txn": (b'{"txn": 1}\n{"op": "r"}\n', "line 2: txn is missing"),
    "JSON: version": (b'{"txn": 1}\n{"txn": 2, "version": "3"}\n', 'line 2: version is "3", not an integer'),
    "JSON: true": (b'{"txn": true}\n', 'line 1: txn is "true", neither an integer nor text'),
    "JSON: truths": (b'{"txn": 1, "op": [true, null, "a"]}\n', 'line 1: op is "[true, null, "a"]", not text'),
    "JSON: misspelt": (b'{"txn": 1, "sesion": 2}\n', 'no column "sesion"; did you mean session?'),
    "JSON: array": (b'[{"txn": 1}, {"txn": 2}]\n', "line 1: its objects stand in an array; write one object a line"),
    "JSON: array over lines": (b'\n[\n  {"txn": 1},\n  {"txn": 2}\n]\n', "line 2: its objects stand in an array"),
    "JSON: outcome": (b'{"txn": 1}\n\n{"txn": 2, "outcome": "no"}\n', 'line 3: outcome is "no", not ok, fail or info'),
    "JSON: large version": (b'{"txn":1,"op":"r","key":1,"version":9999999999999999999}\n', "beyond 64 bits"),
    "JSON: not UTF-8": (b'{"txn": 1}\n{"txn": "\xff"}\n', "line 2: byte 0xff isn't UTF-8"),
    "cut off gzip": (gzip.compress(HEADER + b"1,r,x,0,,,,\n" * 9)[:-12], "history: the gzip data is cut off"),
    "predicate elsewhere": (
        b"txn,op,key,version,predicate\n1,r,x,0,P\n",
        "line 2: predicate stands on lines with op p only",
    ),
    "no predicate": (b"txn,op,key,version,predicate\n1,p,x,0,\n", "line 2: predicate is missing"),
    "matches elsewhere": (b"txn,op,key,version,matches\n1,r,x,0,P\n", "line 2: matches stands on lines with op w only"),
    "not Parquet": (b"PAR1 or so", "history: can't be read"),
    "Parquet in gzip": (gzip.compress(b"PAR1 or so"), "history: is Parquet inside gzip, which can't be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_line(fault: str, tmp_path: Path) -> None:
    """One sentence names the file, the line and what is wrong."""
    content, said = FAULTS[fault]
    with pytest.raises(MalformedError) as told:
        read(tmp_path, content)
    assert said in str(told.value)
    assert str(told.value).startswith(str(tmp_path / "history"))
    assert 1 == len(str(told.value).splitlines())


COLUMNS: dict[str, Any] = {"txn": [1, 1, 2], "op": ["r", "w", "r"], "key": [1, 1, 1], "version": [0, 1, 1]}

PARQUET_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"version": ["0", "a", "1"]}, 'row 1: version is "a", not an integer'),
    "fraction": ({"version": [0.0, 1.5, 1.0]}, 'row 1: version is "1.5", not an integer'),
    "large": ({"version": pa.array([0, 2**63, 1], pa.uint64())}, "an integer beyond 64 bits"),
    "large fraction": ({"key": [1.0, 1e30, 1.0]}, 'row 1: key is "1e+30", an integer beyond 64 bits'),
    "truth": ({"key": [True, False, True]}, "column key holds bool, not integers or text"),
    "lists": ({"version": [[1], [2], [3]]}, "column version holds list<"),
    "numbers as op": ({"op": [1, 2, 3]}, "column op holds int64, not text"),
    "outcome": ({"outcome": [0, 0, 3]}, "row 2: outcome is none of 0 to 2 (ok, fail, info)"),
    "unknown": ({"keys": [1, 2, 3]}, 'the plain form has no column "keys"; did you mean key?'),
}


@pytest.mark.parametrize("fault", PARQUET_FAULTS)
def test_a_fault_in_parquet_is_told_with_its_row(fault: str, tmp_path: Path) -> None:
    """Columns of wrong types are told, and values by their row."""
    changes, said = PARQUET_FAULTS[fault]
    pq.write_table(pa.table({**COLUMNS, **changes}), tmp_path / "h.parquet")
    with pytest.raises(MalformedError) as told:
        plain.read(tmp_path / "h.parquet")
    assert said in str(told.value)


def test_whole_floats_are_integers(tmp_path: Path) -> None:
    """Some libraries write integers with missing ones among them as floats, and an index as a column."""
    columns = {"txn": [1.0, 1, 2], "session": [7.0, None, 8], "__index_level_0__": [0, 1, 2]}
    pq.write_table(pa.table({**COLUMNS, **columns}), tmp_path / "h.parquet")
    history = plain.read(tmp_path / "h.parquet")
    assert ([0, 0, 1], 7) == (shown(history)["txn"], history.names.details(0)["session"])


@pytest.mark.parametrize("size", [1, 20, 64, 200])
def test_pieces_of_any_size_make_the_same_history(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction may be spread over any number of pieces."""
    rows = [{"txn": n // 7, "op": "r", "key": f"k{n % 3}", "version": n % 2, "session": n // 7 % 2} for n in range(50)]
    rows[40]["key"] = 3
    whole = shown(read(tmp_path, csv(rows)))
    monkeypatch.setattr(csv_lines, "_BLOCK", max(size, 60))
    monkeypatch.setattr(json_lines, "_BLOCK", size)
    monkeypatch.setattr(parquet, "_ROWS", size)
    assert whole == shown(read(tmp_path, csv(rows)))
    assert whole == shown(read(tmp_path, jsonl(rows)))
    bad = [*rows, {"txn": 3, "op": "r", "key": "k", "version": 0}]
    with pytest.raises(MalformedError, match="line 51: the lines of transaction 3 don't stand together"):
        read(tmp_path, jsonl(bad))
    with pytest.raises(MalformedError, match='line 42: version is "x", not an integer'):
        read(tmp_path, csv([*rows[:40], {**rows[40], "version": "x"}, *rows[41:]]))
