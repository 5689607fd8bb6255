"""The plain form as a folder of Parquet, which is written and read without a detour over lines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.history import plain
from orchestrator.history.lines import MalformedError
from orchestrator.history.transactions import NEVER, NO_VERSION, UNKNOWN, Transactions
from tests.unit.test_plain import FORMS, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSACTIONS: dict[str, Any] = {
    "session": [0, 1, 0],
    "outcome": ["ok", "info", None],
    "start": [1, 2, 9],
    "end": [5, 7, None],
}
OPERATIONS: dict[str, Any] = {
    "txn": [0, 0, 2],
    "key": ["x", "y", "x"],
    "write": [True, False, False],
    "version": [1, None, 1],
}


class _Nameless:
    """Names that nobody asks for."""

    def transaction(self, number: int) -> str:
        """Fail."""
        raise NotImplementedError

    def details(self, number: int) -> Mapping[str, Any]:
        """Fail."""
        raise NotImplementedError

    def row(self, number: int) -> str:
        """Fail."""
        raise NotImplementedError

    def version(self, row: int, version: int) -> str:
        """Fail."""
        raise NotImplementedError


@st.composite
def histories(draw: st.DrawFn) -> Transactions:
    """Well-formed histories: starts rise, sessions end at an unknown transaction."""
    count = draw(st.integers(0, 6))
    status = draw(st.lists(st.sampled_from([0, 1, 2]), min_size=count, max_size=count))
    sessions: list[int] = []
    living = [0, 1]
    for n in range(count):
        sessions.append(draw(st.sampled_from(living)))
        if status[n] == UNKNOWN:
            living[living.index(sessions[-1])] = max(*living, *sessions) + 1
    operations = [
        (n, draw(st.integers(0, 2)), write, draw(st.integers(1 if write else 0, 3) | st.just(NO_VERSION)))
        for n in range(count)
        for write in draw(st.lists(st.booleans(), max_size=3))
    ]
    txn, row, write, version = zip(*operations, strict=True) if operations else ((), (), (), ())
    lengths = draw(st.lists(st.integers(0, 30), min_size=count, max_size=count))
    ends = [NEVER if status[n] == UNKNOWN else 10 * n + lengths[n] for n in range(count)]
    return Transactions(
        status=np.array(status, dtype=np.int8),
        session=np.array(sessions, dtype=np.int32),
        invoke=np.arange(count, dtype=np.int64) * 10,
        complete=np.array(ends, dtype=np.int64),
        txn=np.array(txn, dtype=np.int32),
        row=np.array(row, dtype=np.int32),
        write=np.array(write, dtype=np.bool_),
        version=np.array(version, dtype=np.int32),
        names=_Nameless(),
    )


def lines(history: Transactions) -> list[dict[str, Any]]:
    """The same history, a line a micro-operation."""
    rows = []
    for n in range(len(history.status)):
        first: dict[str, Any] = {
            "session": int(history.session[n]),
            "outcome": ("ok", "fail", "info")[history.status[n]],
            "start": int(history.invoke[n]),
            "end": int(history.complete[n]) if history.complete[n] != NEVER else None,
        }
        operations: list[int | None] = list(np.flatnonzero(history.txn == n).tolist())
        for at in operations or [None]:
            rows.append({"txn": n, **first, **_operation(history, at)})
            first = {}
    return rows


def _operation(history: Transactions, at: int | None) -> dict[str, Any]:
    if at is None:
        return {"op": None, "key": None, "version": None}
    version = int(history.version[at])
    op = "w" if history.write[at] else "r"
    return {"op": op, "key": int(history.row[at]), "version": None if version == NO_VERSION else version}


@given(histories())
def test_what_is_written_is_read_back(history: Transactions) -> None:
    """Writing a history and reading it changes nothing but what nobody can tell apart."""
    with TemporaryDirectory() as folder:
        plain.write_parquet(history, Path(folder) / "new")
        again = plain.read(Path(folder) / "new")
    assert shown(history) == shown(again)


@given(histories(), st.sampled_from(["csv", "jsonl", "parquet"]))
def test_lines_say_what_a_folder_says(history: Transactions, form: str) -> None:
    """Each kind of file gives the same columns; keys and sessions may be numbered otherwise."""
    assume(len(history.status))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "history"
        path.write_bytes(FORMS[form](lines(history)))
        again = shown(plain.read(path))
    expected = shown(history)
    same = ("status", "txn", "write", "version", "invoke", "complete")
    assert {name: expected[name] for name in same} == {name: again[name] for name in same}
    for name in ("row", "session"):
        assert (
            len(set(expected[name])) == len(set(again[name])) == len(set(zip(expected[name], again[name], strict=True)))
        )


def folder(tmp_path: Path, transactions: Mapping[str, Any], operations: Mapping[str, Any]) -> Path:
    """Write a folder."""
    pq.write_table(pa.table(dict(transactions)), tmp_path / "transactions.parquet")
    pq.write_table(pa.table(dict(operations)), tmp_path / "operations.parquet", row_group_size=2)
    return tmp_path


def test_a_folder_may_name_keys_and_outcomes_by_text(tmp_path: Path) -> None:
    """Text takes longer than numbers, and means the same."""
    history = plain.read(folder(tmp_path, TRANSACTIONS, OPERATIONS))
    found = shown(history)
    assert ([0, 2, 0], [5, NEVER, NEVER]) == (found["status"], found["complete"])
    assert ([0, 1, 0], [1, NO_VERSION, 1]) == (found["row"], found["version"])
    assert ("y", "transaction 1") == (history.names.row(1), history.names.transaction(1))
    assert {"session": 1, "outcome": "info", "start": 2, "end": 7} == history.names.details(1)


def test_a_folder_needs_neither_sessions_nor_times(tmp_path: Path) -> None:
    """Of transactions only their number must be known."""
    history = plain.read(folder(tmp_path, {"outcome": np.zeros(3, dtype=np.int8)}, OPERATIONS))
    assert {"realtime", "process"} == set(history.not_checked)
    assert [0, 0, 0] == shown(history)["status"]


def test_keys_of_any_integers_become_dense_rows(tmp_path: Path) -> None:
    """However the integers are stored."""
    for kind in (pa.int32(), pa.uint64(), pa.int16()):
        keys = pa.array([30_000, 7, 30_000], kind)
        history = plain.read(folder(tmp_path, TRANSACTIONS, {**OPERATIONS, "key": keys}))
        assert ([0, 1, 0], "30000") == (shown(history)["row"], history.names.row(0))


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "falling": ({}, {"txn": [0, 2, 1]}, "operations.parquet: row 2: txn isn't rising"),
    "index": ({}, {"txn": [0, 2, 3]}, "operations.parquet: row 2: txn is no row of transactions.parquet, which has 3"),
    "below 0": ({}, {"txn": [-1, 2, 2]}, "operations.parquet: row 0: txn is no row of transactions.parquet"),
    "no txn": ({}, {"txn": [0, None, 2]}, "operations.parquet: row 1: txn is missing"),
    "no key": ({}, {"key": ["x", None, "y"]}, "operations.parquet: row 1: key is missing"),
    "no write": ({}, {"write": [True, None, True]}, "operations.parquet: row 1: write is missing"),
    "write's type": ({}, {"write": [1, 0, 1]}, "operations.parquet: column write holds int64, not bool"),
    "key's type": (
        {},
        {"key": [1.5, 2.0, 3.0]},
        'operations.parquet: row 0: key is "1.5", neither an integer nor text',
    ),
    "version's type": ({}, {"version": ["a", "1", "2"]}, 'operations.parquet: row 0: version is "a", not an integer'),
    "negative": ({}, {"version": [1, None, -1]}, "operations.parquet: row 2: version is negative"),
    "version 0": ({}, {"version": [0, None, 1]}, "operations.parquet: row 0: version is 0 in a write"),
    "outcome": (
        {"outcome": ["ok", "no", "ok"]},
        {},
        'transactions.parquet: row 1: outcome is "no", not ok, fail or info',
    ),
    "outcome's number": ({"outcome": [0, 1, 3]}, {}, "transactions.parquet: row 2: outcome is none of 0 to 2"),
    "backwards": ({"end": [5, 1, None]}, {}, "transactions.parquet: row 1: start is after end"),
    "start's type": ({"start": ["now", "1", "2"]}, {}, 'transactions.parquet: row 0: start is "now", not a number'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_folder_names_file_and_row(fault: str, tmp_path: Path) -> None:
    """One sentence says which of the two files is wrong, and where."""
    transactions, operations, said = FAULTS[fault]
    with pytest.raises(MalformedError) as told:
        plain.read(folder(tmp_path, {**TRANSACTIONS, **transactions}, {**OPERATIONS, **operations}))
    assert str(told.value).startswith(str(tmp_path / said.partition(":")[0]))
    assert said in str(told.value)


def test_a_folder_of_one_file_is_told(tmp_path: Path) -> None:
    """Both files must be there."""
    folder(tmp_path, TRANSACTIONS, OPERATIONS)
    (tmp_path / "operations.parquet").unlink()
    with pytest.raises(MalformedError, match="there is no such file; a folder of the plain form holds ") as told:
        plain.read(tmp_path)
    assert 1 == str(told.value).count(str(tmp_path))
    (tmp_path / "operations.parquet").mkdir()
    with pytest.raises(MalformedError, match=r"operations.parquet: can't be read"):
        plain.read(tmp_path)


@pytest.mark.parametrize("column", ["txn", "key", "write", "version"])
def test_a_missing_column_is_told(column: str, tmp_path: Path) -> None:
    """Columns of operations must all be there."""
    operations = {name: values for name, values in OPERATIONS.items() if name != column}
    with pytest.raises(MalformedError, match=f"operations.parquet: column {column} is missing"):
        plain.read(folder(tmp_path, TRANSACTIONS, operations))


@pytest.mark.parametrize(
    ("file", "column", "hint"),
    [
        ("transactions", "outcom", "; did you mean outcome?"),
        ("operations", "versions", "; did you mean version?"),
        ("operations", "colour", ", only txn, key, write, version"),
    ],
)
def test_a_column_that_is_not_known_is_a_fault(tmp_path: Path, file: str, column: str, hint: str) -> None:
    """One that is misspelt would silently be left out."""
    pq.write_table(pa.table(TRANSACTIONS), tmp_path / "transactions.parquet")
    pq.write_table(pa.table(OPERATIONS), tmp_path / "operations.parquet")
    table = {"transactions": TRANSACTIONS, "operations": OPERATIONS}[file]
    pq.write_table(pa.table({**table, column: [1] * len(next(iter(table.values())))}), tmp_path / f"{file}.parquet")
    with pytest.raises(MalformedError) as told:
        plain.read(tmp_path)
    assert f'{tmp_path / file}.parquet: there is no column "{column}"{hint}' == str(told.value)


def test_a_needed_column_that_is_misspelt_is_named(tmp_path: Path) -> None:
    """Rather than called missing."""
    operations = {("vrsion" if name == "version" else name): values for name, values in OPERATIONS.items()}
    with pytest.raises(MalformedError, match='no column "vrsion"; did you mean version'):
        plain.read(folder(tmp_path, TRANSACTIONS, operations))
