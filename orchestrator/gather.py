"""Gathering: a group's plan, and what is known of it, into the history's files, a piece at a time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from orchestrator.history.model import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from orchestrator.faults.striker import Strike
    from orchestrator.history.files import Writer
    from worker.contract import Operation

#: Rows held at a time.
PIECE: Final = 10_000


def columns(writer: Writer, table: str, data: Mapping[str, list[Any]]) -> None:
    """Append columns of plain values to a table of the history."""
    writer.append(table, pa.Table.from_pydict(dict(data), schema=TABLES[table]))


def operations(
    writer: Writer,
    plan: Iterable[Operation],
    confirmed: NDArray[Any],
    repeated: NDArray[Any] | None = None,
    requested: NDArray[np.bool_] | None = None,
) -> None:
    """Write the plan down, with what was confirmed and committed of it, and how often it was published again."""
    repeated = np.zeros(len(confirmed), dtype=np.int32) if repeated is None else repeated
    stream = iter(plan)
    while piece := list(islice(stream, PIECE)):
        first = piece[0].operation
        data = {
            "operation": [each.operation for each in piece],
            "kind": [each.kind for each in piece],
            "params": [msgspec.json.encode(each.params).decode() for each in piece],
            "confirmed": confirmed[first : first + len(piece)].tolist(),
            "requested": _of(requested, first, len(piece)),
            "republished": repeated[first : first + len(piece)].tolist(),
        }
        columns(writer, "operations", data)


def _of(values: NDArray[np.bool_] | None, first: int, count: int) -> list[bool | None]:
    return [None] * count if values is None else values[first : first + count].tolist()


def faults(writer: Writer, strikes: Iterable[Strike]) -> None:
    """Write down what struck and when it was healed, on the database's clock."""
    found = sorted(strikes, key=lambda each: each.struck_us)
    data = {name: [getattr(each, name) for each in found] for name in TABLES["faults"].names}
    columns(writer, "faults", data)
