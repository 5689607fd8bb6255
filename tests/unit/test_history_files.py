"""A history's files: what is written is what is read, and what can't be read is said in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.history import TABLES, HistoryError, Writer, read, read_meta, write
from tests.unit.histories import deduct, grant, race, set_field, transfer

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.history import History


@pytest.fixture
def history() -> History:
    """A small one with every table but faults filled."""
    return race(deduct(0, 5), transfer(0, 1, 3), grant(2, 1), gaps=("one",), profile={"seed": 3}).history()


def test_what_is_written_is_what_is_read(tmp_path: Path, history: History) -> None:
    """Every table and the meta, unchanged."""
    write(history, tmp_path)
    again = read(tmp_path)
    assert again.meta == history.meta
    for table, schema in TABLES.items():
        assert getattr(again, table).to_pylist() == getattr(history, table).to_pylist()
        assert getattr(again, table).schema == schema


def test_a_history_of_before_requests_and_republishing_is_read(tmp_path: Path, history: History) -> None:
    """Its operations needed no request and were published once; its meta asks for no bound."""
    write(history, tmp_path)
    old = history.operations.drop_columns(["requested", "republished"])
    pq.write_table(old, tmp_path / "operations.parquet")
    meta = msgspec.json.decode((tmp_path / "group.json").read_bytes())
    for name in ("faults", "republish", "max_settle_s", "max_attempts"):
        del meta[name]
    (tmp_path / "group.json").write_bytes(msgspec.json.encode(meta))
    again = read(tmp_path)
    assert [None] * 3 == again.operations["requested"].to_pylist()
    assert [0] * 3 == again.operations["republished"].to_pylist()
    assert ((), False, None, None) == (
        again.meta.faults,
        again.meta.republish,
        again.meta.max_settle_s,
        again.meta.max_attempts,
    )


def test_columns_of_later_stand_in_their_place(tmp_path: Path, history: History) -> None:
    """A table that lacks one in the middle, or others too, is malformed."""
    write(history, tmp_path)
    for left in (["operation", "kind", "params", "confirmed", "republished"], ["operation", "params", "confirmed"]):
        pq.write_table(history.operations.select(left), tmp_path / "operations.parquet")
        with pytest.raises(HistoryError, match=r"has the columns operation, .*, not operation, kind"):
            read(tmp_path)


def test_pieces_become_one_table(tmp_path: Path, history: History) -> None:
    """A table may be appended to as often as one likes, in tables, batches or mappings."""
    other = race(set_field(0, "model", "large")).history()
    with Writer(tmp_path) as writer:
        writer.append("operations", history.operations)
        writer.append("operations", other.operations.to_batches()[0])
        writer.append("operations", [{"operation": 9, "kind": "grant", "params": "{}", "confirmed": False}])
        writer.meta(history.meta)
    kinds = read(tmp_path).operations["kind"].to_pylist()
    assert kinds == ["deduct", "transfer", "grant", "set_field", "grant"]


def test_tables_nothing_was_appended_to_are_empty(tmp_path: Path, history: History) -> None:
    """A history is whole as soon as its meta is written."""
    with Writer(tmp_path) as writer:
        writer.meta(history.meta)
    assert read(tmp_path).effects.num_rows == 0


def test_a_folder_without_meta_holds_no_whole_history(tmp_path: Path, history: History) -> None:
    """A writer that ended early leaves tables, but nothing that reads as a history; an old meta goes first."""
    write(history, tmp_path)
    with Writer(tmp_path) as writer:
        writer.append("operations", history.operations)
    with pytest.raises(HistoryError, match=r"group\.json: can't be read \(No such file or directory\)"):
        read(tmp_path)


def test_a_history_error_is_a_value_error_with_its_path(tmp_path: Path) -> None:
    """Callers may catch either."""
    with pytest.raises(ValueError, match="is this the folder of a whole group") as caught:
        read_meta(tmp_path / "nowhere")
    assert isinstance(caught.value, HistoryError)
    assert caught.value.path == tmp_path / "nowhere" / "group.json"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}', '{"run": "a"}'])
def test_a_malformed_meta_is_one_sentence(tmp_path: Path, history: History, text: str) -> None:
    """It names the file and the fault."""
    write(history, tmp_path)
    (tmp_path / "group.json").write_text(text)
    with pytest.raises(HistoryError, match=r"group\.json: is malformed \(.+\)$"):
        read(tmp_path)


def test_a_missing_table_is_one_sentence(tmp_path: Path, history: History) -> None:
    """It names the file."""
    write(history, tmp_path)
    (tmp_path / "effects.parquet").unlink()
    with pytest.raises(HistoryError, match=r"effects\.parquet: can't be read \(.+\)$"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table at all, but long enough to be one"])
def test_a_table_that_is_no_parquet_is_one_sentence(tmp_path: Path, history: History, content: bytes) -> None:
    """It names the file and the fault."""
    write(history, tmp_path)
    (tmp_path / "effects.parquet").write_bytes(content)
    with pytest.raises(HistoryError, match=r"effects\.parquet: is malformed \(.+\)$"):
        read(tmp_path)


def test_a_truncated_table_is_one_sentence(tmp_path: Path, history: History) -> None:
    """Half a file is no file."""
    write(history, tmp_path)
    path = tmp_path / "effects.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(HistoryError, match=r"effects\.parquet: "):
        read(tmp_path)


def test_a_table_of_other_columns_is_refused(tmp_path: Path, history: History) -> None:
    """The sentence names both."""
    write(history, tmp_path)
    pq.write_table(pa.table({"wrong": [1]}), tmp_path / "clocks.parquet")
    with pytest.raises(HistoryError, match="has the columns wrong, not process, mono_ns, offset_ns, error_ns"):
        read(tmp_path)


def test_a_table_of_other_types_is_refused(tmp_path: Path, history: History) -> None:
    """What can't be cast is another schema."""
    write(history, tmp_path)
    columns = {"process": ["one"], "mono_ns": [1], "offset_ns": [1], "error_ns": [1]}
    pq.write_table(pa.table(columns), tmp_path / "clocks.parquet")
    with pytest.raises(HistoryError, match="has another schema than expected"):
        read(tmp_path)


def test_a_null_where_none_may_be_is_refused(tmp_path: Path, history: History) -> None:
    """When reading, and already when writing."""
    columns = {"process": [None], "mono_ns": [1], "offset_ns": [1], "error_ns": [1]}
    nulls = pa.table(columns, schema=pa.schema([pa.field(name, pa.int64()) for name in columns]))
    write(history, tmp_path)
    pq.write_table(nulls, tmp_path / "clocks.parquet")
    with pytest.raises(HistoryError, match="column process must not be null"):
        read(tmp_path)
    with Writer(tmp_path) as writer, pytest.raises(HistoryError, match=r"clocks\.parquet: column process must not be"):
        writer.append("clocks", nulls)
