"""Passes that find out who installed which version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.verifier.dependencies.kernels.layout import INTERMEDIATE, NOBODY, SEVERAL

if TYPE_CHECKING:
    from orchestrator.history.transactions import Int32s, Int64s
    from orchestrator.verifier.dependencies.kernels.layout import Operations, Slots


def highest(row: Int32s, version: Int32s, top: Int32s) -> None:
    """Each row's highest version into `top`, which starts at 0."""
    for i in range(len(row)):
        top[row[i]] = max(top[row[i]], version[i])


def install(ops: Operations, slots: Slots, stamp: Int32s, last: Int64s) -> int:
    """Writers into their slots; returns how many versions have several.

    Per row, `stamp` is the transaction that wrote it last and `last` the slot; both start at -1.
    """
    several = 0
    for i in range(len(ops.txn)):
        t = ops.txn[i]
        if not ops.write[i] or not ops.committed[t]:
            continue
        r = ops.row[i]
        slot = -1
        if ops.version[i] > 0:
            slot = slots.base[r] + ops.version[i]
            author = slots.writer[slot]
            if author == NOBODY:
                slots.writer[slot] = t
            elif author != t and author != SEVERAL:  # noqa: PLR1714 - compiled code compares numbers of one type only
                slots.writer[slot] = SEVERAL
                several += 1
        if stamp[r] == t and last[r] >= 0:
            slots.flags[last[r]] |= INTERMEDIATE
        if slot >= 0:
            slots.flags[slot] &= 255 - INTERMEDIATE
        stamp[r] = t
        last[r] = slot
    return several


def gaps(top: Int32s, slots: Slots) -> int:
    """How many versions, up to each row's highest, have no single writer."""
    found = 0
    for r in range(len(top)):
        for slot in range(slots.base[r] + 1, slots.base[r] + top[r] + 1):
            found += slots.writer[slot] < 0
    return found


def follow(top: Int32s, slots: Slots) -> None:
    """Fill `slots.following`, which starts at -1."""
    for r in range(len(top)):
        known = -1
        for slot in range(slots.base[r] + top[r], slots.base[r] - 1, -1):
            if slots.writer[slot] >= 0:
                known = slot
            slots.following[slot] = known
