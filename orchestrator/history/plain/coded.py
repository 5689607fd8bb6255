"""Names of rows, sessions and transactions as dense numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from orchestrator.history.plain.columns import MISSING, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.history.transactions import Int32s

#: How much greater than their count integers may be and still be taken as dense.
_SLACK: Final = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded:
    """Labels as numbers from 0; MISSING where there is none."""

    codes: Int32s
    #: What each number stands for; None: for itself.
    labels: pa.Array | None = None

    @property
    def count(self) -> int:
        """Numbers are below this."""
        return int(self.codes.max(initial=MISSING)) + 1

    def label(self, code: int) -> int | str:
        """What a number stands for."""
        return code if self.labels is None else self.labels[code].as_py()


def coded(columns: Sequence[pa.Array | pa.ChunkedArray]) -> Coded:
    """Give the labels of columns of int64 or text, one after another, dense numbers."""
    columns = [column for column in columns if len(column)]
    if not columns:
        return Coded(codes=np.zeros(0, dtype=np.int32))
    if all(pa.types.is_integer(column.type) for column in columns):
        return _of_integers(columns)
    chunks = [chunk for column in columns for chunk in _as_text(column).chunks]
    return _of_dictionary(whole(pa.chunked_array(chunks)))


def _of_integers(columns: Sequence[pa.Array | pa.ChunkedArray]) -> Coded:
    nulls = sum(column.null_count for column in columns)
    arrays = [(column.fill_null(MISSING) if nulls else column).to_numpy() for column in columns]
    numbers = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    negative = int(numbers.min()) < 0
    if int(numbers.max()) < len(numbers) + _SLACK and (not negative or int((numbers < 0).sum()) == nulls):
        return Coded(codes=numbers.astype(np.int32, copy=False))
    del arrays, numbers
    chunks = [chunk for column in columns for chunk in (getattr(column, "chunks", None) or [column])]
    return _of_dictionary(whole(pa.chunked_array(chunks).dictionary_encode()))


def _of_dictionary(column: pa.DictionaryArray) -> Coded:
    indices = column.indices.cast(pa.int32())
    if indices.null_count:
        indices = indices.fill_null(MISSING)
    return Coded(codes=indices.to_numpy(), labels=column.dictionary)


def _as_text(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    if pa.types.is_dictionary(column.type):
        return column
    return column.cast(pa.string()).dictionary_encode()
