"""A witness's lines of the plain form as transactions, without the project's reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, NO_VERSION, UNKNOWN, Transactions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_OUTCOMES = {"ok": COMMITTED, "fail": ABORTED, "info": UNKNOWN}


@dataclass(frozen=True, kw_only=True)
class _Names:
    """As the lines call them."""

    labels: Sequence[str]
    rows: Sequence[str]

    def transaction(self, number: int) -> str:
        """The line's `txn`."""
        return self.labels[number]

    def details(self, number: int) -> Mapping[str, Any]:
        """Nothing else is known."""
        del number
        return {}

    def row(self, number: int) -> str:
        """The line's `key`."""
        return self.rows[number]

    def version(self, row: int, version: int) -> str:
        """Versions are numbers only."""
        del row, version
        return ""


def transactions(lines: Iterable[Mapping[str, Any]]) -> Transactions:
    """The history; where no line has a start there is no time."""
    told = list(lines)
    labels = _distinct(line["txn"] for line in told)
    first = [next(line for line in told if line["txn"] == label) for label in labels]
    every = [line for line in told if line.get("op")]  # a transaction may have none
    rows = _distinct(line["key"] for line in every)
    sessions = _distinct(line["session"] for line in told if "session" in line)
    ends = [line.get("end") if line.get("outcome") != "info" else None for line in first]
    return Transactions(
        status=np.array([_OUTCOMES[line.get("outcome", "ok")] for line in first], dtype=np.int8),
        session=np.array([sessions.index(line["session"]) if "session" in line else -1 for line in first], np.int32),
        invoke=np.array([line.get("start", 0) for line in first], dtype=np.int64),
        complete=np.array([NEVER if end is None else end for end in ends], dtype=np.int64),
        txn=np.array([labels.index(line["txn"]) for line in every], dtype=np.int32),
        row=np.array([rows.index(line["key"]) for line in every], dtype=np.int32),
        write=np.array([line["op"] == "w" for line in every], dtype=np.bool_),
        version=np.array([NO_VERSION if line["version"] is None else line["version"] for line in every], np.int32),
        names=_Names(labels=labels, rows=rows),
    )


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in the order in which it first comes."""
    return list(dict.fromkeys(values))
