"""The plain form as CSV: read in pieces; where a line is at fault, read once more to find it."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyarrow import csv as arrow

from orchestrator.history.lines import BYTE_ORDER_MARK, MalformedError, opened, quoted
from orchestrator.history.plain.columns import COLUMNS, OPS, REQUIRED, Fault, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: Bytes that become one table.
_BLOCK: Final = 8 << 20

#: Columns in which few words come again and again.
_REPEATING: Final = ("op", "key", "session", "outcome")

#: Columns of a line that has no header above it and still looks like one of the plain form.
_FEWEST: Final = 3

#: What else people separate columns by.
SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class CsvLines:
    """A file of CSV with a header."""

    path: Path

    def tables(self) -> Iterator[pa.Table]:
        """Give the lines as columns of text, some megabytes at a time."""
        words = pa.dictionary(pa.int32(), pa.string())
        options = {
            "read_options": arrow.ReadOptions(block_size=_BLOCK),
            "parse_options": arrow.ParseOptions(newlines_in_values=True),
            "convert_options": arrow.ConvertOptions(
                column_types={name: words if name in _REPEATING else pa.string() for name in COLUMNS},
                strings_can_be_null=True,
                null_values=[""],
            ),
        }
        with opened(self.path) as file, self._explained(), arrow.open_csv(file, **options) as reader:
            _header(reader.schema.names)
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def malformed(self, fault: Fault) -> MalformedError:
        """Say on which line a row stands."""
        if fault.row is None:
            return MalformedError(self.path, 1, fault.fault)
        for number, (line, _) in enumerate(self._rows()):
            if number == fault.row + 1:
                return MalformedError(self.path, line, fault.fault)
        return MalformedError(self.path, 0, fault.fault)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Put into words what the reader didn't like."""
        try:
            yield
        except pa.ArrowInvalid as error:
            raise self._found(error) from error

    def _found(self, error: pa.ArrowInvalid) -> MalformedError:
        width = None
        for line, row in self._rows():
            first, width = width is None, width or len(row)
            if any(not cell.isascii() and _broken(cell) for cell in row):
                return MalformedError(self.path, line, "the line isn't UTF-8")
            if first and (fault := _hint(row)):
                return MalformedError(self.path, line, fault)
            if len(row) != width:
                columns = f"{len(row)} columns" if len(row) > 1 else "1 column"
                return MalformedError(self.path, line, f"the line has {columns}, the header has {width}")
        if width is None:
            return MalformedError(self.path, 0, "the file is empty")
        return MalformedError(self.path, 0, f"isn't CSV ({str(error).splitlines()[0].rstrip('. ')})")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row that isn't blank, the header too, with the line that it begins on."""
        with opened(self.path) as file:
            if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
                file.seek(0)
            rows = csv.reader(io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline=""))
            line = 1
            try:
                for row in rows:
                    if row:
                        yield line, row
                    line = rows.line_num + 1
            except csv.Error as error:
                raise MalformedError(self.path, line, f"isn't CSV ({error})") from error


def _header(names: Sequence[str]) -> None:
    """Raise Fault where the first line doesn't name the columns of the plain form."""
    if fault := _hint(names):
        raise Fault(fault)
    named(names)


def _hint(names: Sequence[str]) -> str:
    """Say what the first line seems to be instead of a header; empty where it may be one."""
    for separator, called in SEPARATORS.items():
        if len(names) == 1 and is_line(names[0].split(separator)):
            return f"its columns seem to be separated by {called}; separate them by commas"
    if "txn" not in names and is_line(names):
        return f"the first line must name the columns ({', '.join(REQUIRED)} …), and begins with {quoted(names[0])}"
    return ""


def is_line(cells: Sequence[str]) -> bool:
    """Whether the cells of a file's first line look like the plain form: a header, or a line that lacks one."""
    words = [cell.strip().strip('"') for cell in cells]
    return "txn" in words or (len(words) >= _FEWEST and any(word in OPS for word in words))


def _broken(cell: str) -> bool:
    """Whether bytes that aren't UTF-8 were met."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        return True
    return False
