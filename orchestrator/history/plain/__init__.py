"""Histories in the plain form: a line a micro-operation, as CSV, JSON lines or Parquet (docs/foreign-histories.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa

from orchestrator.history.lines import BYTE_ORDER_MARK, MalformedError, is_packed, opened
from orchestrator.history.plain.assembly import assembled, joined
from orchestrator.history.plain.columns import COLUMNS, Fault
from orchestrator.history.plain.csv_lines import SEPARATORS, CsvLines, is_line
from orchestrator.history.plain.json_lines import JsonLines
from orchestrator.history.plain.parquet import OPERATIONS, TRANSACTIONS, ParquetRows, read_folder, write_parquet
from orchestrator.history.plain.pieces import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.history.transactions import Transactions

#: What a Parquet file begins with.
PARQUET_MAGIC: Final = b"PAR1"

#: Bytes in which something must stand that isn't blank.
_HEAD: Final = 4096


class _Source(Protocol):
    """A file of one of the kinds."""

    def tables(self) -> Iterator[pa.Table]:
        """Give its lines, some at a time; Fault and MalformedError say what is wrong."""

    def malformed(self, fault: Fault) -> MalformedError:
        """Say where in the file a fault is."""


def read(path: Path, *, ordered: bool = False) -> Transactions:
    """Read a history; MalformedError names file, line and fault.

    With `ordered` versions stand for an order alone; else they count up by one from 0, a row's initial state.
    """
    if path.is_dir():
        return read_folder(path, ordered=ordered)
    source = _source(path)
    try:
        return assembled(joined(list(pieces(source.tables()))), ordered=ordered)
    except Fault as fault:
        raise source.malformed(fault) from fault
    finally:
        pa.default_memory_pool().release_unused()  # it would keep as much as was held at once


def is_csv(line: str) -> bool:
    """Whether a file's first line looks like CSV of the plain form, though commas or the header may be lacking."""
    return any(is_line(line.split(separator)) for separator in (",", *SEPARATORS))


def _source(path: Path) -> _Source:
    with opened(path) as file:
        head = file.read(_HEAD)
    if head.startswith(PARQUET_MAGIC):
        if is_packed(path):
            raise MalformedError(path, 0, "is Parquet inside gzip, which can't be read; unpack it first")
        return ParquetRows(path)
    is_json = head.removeprefix(BYTE_ORDER_MARK).lstrip().startswith((b"{", b"["))
    return JsonLines(path) if is_json else CsvLines(path)


__all__ = ["COLUMNS", "OPERATIONS", "PARQUET_MAGIC", "TRANSACTIONS", "is_csv", "read", "write_parquet"]
