"""Passes that find what needs no graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.verifier.dependencies.kernels.layout import INTERMEDIATE, KEPT, NOBODY, PASSED

if TYPE_CHECKING:
    from orchestrator.history.transactions import Int32s, Int64s
    from orchestrator.verifier.dependencies.kernels.layout import Operations, Slots

#: What `local` counts; none of them.
INTERNAL, FUTURE, INTERMEDIATE_READ, UNWRITTEN = range(4)
FINE: Final = -1


class Tally(NamedTuple):
    """Counts per kind, and the micro-operations of the first few of each kind."""

    counts: Int64s
    examples: Int64s


class Sessions(NamedTuple):
    """Per session, for one row at a time: the highest versions that it read and wrote."""

    session: Int32s
    #: The row that the others are of.
    stamp: Int32s
    #: By transactions before the current one.
    read: Int32s
    wrote: Int32s
    current: Int32s
    #: By the current one.
    reads: Int32s
    writes: Int32s


def note(tally: Tally, kind: int, i: int) -> None:
    """Count a finding, and keep the first few."""
    if tally.counts[kind] < KEPT:
        tally.examples[kind, tally.counts[kind]] = i
    tally.counts[kind] += 1


def local(ops: Operations, slots: Slots, stamp: Int32s, state: Int32s, tally: Tally) -> int:
    """What transactions show by themselves: reads that contradict their own, and reads of what isn't committed.

    Per row, `state` is the version that the transaction `stamp` left or saw last; -1: not known.  Returns how many
    reads with a known version there are.
    """
    reads = 0
    for i in range(len(ops.txn)):
        t = ops.txn[i]
        if not ops.committed[t]:
            continue
        r = ops.row[i]
        v = ops.version[i]
        slot = slots.base[r] + v
        if ops.write[i]:
            if v > 0 and slots.writer[slot] == t:
                slots.flags[slot] |= PASSED
            v = v if v > 0 else -1
        elif v >= 0:
            reads += 1
            if v > 0 and slots.writer[slot] == t and not slots.flags[slot] & PASSED:
                note(tally, FUTURE, i)
            elif stamp[r] == t and state[r] >= 0 and state[r] != v:
                note(tally, INTERNAL, i)
            if v > 0 and (slots.writer[slot] < 0 or slots.flags[slot] & INTERMEDIATE):
                kind = of_others(slots, slot, t)
                if kind != FINE:
                    note(tally, kind, i)
        stamp[r] = t
        state[r] = v
    return reads


def of_others(slots: Slots, slot: int, t: int) -> int:
    """Does a read see what nobody committed, or what its writer wrote over."""
    author = slots.writer[slot]
    if author == NOBODY:
        return UNWRITTEN
    return INTERMEDIATE_READ if author >= 0 and author != t else FINE


def overwritten(ops: Operations, base: Int64s, first: Int32s, reader: Int32s, seen: Int32s, examples: Int64s) -> int:
    """Lost updates: transactions that read a version first and then write the row, beyond the first per version.

    `first[slot]` is the first such transaction; per row, `seen` is what transaction `reader` read first, -1: it wrote
    first, or again, or read no known version.  Examples are rows of first, other, row, version.
    """
    found = 0
    for i in range(len(ops.txn)):
        t = ops.txn[i]
        r = ops.row[i]
        if not ops.committed[t]:
            continue
        if reader[r] != t:
            reader[r] = t
            seen[r] = -1 if ops.write[i] else ops.version[i]
        elif ops.write[i] and seen[r] >= 0:
            slot = base[r] + seen[r]
            if first[slot] == NOBODY:
                first[slot] = t
            else:
                if found < KEPT:
                    examples[found, 0] = first[slot]
                    examples[found, 1] = t
                    examples[found, 2] = i
                    examples[found, 3] = seen[r]
                found += 1
            seen[r] = -1
    return found


def guarantees(order: Int64s, bounds: Int64s, ops: Operations, slots: Slots, of: Sessions, tally: Tally) -> None:
    """The four session guarantees, row by row: `order` holds each row's micro-operations in the history's order."""
    for r in range(len(bounds) - 1):
        for at in range(bounds[r], bounds[r + 1]):
            i = order[at]
            v = ops.version[i]
            author = slots.writer[slots.base[r] + v] if v > 0 else NOBODY
            if v > 0 and author < 0:
                continue
            s = of.session[ops.txn[i]]
            advance(of, s, r, ops.txn[i])
            if ops.write[i] or author != ops.txn[i]:
                kind = 2 if ops.write[i] else 0
                if v < of.read[s]:
                    note(tally, kind, i)
                if v < of.wrote[s]:
                    note(tally, kind + 1, i)
            if ops.write[i]:
                of.writes[s] = max(of.writes[s], v)
            else:
                of.reads[s] = max(of.reads[s], v)


def advance(of: Sessions, s: int, r: int, t: int) -> None:
    """Bring a session to a row and a transaction."""
    if of.stamp[s] != r:
        of.stamp[s] = r
        of.read[s] = 0
        of.wrote[s] = 0
    elif of.current[s] != t:
        of.read[s] = max(of.read[s], of.reads[s])
        of.wrote[s] = max(of.wrote[s], of.writes[s])
    else:
        return
    of.current[s] = t
    of.reads[s] = 0
    of.writes[s] = 0
