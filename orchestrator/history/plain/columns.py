"""The plain form's columns, whatever file they come from: checked, and brought into few types."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.history.lines import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.history.transactions import Int8s

#: Every column that a file may have; the first four it must have.
COLUMNS: Final = (
    *("txn", "op", "key", "version"),
    *("session", "outcome", "start", "end", "value", "predicate", "matches"),
)
REQUIRED: Final = COLUMNS[:4]

#: What stands in `op`, and in `outcome`; codes are places in here.
OPS: Final = ("r", "w", "p")
OUTCOMES: Final = ("ok", "fail", "info")

#: What is written for a column that some lines lack.
MISSING: Final = -1

_INTEGER: Final = re.compile(r"-?[0-9]+")

#: Digits that an integer of 64 bits has at most.
_DIGITS: Final = 19

#: What to say of an integer that has more.
_BEYOND: Final = "an integer beyond 64 bits"


class Fault(Exception):
    """The history says what it mustn't; whoever reads the file knows which line a row stands on."""

    def __init__(self, fault: str, row: int | None = None) -> None:
        super().__init__(fault)
        self.fault = fault
        #: Counted from 0 over the rows of the file; None: no single row is at fault.
        self.row = row


def named(names: Sequence[str]) -> None:
    """Raise Fault where these aren't the columns of a file of the plain form."""
    for name in names:
        if name not in COLUMNS:
            raise Fault(f"the plain form has no column {misnamed(name, COLUMNS)}")
        if names.count(name) > 1:
            raise Fault(f"column {name} is there twice")
    for name in REQUIRED:
        if name not in names:
            raise Fault(f"column {name} is missing")


def misnamed(name: str, known: Sequence[str]) -> str:
    """Quote the name of a column that there is not, with what may have been meant."""
    close = difflib.get_close_matches(name.strip().lower(), known, n=1)
    return quoted(name) + (f"; did you mean {close[0]}?" if close else f", only {', '.join(known)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """Some lines of a file, as columns; a fault in them is told by the row of the file."""

    table: pa.Table
    #: The row of the first of them.
    base: int

    def column(self, name: str) -> pa.Array | None:
        """A column in one piece; None where no line has it."""
        if name not in self.table.column_names:
            return None
        column = whole(self.table.column(name))
        return None if column.null_count == len(column) else column

    def need(self, name: str, where: Any, fault: str) -> None:  # noqa: ANN401 - a column or an array of truths
        """Raise Fault at the first of the rows where something is so."""
        if np.any(where):
            raise Fault(f"{name} {fault}", self.base + int(np.argmax(where)))

    def integers(self, name: str) -> pa.Array | None:
        """A column as int64."""
        column = self.column(name)
        if column is None or pa.types.is_int64(column.type):
            return column
        column = _plain(column)
        _need_type(name, column, _is_number(column) or pa.types.is_string(column.type), "integers")
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise self._first(name, column, _is_int64, "not an integer") from error

    def numbers(self, name: str) -> pa.Array | None:
        """A column as int64, or as float64 where it isn't of whole numbers."""
        column = self.column(name)
        if column is None or pa.types.is_int64(column.type):
            return column
        column = _plain(column)
        _need_type(name, column, _is_number(column) or pa.types.is_string(column.type), "numbers")
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
        try:
            numbers = column.cast(pa.float64(), safe=False)
        except pa.ArrowInvalid as error:
            raise self._first(name, column, _is_finite, "not a number") from error
        if not pc.all(pc.is_finite(numbers)).as_py():
            raise self._first(name, column, _is_finite, "not a finite number")
        try:
            return numbers.cast(pa.int64())  # "8.0" is 8
        except pa.ArrowInvalid:
            return numbers

    def labels(self, name: str) -> pa.Array | None:
        """A column that holds integers, as int64, or text, with a dictionary."""
        column = self.column(name)
        if column is None or pa.types.is_int64(column.type):
            return column
        if pa.types.is_dictionary(column.type) and pa.types.is_string(column.type.value_type):
            return column
        column = _plain(column)
        text = pa.types.is_string(column.type)
        _need_type(name, column, _is_number(column) or text, "integers or text")
        if text:
            return column.dictionary_encode()
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            if pa.types.is_uint64(column.type):
                return column.cast(pa.string()).dictionary_encode()  # as text they may be of any length
            raise self._first(name, column, _is_int64, "neither an integer nor text") from error

    def names(self, name: str) -> pa.Array | None:
        """A column of labels as int64 where each is an integer written as integers are, else as text."""
        column = self.column(name)
        if column is None or pa.types.is_int64(column.type):
            return column
        column = _plain(column)
        if not pa.types.is_string(column.type):
            labels = self.labels(name)
            return None if labels is None else _plain(labels)
        try:
            numbers = column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column
        zero = pc.or_(pc.starts_with(column, "0"), pc.starts_with(column, "-0"))
        return column if pc.any(pc.and_(zero, pc.greater(pc.binary_length(column), 1))).as_py() else numbers

    def text(self, name: str) -> pa.Array | None:
        """A column as text, whatever it is of."""
        column = self.column(name)
        if column is None:
            return None
        try:
            return _plain(column).cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Fault(f"column {name} holds {column.type}, not text") from error

    def codes(self, name: str, words: tuple[str, ...]) -> Int8s | None:
        """A column's words as their places among those that are allowed, MISSING where it is empty."""
        column = self.column(name)
        if column is None:
            return None
        if words is OUTCOMES and pa.types.is_integer(column.type):
            numbers = column.cast(pa.int64(), safe=False).fill_null(MISSING).to_numpy()
            told = pc.is_valid(column).to_numpy(zero_copy_only=False)
            fault = f"is none of 0 to {len(words) - 1} ({', '.join(words)})"
            self.need(name, told & ((numbers < 0) | (numbers >= len(words))), fault)
            codes: Int8s = numbers.astype(np.int8)
            return codes
        _need_type(name, column, pa.types.is_string(_plain(column).type), "text")
        places = _places(column, words)
        wrong = pc.and_(pc.is_null(places), pc.is_valid(column))
        if pc.any(wrong).as_py():
            raise self._first(name, _plain(column), lambda word: word in words, f"not {_or(words)}")
        return _numbers(places)

    def _first(self, name: str, column: pa.Array, good: Callable[[Any], bool], fault: str) -> Fault:
        """Find the first value that isn't as it should be."""
        for row, value in enumerate(column.to_pylist()):
            if value is not None and not good(value):
                told = _BEYOND if good is _is_int64 and _is_whole(value) else fault
                return Fault(f"{name} is {quoted(value)}, {told}", self.base + row)
        return Fault(f"column {name} is of {column.type}, {fault}")


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece, copied only where it was in several."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _plain(column: pa.Array) -> pa.Array:
    """Dictionaries and long texts as ordinary columns."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()) if pa.types.is_large_string(column.type) else column


def _places(column: pa.Array, words: tuple[str, ...]) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return pc.index_in(column.dictionary.cast(pa.string()), pa.array(words)).take(column.indices)
    return pc.index_in(_plain(column), pa.array(words))


def _numbers(places: pa.Array) -> Int8s:
    return places.cast(pa.int8()).fill_null(MISSING).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _need_type(name: str, column: pa.Array, fits: bool, wanted: str) -> None:  # noqa: FBT001 - the truth itself
    if not fits:
        raise Fault(f"column {name} holds {column.type}, not {wanted}")


def _is_number(column: pa.Array) -> bool:
    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _is_int64(value: Any) -> bool:  # noqa: ANN401 - a cell
    if not _is_whole(value) or (isinstance(value, str) and len(value.lstrip("-0")) > _DIGITS):
        return False
    return -(2**63) <= int(value) < 2**63


def _is_whole(value: Any) -> bool:  # noqa: ANN401 - a cell
    return _INTEGER.fullmatch(value) is not None if isinstance(value, str) else float(value).is_integer()


def _is_finite(value: Any) -> bool:  # noqa: ANN401 - as above
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
