"""A group's history on disk: one Parquet file a table, and group.json, which is written last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.history.model import LATER, TABLES, History, Meta

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

#: The file that holds `Meta`; a folder without it holds no whole history.
META_FILE = "group.json"

_COMPRESSION = "zstd"

#: Rows in a row group at most: what reading holds beside the rows themselves grows with it.
_PIECE = 16_384


class HistoryError(ValueError):
    """A history can't be read or written; the message names the file and the fault."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = path


def fitted(table: str, data: pa.Table | pa.RecordBatch | Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows in the table's own schema, from Arrow data or mappings; ValueError says what doesn't fit."""
    schema = TABLES[table]
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if not isinstance(data, pa.Table):
        data = pa.Table.from_pylist([dict(row) for row in data], schema=schema)
    data = _with_later(table, data)
    if data.column_names != schema.names:
        raise ValueError(f"has the columns {', '.join(data.column_names)}, not {', '.join(schema.names)}")
    for field in schema:
        if not field.nullable and data.column(field.name).null_count:
            raise ValueError(f"column {field.name} must not be null")
    try:
        return data.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"has another schema than expected ({_first_line(error)})") from error


def _with_later(table: str, data: pa.Table) -> pa.Table:
    """Add the columns that older writers don't know, each with what they would have said."""
    schema = TABLES[table]
    for name, default in LATER.get(table, {}).items():
        field = schema.field(name)
        if name not in data.column_names and data.column_names == schema.names[: len(data.column_names)]:
            data = data.append_column(field, pa.array([default] * data.num_rows, type=field.type))
        elif name in data.column_names and default is not None and data.column(name).null_count:
            place = data.column_names.index(name)
            data = data.set_column(place, field, data.column(name).fill_null(default))
    return data


class Writer:
    """Writes a history in pieces, so that no table is ever held whole; close it, or use it as a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / META_FILE).unlink(missing_ok=True)
        self._writers: dict[str, pq.ParquetWriter] = {}

    def append(self, table: str, data: pa.Table | pa.RecordBatch | Sequence[Mapping[str, Any]]) -> None:
        """Append rows to a table; each call becomes a row group, so give thousands at once."""
        try:
            rows = fitted(table, data)
        except (ValueError, pa.ArrowException) as error:
            raise HistoryError(self._path(table), _first_line(error)) from error
        self._writer(table).write_table(rows, row_group_size=_PIECE)

    def meta(self, meta: Meta) -> None:
        """Close every table and write group.json: the history is whole from here on."""
        self.close()
        text = msgspec.json.format(msgspec.json.encode(meta), indent=2)
        (self._folder / META_FILE).write_bytes(text + b"\n")

    def close(self) -> None:
        """Close every table's file; tables that nothing was appended to become empty files."""
        for table in TABLES:
            self._writer(table).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _path(self, table: str) -> Path:
        return self._folder / f"{table}.parquet"

    def _writer(self, table: str) -> pq.ParquetWriter:
        if table not in self._writers:
            self._writers[table] = pq.ParquetWriter(self._path(table), TABLES[table], compression=_COMPRESSION)
        return self._writers[table]


def write(history: History, folder: Path) -> None:
    """Write a whole history into a folder."""
    with Writer(folder) as writer:
        for table in TABLES:
            writer.append(table, getattr(history, table))
        writer.meta(history.meta)


def read(folder: Path) -> History:
    """Read a history back; HistoryError where a file is missing or malformed."""
    folder = Path(folder)
    meta = read_meta(folder)
    return History(meta=meta, **{table: _read_table(folder / f"{table}.parquet", table) for table in TABLES})


def read_meta(folder: Path) -> Meta:
    """Read group.json alone."""
    path = Path(folder) / META_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Meta)
    except OSError as error:
        raise HistoryError(path, f"can't be read ({error.strerror}); is this the folder of a whole group?") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(path, f"is malformed ({_first_line(error)})") from error


def _read_table(path: Path, table: str) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            pieces = [fitted(table, file.read_row_group(at, use_threads=False)) for at in range(file.num_row_groups)]
    except OSError as error:
        raise HistoryError(path, f"can't be read ({error.strerror or _first_line(error)})") from error
    except (ValueError, pa.ArrowException) as error:
        raise HistoryError(path, f"is malformed ({_first_line(error)})") from error
    whole = pa.concat_tables([TABLES[table].empty_table(), *pieces]).unify_dictionaries().combine_chunks()
    pieces.clear()
    pa.default_memory_pool().release_unused()
    return whole


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
