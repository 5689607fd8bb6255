"""A history as transactions that read and write versions of rows: what dependencies are worked out from.

Runs (`verifier.native`) and foreign histories (`list_append`, `plain`) are brought into this one form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

Int8s: TypeAlias = npt.NDArray[np.int8]
Int32s: TypeAlias = npt.NDArray[np.int32]
Int64s: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

#: What became of a transaction.  An unknown one counts as committed once anything it wrote was seen or overwritten.
COMMITTED, ABORTED, UNKNOWN = range(3)

#: When a transaction completed that never did, as far as anybody knows.
NEVER: Final = 2**62

#: In `not_checked`: there are predicate reads, but not what depends on them.
PREDICATES: Final = "dependencies of predicate reads"

#: The version of a read or write of which it isn't known.
NO_VERSION: Final = -1

#: Kinds of edges, the strongest first; between two transactions only the strongest counts.
WW, WR, RW, PREDICATE_RW, PROCESS, REALTIME = range(6)


class Names(Protocol):
    """Tells people of a history's transactions and rows; asked only about the few that a witness needs."""

    def transaction(self, number: int) -> str:
        """A transaction in a few words: "line 12, process 3"."""

    def details(self, number: int) -> Mapping[str, Any]:
        """What else is known of it, JSON values: process, worker, host, index, start, end."""

    def row(self, number: int) -> str:
        """A row as people write it: "users/7"."""

    def version(self, row: int, version: int) -> str:
        """A version's value, or how the history calls it: "element 5"; "" where only the number is known."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An anomaly that the reader of a format had to find, since the common form can't show it."""

    #: Elle's name: "internal", "incompatible-order".
    anomaly: str
    #: The transactions that prove it, in the order in which the sentence names them.
    transactions: tuple[int, ...]
    #: The row, or -1.
    row: int
    #: The whole story in words; transactions are called T1, T2 … in the order above.
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Edges:
    """Dependencies that versions alone don't show, such as those of appends that nobody read."""

    source: Int32s
    target: Int32s
    #: WW, WR, RW or PREDICATE_RW.
    kind: Int8s
    row: Int32s

    @classmethod
    def none(cls) -> Edges:
        """No such edges."""
        empty = np.zeros(0, dtype=np.int32)
        return cls(source=empty, target=empty, kind=np.zeros(0, dtype=np.int8), row=empty)


@dataclass(frozen=True, kw_only=True, eq=False)
class Transactions:
    """n transactions, numbered so that each session's stand in its order, with m micro-operations in program order."""

    #: n: COMMITTED, ABORTED or UNKNOWN.
    status: Int8s
    #: n: the session; a session ends at an unknown transaction.  -1: none.
    session: Int32s
    #: n: it began no earlier than `invoke`, and ended no later than `complete`; NEVER where its end isn't known.
    invoke: Int64s
    complete: Int64s
    #: m, rising: the transaction of each micro-operation.
    txn: Int32s
    #: m: numbers from 0; at most as many as micro-operations, or little more.
    row: Int32s
    write: Bools
    #: m: read or installed; 0 is the row's initial state, each write makes the next.  NO_VERSION: not known.
    version: Int32s
    names: Names
    #: Dependencies beside those that rows and versions show.
    edges: Edges = field(default_factory=Edges.none)
    #: What the reader of the format found itself.
    found: tuple[Found, ...] = ()
    #: How often each of these is there, where `found` holds only the first ones.
    counts: Mapping[str, int] = field(default_factory=dict)
    #: Names of checks that the reader did, on more than versions: the common ones are not run again.
    checked: frozenset[str] = frozenset()
    #: Checks that this format can't show, with the reason: anomalies, "process", "realtime".  Anything else says that
    #: dependencies are missing, so that absence proves nothing.
    not_checked: Mapping[str, str] = field(default_factory=dict)
    #: Predicate reads are recorded, as edges of kind PREDICATE_RW.
    predicates: bool = False

    @property
    def size(self) -> int:
        """How many micro-operations there are."""
        return len(self.txn)
