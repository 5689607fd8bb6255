"""Passes over the dependencies that slots show: placing transactions in an order, and listing edges.

Adya 1999, section 4.4: ww, wr and rw edges between committed transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.verifier.dependencies.kernels.layout import NOBODY

if TYPE_CHECKING:
    from orchestrator.history.transactions import Bools, Int8s, Int32s, Int64s
    from orchestrator.verifier.dependencies.kernels.layout import Operations, Slots

#: How far before a moved transaction `pull` takes up again, in transactions.
NEAR: Final = 16

#: Kinds of edges, as in `orchestrator.history.transactions`.
_WW: Final = 0
_WR: Final = 1
_RW: Final = 2


class Places(NamedTuple):
    """Per transaction its place in the order: (position, -depth)."""

    position: Int64s
    depth: Int32s


class Edges(NamedTuple):
    """Room for edges; `via` is the micro-operation that shows one: the read, or of two writes the earlier one."""

    source: Int32s
    target: Int32s
    kind: Int8s
    via: Int64s


def next_of_session(committed: Bools, session: Int32s, last: Int32s, successor: Int32s) -> None:
    """The next committed transaction of each one's session into `successor`, which starts at -1, as `last` does."""
    for t in range(len(committed) - 1, -1, -1):
        if committed[t] and session[t] >= 0:
            successor[t] = last[session[t]]
            last[session[t]] = t


def overwriter(ops: Operations, slots: Slots, i: int, t: int) -> int:
    """Who overwrote what a micro-operation read or installed: the next single writer; NOBODY if it is t itself."""
    v = ops.version[i]
    if v < 0:
        return NOBODY
    slot = slots.base[ops.row[i]] + v
    if ops.write[i] and slots.writer[slot] != t:
        return NOBODY
    following = slot + 1
    if len(slots.following) > 0:
        following = slots.following[slot + 1]
        if following < 0:
            return NOBODY
    b = slots.writer[following]
    return b if b != t else NOBODY


def author(ops: Operations, slots: Slots, i: int, t: int) -> int:
    """Who wrote what a micro-operation read: a single writer other than t; else a negative number."""
    if ops.write[i] or ops.version[i] <= 0:
        return NOBODY
    a = slots.writer[slots.base[ops.row[i]] + ops.version[i]]
    return a if a != t else NOBODY


def before(places: Places, a: int, b: int) -> int:
    """Move a before b where it isn't; 1 if that was needed."""
    if places.position[a] < places.position[b]:
        return 0
    if places.position[a] == places.position[b] and places.depth[a] > places.depth[b]:
        return 0
    places.position[a] = places.position[b]
    places.depth[a] = places.depth[b] + 1
    return 1


def pull(ops: Operations, slots: Slots, successor: Int32s, places: Places) -> tuple[int, int]:
    """One round of placing each transaction before all that depend on it; returns edges moved and data edges looked at.

    Transactions are taken from the last to the first, and of each first the edges that lead away from it, so that one
    round suffices where the numbers rise along all edges.  Where one moved that was already passed, the round goes back
    to a few before it, as long as that doesn't cost more than a round.  `successor` is the next of the session.
    """
    moved = 0
    edges = 0
    spare = len(ops.committed)
    t = len(ops.committed) - 1
    while t >= 0:
        if not ops.committed[t]:
            t -= 1
            continue
        back = -1
        if successor[t] >= 0:
            moved += before(places, t, successor[t])
        for i in range(ops.first[t], ops.first[t + 1]):
            b = overwriter(ops, slots, i, t)
            if b >= 0:
                edges += 1
                moved += before(places, t, b)
        for i in range(ops.first[t], ops.first[t + 1]):
            a = author(ops, slots, i, t)
            if a >= 0:
                edges += 1
                if before(places, a, t):
                    moved += 1
                    back = max(back, a)
        if back > t and spare > 0:
            again = min(back + NEAR, len(ops.committed) - 1)
            spare -= again - t
            t = again
        else:
            t -= 1
    return moved, edges


def pull_listed(source: Int32s, target: Int32s, places: Places) -> int:
    """The same for edges that are listed."""
    moved = 0
    for e in range(len(source) - 1, -1, -1):
        moved += before(places, source[e], target[e])
    return moved


def listed(start: int, end: int, ops: Operations, slots: Slots, edges: Edges) -> int:
    """The edges that transactions `start` to `end` show; returns how many: at most two a micro-operation."""
    count = 0
    for t in range(start, end):
        if not ops.committed[t]:
            continue
        for i in range(ops.first[t], ops.first[t + 1]):
            b = overwriter(ops, slots, i, t)
            if b >= 0:
                enter(edges, count, t, b, _WW if ops.write[i] else _RW, i)
                count += 1
            a = author(ops, slots, i, t)
            if a >= 0:
                enter(edges, count, a, t, _WR, i)
                count += 1
    return count


def enter(edges: Edges, at: int, a: int, b: int, kind: int, via: int) -> None:
    """One edge into its place."""
    edges.source[at] = a
    edges.target[at] = b
    edges.kind[at] = kind
    edges.via[at] = via


def cover(source: Int32s, target: Int32s, rank: Int32s, covered: Int64s) -> int:
    """Mark the stretch between the ends of each edge that leads backward; returns how many do."""
    found = 0
    for e in range(len(source)):
        a = rank[source[e]]
        b = rank[target[e]]
        if a > b:
            covered[b] += 1
            covered[a] -= 1
            found += 1
    return found
