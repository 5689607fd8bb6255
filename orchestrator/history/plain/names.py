"""Tells people what a history of the plain form calls its transactions, rows and versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.history.lines import quoted
from orchestrator.history.plain.columns import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from orchestrator.history.plain.coded import Coded
    from orchestrator.history.plain.versions import Originals
    from orchestrator.history.transactions import Bools, Int8s, Int32s


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainNames:
    """Looks things up only when it is asked: it keeps nothing that the columns don't have."""

    #: Of each transaction; None: it is called by its number.
    names: pa.Array | pa.ChunkedArray | None
    status: Int8s
    #: As the file has them, before unknown transactions ended them.
    sessions: Coded | None
    start: pa.Array | pa.ChunkedArray | None
    end: pa.Array | pa.ChunkedArray | None
    keys: Coded
    #: Of each micro-operation.
    rows: Int32s
    writes: Bools
    versions: Int32s
    values: pa.Array | pa.ChunkedArray | None = None
    originals: Originals | None = None

    def transaction(self, number: int) -> str:
        """A transaction by its own name; text in quotes, for T1 and T2 are what a witness calls transactions."""
        name = number if self.names is None else self.names[number].as_py()
        return f"transaction {quoted(name)}" if isinstance(name, str) else f"transaction {name}"

    def details(self, number: int) -> Mapping[str, Any]:
        """What the file says of it beside its lines."""
        told = {"session": self._session(number)}
        if self.status[number]:
            told["outcome"] = OUTCOMES[self.status[number]]
        told["start"] = None if self.start is None else self.start[number].as_py()
        told["end"] = None if self.end is None else self.end[number].as_py()
        return {name: value for name, value in told.items() if value is not None}

    def row(self, number: int) -> str:
        """A row by its key."""
        return str(self.keys.label(number))

    def version(self, row: int, version: int) -> str:
        """What the file calls a version that was numbered anew, and its value."""
        if version <= 0:
            return ""
        called = "" if self.originals is None else f"{self.originals.of(row, version)} in the file"
        value = self._value(row, version)
        return ", ".join(part for part in (called, "" if value is None else f"value {value}") if part)

    def _session(self, number: int) -> int | str | None:
        if self.sessions is None or self.sessions.codes[number] < 0:
            return None
        return self.sessions.label(int(self.sessions.codes[number]))

    def _value(self, row: int, version: int) -> str | None:
        """Prefer what a writer says to what readers say."""
        if self.values is None:
            return None
        lines = np.flatnonzero((self.rows == row) & (self.versions == version))
        lines = lines[np.argsort(~self.writes[lines], kind="stable")]
        values = (self.values[int(line)].as_py() for line in lines)
        return next((value for value in values if value is not None), None)
