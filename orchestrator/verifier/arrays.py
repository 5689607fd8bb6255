"""Arrow columns as numpy arrays, and the few searches that every check is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

#: Stands for a null in arrays of numbers that are never negative.
NONE: Final = -1

#: Texts decoded at a time: memory stays flat however many there are.
_BATCH: Final = 8192

_decode = msgspec.json.Decoder().decode


def ints(column: pa.ChunkedArray, null: int = NONE) -> Ints:
    """Integers, nulls replaced."""
    return pc.fill_null(column, null).to_numpy().astype(np.int64, copy=False)  # type: ignore[no-any-return]  # pyarrow is untyped


def flags(column: pa.ChunkedArray) -> Flags:
    """Booleans, null is False."""
    return pc.fill_null(column, pa.scalar(value=False)).to_numpy().astype(np.bool_, copy=False)  # type: ignore[no-any-return]  # pyarrow is untyped and takes its arguments by position


def texts(column: pa.ChunkedArray) -> pa.Array:
    """Strings in one piece, so that taking some of them is cheap; copied only where they are not."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def encoded(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Codes and the distinct strings they stand for; a null is -1."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # what combine_chunks gives for no chunk at all, in some releases
        array = pa.array([], type=column.type)
    codes = pc.fill_null(array.indices, NONE).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, array.dictionary.to_pylist()


def coded(column: pa.ChunkedArray, names: Sequence[str]) -> Ints:
    """The place of each string in `names`; -1 for a null and for any other string."""
    codes, distinct = encoded(column)
    places = {name: place for place, name in enumerate(names)}
    return np.array([*(places.get(text, NONE) for text in distinct), NONE], dtype=np.int64)[codes]


def locate(known: Ints, wanted: Ints) -> Ints:
    """The place of each wanted number in the sorted known ones; -1 where it isn't there."""
    if not len(known):
        return np.full(len(wanted), NONE, dtype=np.int64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[places] == wanted, places, NONE)


def at(values: Ints, places: Ints, absent: int = NONE) -> Ints:
    """The values at these places; `absent` where the place is -1."""
    found: Ints = np.append(values, absent)[places]
    return found


def holds(flagged: Flags, places: Ints) -> Flags:
    """The flags at these places; False where the place is -1."""
    found: Flags = np.append(flagged, np.zeros(1, dtype=np.bool_))[places]
    return found


def search(groups: Ints, values: Ints, wanted_groups: Ints, wanted: Ints, *, right: bool = False) -> Ints:
    """`searchsorted` for pairs (group, value) in lexicographic order; groups count from 0."""
    _, ranks = np.unique(np.concatenate([values, wanted]), return_inverse=True)
    span = np.int64(len(ranks) + 1)
    known = groups * span + ranks[: len(values)]
    return np.searchsorted(known, wanted_groups * span + ranks[len(values) :], side="right" if right else "left")


def rising(groups: Ints, values: Ints) -> Ints:
    """The running maximum within each group; groups are in order."""
    distinct, ranks = np.unique(values, return_inverse=True)
    span = np.int64(len(distinct) + 1)
    return distinct[np.maximum.accumulate(groups * span + ranks) % span] if len(values) else values


def lowest(values: Ints, first: Ints, after: Ints) -> Ints:
    """The least of `values[first:after]` for each range; the greatest int64 where a range is empty."""
    greatest = np.iinfo(np.int64).max
    result = np.full(len(first), greatest, dtype=np.int64)
    full = np.flatnonzero(first < after)
    if len(full):
        # Each range once, since many may be a whole row's; in order, the stretches between them add up to one pass.
        ranges, place = np.unique(np.column_stack([first[full], after[full]]), axis=0, return_inverse=True)
        result[full] = np.minimum.reduceat(np.append(values, greatest), ranges.ravel())[::2][place.ravel()]
    return result


def per(groups: Ints, chosen: Flags, size: int) -> Ints:
    """How many chosen members each group has; members of group -1 count nowhere."""
    return np.bincount(groups[chosen & (groups >= 0)], minlength=size)


def pairs(*columns: Ints) -> Ints:
    """One dense number per distinct combination of the columns' values."""
    result = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        distinct, places = np.unique(column, return_inverse=True)
        _, result = np.unique(result * np.int64(len(distinct) + 1) + places, return_inverse=True)
    return result


def documents(texts: pa.Array, places: Ints) -> Iterator[Any]:
    """The JSON values at these places, decoded as they are asked for; None for a null."""
    for start in range(0, len(places), _BATCH):
        for text in texts.take(places[start : start + _BATCH]).to_pylist():
            yield None if text is None else _decode(text)
