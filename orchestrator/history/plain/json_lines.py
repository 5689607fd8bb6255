"""The plain form as JSON lines: an object a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import pyarrow as pa

from orchestrator.history.lines import BYTE_ORDER_MARK, MalformedError, numbered, opened, quoted, text
from orchestrator.history.plain.columns import COLUMNS, misnamed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from orchestrator.history.plain.columns import Fault

#: Bytes that become one table.
_BLOCK: Final = 8 << 20

_Label: TypeAlias = int | str
_Number: TypeAlias = int | float


class _Line(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A line as it may be."""

    txn: _Label
    op: str | None = None
    key: _Label | None = None
    version: int | None = None
    session: _Label | None = None
    outcome: str | None = None
    start: _Number | None = None
    end: _Number | None = None
    value: Any = None
    predicate: str | None = None
    matches: str | None = None


_INTEGER_OR_TEXT: Final = "neither an integer nor text"

_ARRAY: Final = "its objects stand in an array; write one object a line, without brackets and commas around them"

#: What to say of a value that is of another type.
_FAULTS: Final = {
    "version": "not an integer",
    **dict.fromkeys(("txn", "key", "session"), _INTEGER_OR_TEXT),
    **dict.fromkeys(("start", "end"), "not a number"),
    **dict.fromkeys(("op", "outcome", "predicate", "matches"), "not text"),
}

#: Columns that may be of numbers.
_NUMBERS: Final = ("txn", "key", "session", "version", "start", "end")


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON lines."""

    path: Path

    def tables(self) -> Iterator[pa.Table]:
        """Give the lines as columns, some megabytes at a time."""
        decoder = msgspec.json.Decoder(_Line)
        with opened(self.path) as file:
            empty = True
            for block in _blocks(file):
                try:
                    lines = decoder.decode_lines(block)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise self._found() from error
                empty = empty and not lines
                yield pa.table({name: column for name in COLUMNS if (column := _column(lines, name)) is not None})
        if empty:
            raise MalformedError(self.path, 0, "the file is empty")

    def malformed(self, fault: Fault) -> MalformedError:
        """Say on which line a row stands."""
        if fault.row is None:
            return MalformedError(self.path, 0, fault.fault)
        for row, (number, _) in enumerate(numbered(self.path)):
            if row == fault.row:
                return MalformedError(self.path, number, fault.fault)
        return MalformedError(self.path, 0, fault.fault)

    def _found(self) -> MalformedError:
        """Find the first line that can't be decoded."""
        decoder = msgspec.json.Decoder(_Line)
        for row, (number, line) in enumerate(numbered(self.path)):
            text(self.path, number, line)
            if row == 0 and line.startswith(b"["):
                return MalformedError(self.path, number, _ARRAY)
            try:
                decoder.decode(line)
            except msgspec.DecodeError as error:
                return MalformedError(self.path, number, _fault(line, error))
        return MalformedError(self.path, 0, "its objects don't stand on a line each")


def _fault(line: bytes, error: msgspec.DecodeError) -> str:
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return f"isn't JSON ({error})"
    if not isinstance(found, dict):
        return f"{quoted(found)} is no object"
    types = {field.name: field.type for field in msgspec.structs.fields(_Line)}
    for name, value in found.items():
        if name not in types:
            return f"the plain form has no column {misnamed(name, COLUMNS)}"
        try:
            msgspec.convert(value, types[name])
        except msgspec.ValidationError:
            return f"{name} is {quoted(value)}, {_FAULTS[name]}"
    return "txn is missing"


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time."""
    rest = file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    while block := file.read(_BLOCK):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = block[cut:]
        else:
            rest += block
    if rest:
        yield rest


def _column(lines: list[_Line], name: str) -> pa.Array | None:
    """One column of the lines; None where no line has it."""
    values: list[Any] = [getattr(line, name) for line in lines]
    if all(value is None for value in values):
        return None
    if name in _NUMBERS:
        return _numbers(values)
    if name == "value":
        values = [_shown(value) for value in values]
    return pa.array(values, pa.string())


def _numbers(values: list[Any]) -> pa.Array:
    """Values as integers or as floats; as text where they are neither."""
    try:
        if any(type(value) is float for value in values):
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        return pa.array(values, pa.int64())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _shown(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()
