"""The arrays that passes go over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from orchestrator.history.transactions import Bools, Int32s, Int64s

    UInt8s = np.typing.NDArray[np.uint8]

#: In place of a version's writer: nobody wrote it; more than one transaction did.
NOBODY: Final = -1
SEVERAL: Final = -2

#: Bits of a slot's flags: its writer's last word on the row is another one; the write of it has been passed.
INTERMEDIATE: Final = 1
PASSED: Final = 2

#: Examples that are kept of each finding.
KEPT: Final = 10


class Operations(NamedTuple):
    """n transactions and their m micro-operations in order."""

    #: n + 1: where each transaction's micro-operations begin.
    first: Int64s
    #: m
    txn: Int32s
    row: Int32s
    write: Bools
    version: Int32s
    #: n: committed, or unknown and settled as committed.
    committed: Bools


class Slots(NamedTuple):
    """A slot for each version of each row: version v of row r has slot `base[r] + v`."""

    base: Int64s
    #: Per slot: the transaction that installed it, or NOBODY, or SEVERAL.
    writer: Int32s
    flags: UInt8s
    #: Per slot: the next one, itself included, with a single writer, or -1; empty where all have a single writer.
    following: Int64s
