"""The plain form as Parquet: one file with its columns, or a folder of two, which is the fast way in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.history.lines import MalformedError
from orchestrator.history.plain.assembly import Parts, assembled
from orchestrator.history.plain.coded import coded
from orchestrator.history.plain.columns import COLUMNS, OUTCOMES, Fault, Lines, misnamed, named, whole
from orchestrator.history.transactions import COMMITTED, NEVER, NO_VERSION, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.history.plain.coded import Coded
    from orchestrator.history.transactions import Bools, Int32s, Int64s, Transactions

#: The files of a folder.
TRANSACTIONS: Final = "transactions.parquet"
OPERATIONS: Final = "operations.parquet"

#: Rows that become one table.
_ROWS: Final = 1 << 19

#: What some libraries add to the columns that they are given.
_INDEX: Final = "__index_level_"


@dataclass(frozen=True)
class ParquetRows:
    """One file with the plain form's columns."""

    path: Path

    def tables(self) -> Iterator[pa.Table]:
        """Give the rows as columns, some at a time."""
        try:
            with pq.ParquetFile(self.path) as file:
                names = [name for name in file.schema_arrow.names if not name.startswith(_INDEX)]
                named(names)
                for batch in file.iter_batches(_ROWS, columns=[name for name in COLUMNS if name in names]):
                    yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self.path, error) from error

    def malformed(self, fault: Fault) -> MalformedError:
        """Name the row; a Parquet file has no lines."""
        return _malformed(self.path, fault)


def read_folder(folder: Path, *, ordered: bool = False) -> Transactions:
    """Read a folder's two files."""
    try:
        table = _read(folder / TRANSACTIONS, (), ("session", "outcome", "start", "end"))
        lines = Lines(table=table, base=0)
        status = lines.codes("outcome", OUTCOMES)
        session = lines.labels("session")
        start, end = (_chunked(lines.numbers(name)) for name in ("start", "end"))
        count = table.num_rows
    except Fault as fault:
        raise _malformed(folder / TRANSACTIONS, fault) from fault
    try:
        txn, write, key, version = _operations(folder / OPERATIONS, count)
    except Fault as fault:
        raise _malformed(folder / OPERATIONS, fault) from fault
    if status is None:
        status = np.full(count, COMMITTED, dtype=np.int8)
    try:
        return assembled(
            Parts(
                name=None,
                first=None,
                status=np.maximum(status, COMMITTED) if len(status) and int(status.min()) < COMMITTED else status,
                session=None if session is None else coded([session]),
                start=start,
                end=end,
                txn=txn,
                write=write,
                key=key,
                version=version,
            ),
            ordered=ordered,
        )
    except Fault as fault:
        raise _malformed(folder / TRANSACTIONS, fault) from fault


def _operations(path: Path, count: int) -> tuple[Int32s, Bools, Coded, Int64s | Int32s]:
    lines = Lines(table=_read(path, ("txn", "key", "write", "version"), ()), base=0)
    txn = _integers(lines, "txn", needed=True)
    if len(txn):
        lines.need("txn", np.concatenate([[False], txn[1:] < txn[:-1]]), "isn't rising")
        fault = f"is no row of {TRANSACTIONS}, which has {count:,}"
        lines.need("txn", txn >= count if int(txn[-1]) >= count else txn < 0, fault)
    write = whole(lines.table.column("write"))
    if not pa.types.is_boolean(write.type):
        raise Fault(f"column write holds {write.type}, not bool")
    _complete(lines, "write", write)
    writes: Bools = write.to_numpy(zero_copy_only=False)
    key = whole(lines.table.column("key"))
    _complete(lines, "key", key)
    keys = coded([key if pa.types.is_integer(key.type) else lines.labels("key")]) if len(key) else coded([])
    version = _integers(lines, "version", needed=False)
    negative = version < 0
    if int(negative.sum()) > lines.table.column("version").null_count:
        told = lines.table.column("version").is_valid().to_numpy()
        lines.need("version", told & negative, "is negative")
    lines.need("version", writes & (version == 0), "is 0 in a write; 0 is the initial state, which nobody wrote")
    return txn.astype(np.int32, copy=False), writes, keys, version


def _integers(lines: Lines, name: str, *, needed: bool) -> Int64s | Int32s:
    """Give a column of int32 or int64 as it is, others as int64."""
    column = whole(lines.table.column(name))
    if needed:
        _complete(lines, name, column)
    if not (pa.types.is_int32(column.type) or pa.types.is_int64(column.type)):
        column = lines.integers(name)
        if column is None:
            column = pa.nulls(lines.table.num_rows, pa.int64())
    numbers: Int64s | Int32s = (column.fill_null(NO_VERSION) if column.null_count else column).to_numpy()
    return numbers


def _complete(lines: Lines, name: str, column: pa.Array) -> None:
    if column.null_count:
        lines.need(name, pc.is_null(column).to_numpy(zero_copy_only=False), "is missing")


def _chunked(column: pa.Array | None) -> pa.ChunkedArray | None:
    return None if column is None else pa.chunked_array([column])


def _read(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> pa.Table:
    """Read a table; a column that isn't known may be one that is misspelt, and is a fault."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            names = file.schema_arrow.names
            known = (*required, *optional)
            for name in names:
                if name not in known and not name.startswith(_INDEX):
                    raise Fault(f"there is no column {misnamed(name, known)}")
            missing = [name for name in required if name not in names]
            if missing:
                raise Fault(f"column {missing[0]} is missing")
            return file.read([name for name in known if name in names], use_threads=True)
    except FileNotFoundError as error:
        fault = f"there is no such file; a folder of the plain form holds {TRANSACTIONS} and {OPERATIONS}"
        raise MalformedError(path, 0, fault) from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> MalformedError:
    number = getattr(error, "errno", None)
    reason = os.strerror(number) if number else str(error).splitlines()[0].rstrip(". ")
    return MalformedError(path, 0, f"can't be read ({reason})")


def _malformed(path: Path, fault: Fault) -> MalformedError:
    return MalformedError(path, 0, fault.fault if fault.row is None else f"row {fault.row}: {fault.fault}")


def write_parquet(transactions: Transactions, folder: Path) -> None:
    """Write a history as a folder of two files, without what its reader found and dependencies beside versions."""
    folder.mkdir(parents=True, exist_ok=True)
    unknown = transactions.status == UNKNOWN
    columns: dict[str, Any] = {
        "session": transactions.session,
        "outcome": transactions.status,
        "start": pa.array(transactions.invoke, mask=transactions.invoke == -NEVER),
        "end": pa.array(transactions.complete, mask=unknown | (transactions.complete == NEVER)),
    }
    if (transactions.session < 0).all():
        del columns["session"]
    else:
        columns["session"] = pa.array(transactions.session, mask=transactions.session < 0)
    operations = {
        "txn": transactions.txn,
        "key": transactions.row,
        "write": transactions.write,
        "version": pa.array(transactions.version, mask=transactions.version == NO_VERSION),
    }
    for name, table in ((TRANSACTIONS, columns), (OPERATIONS, operations)):
        pq.write_table(pa.table(table), folder / name, compression="none", use_dictionary=False)
