"""When transactions began and ended: on one clock, as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from orchestrator.history.transactions import NEVER, UNKNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from orchestrator.history.transactions import Int8s, Int32s, Int64s

#: Began no later than anything, as far as anybody knows.
ALWAYS: Final = -NEVER


@dataclass(frozen=True, kw_only=True, eq=False)
class Times:
    """Beginnings and ends, as `Transactions` has them."""

    invoke: Int64s
    complete: Int64s
    #: Why there can be no real-time edge; empty where there can.
    lacking: str


def times(start: pa.ChunkedArray | None, end: pa.ChunkedArray | None, status: Int8s) -> Times:
    """Bring times of int64 or float64 into integers of the same order; an unknown transaction's end is NEVER."""
    lacks = [name for name, column in (("start", start), ("end", end)) if _blank(column)]
    start, end = None if _blank(start) else start, None if _blank(end) else end
    if any(column is not None and not _fits(column) for column in (start, end)):
        invoke, complete = _ranked(start, end, len(status))
    else:
        invoke, complete = _filled(start, ALWAYS, len(status)), _filled(end, NEVER, len(status))
    return Times(invoke=invoke, complete=complete, lacking=f"no {' and '.join(lacks)} given" if lacks else "")


def backwards(found: Times) -> int | None:
    """Find the first transaction that ends before it starts."""
    wrong = found.invoke > found.complete
    return int(np.argmax(wrong)) if wrong.any() else None


def without_unknown_ends(found: Times, status: Int8s) -> Times:
    """Take back the ends of unknown transactions: what they wrote may have come later."""
    unknown = status == UNKNOWN
    if not unknown.any():
        return found
    return Times(invoke=found.invoke, complete=np.where(unknown, NEVER, found.complete), lacking=found.lacking)


def contradicted(session: Int32s, found: Times) -> int | None:
    """Find a transaction that ended before an earlier one of its session began; both orders can't be right."""
    if bool(np.all(np.maximum.accumulate(found.invoke) <= found.complete)):
        return None  # true of files in the order of their starts, or of their ends
    inside = np.flatnonzero(session >= 0)
    order = inside[np.argsort(session[inside], kind="stable")]
    _, rank = np.unique(np.concatenate([found.invoke[order], found.complete[order]]), return_inverse=True)
    above = session[order].astype(np.int64) * (2 * len(order) + 1)  # so that no session's ranks reach the next one's
    began, ended = rank[: len(order)] + above, rank[len(order) :] + above
    wrong = order[np.maximum.accumulate(began) > ended]
    return int(wrong.min()) if len(wrong) else None


def _blank(column: pa.ChunkedArray | None) -> bool:
    return column is None or column.null_count == len(column)


def _fits(column: pa.ChunkedArray) -> bool:
    """Whether its values can stand for themselves."""
    if not pa.types.is_integer(column.type):
        return False
    values = column.fill_null(0).to_numpy() if column.null_count else column.to_numpy()
    return bool(int(values.min(initial=0)) > ALWAYS and int(values.max(initial=0)) < NEVER)


def _filled(column: pa.ChunkedArray | None, missing: int, count: int) -> Int64s:
    if column is None:
        return np.full(count, missing, dtype=np.int64)
    filled: Int64s = (column.fill_null(missing) if column.null_count else column).to_numpy()
    return filled.astype(np.int64, copy=False)


def _ranked(start: pa.ChunkedArray | None, end: pa.ChunkedArray | None, count: int) -> tuple[Int64s, Int64s]:
    """Number the distinct times; equal ones stay equal."""
    began, ended = _floats(start, count), _floats(end, count)
    distinct = np.unique(np.concatenate([began, ended]))
    invoke, complete = np.searchsorted(distinct, began), np.searchsorted(distinct, ended)
    invoke[np.isnan(began)] = ALWAYS
    complete[np.isnan(ended)] = NEVER
    return invoke, complete


def _floats(column: pa.ChunkedArray | None, count: int) -> npt.NDArray[np.float64]:
    if column is None:
        return np.full(count, np.nan)
    floats: npt.NDArray[Any] = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    return floats
