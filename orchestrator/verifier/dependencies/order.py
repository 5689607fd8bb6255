"""The certificate: an order of transactions in which every dependency leads forward proves that there is no cycle.

Adya 1999, section 3.3: a history is serializable if its serialization graph has no cycle; a graph has none if, and
only if, some order of its nodes puts every edge's source before its target.  The order tried is that of completion,
with each transaction moved before the first that depends on it; an unknown one has no place of its own.  Edges are
tested as they are read off the slots, none is stored.  What leads backward bounds where a cycle can be: all its
transactions stand within overlapping stretches of backward edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.dependencies.compiled import run
from orchestrator.verifier.dependencies.kernels.ordering import (
    Edges,
    Places,
    cover,
    listed,
    next_of_session,
    pull,
    pull_listed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.history.transactions import Int32s, Int64s
    from orchestrator.verifier.dependencies.versions import Versions

#: Rounds of moving transactions before what depends on them; each is one pass.
_ROUNDS: Final = 12

#: Transactions whose edges are looked at in one go where they are stored at all.
_BLOCK: Final = 65_536


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What the certificate says."""

    #: Per transaction: the stretch of the order in which a cycle through it would be; -1: no cycle can be there.
    stretch: Int32s
    #: Data dependencies tested.
    edges: int
    #: Transactions in stretches.
    suspects: int
    #: Backward edges that remained.
    backward: int


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Which orders beside the data's count."""

    process: bool
    realtime: bool


def certify(versions: Versions, orders: Orders) -> Order:
    """Test every dependency against a witness order."""
    history, size = versions.history, len(versions.ops.committed)
    places = Places(
        position=history.complete.copy() if orders.realtime else np.arange(size, dtype=np.int64),
        depth=np.zeros(size, dtype=np.int32),
    )
    moved, edges = _pulled(versions, orders, places)
    late = np.zeros(0, dtype=np.int64)
    if orders.realtime:
        # Who completed before another began stands before it, if that one was not moved before its own beginning.
        late = np.flatnonzero(versions.ops.committed & (places.position < history.invoke))
    if not moved and not len(late):
        return Order(stretch=np.full(size, -1, dtype=np.int32), edges=edges, suspects=0, backward=0)
    return _stretches(versions, orders, places, late)


def _pulled(versions: Versions, orders: Orders, places: Places) -> tuple[int, int]:
    """Rounds until nothing moves, or moving doesn't help; returns what moved last, and edges tested in a round."""
    history, committed = versions.history, versions.ops.committed
    source, target, _ = explicit(versions)
    successor = np.full(len(committed), -1, dtype=np.int32)
    if orders.process:
        last = np.full(int(history.session.max()) + 1, -1, dtype=np.int32)
        run(next_of_session, len(committed), committed, history.session, last, successor)
    before = None
    moved = edges = 0
    for _ in range(_ROUNDS):
        moved, edges = run(pull, history.size, versions.ops, versions.slots, successor, places)
        moved += run(pull_listed, len(source), source, target, places)
        if not moved or (before is not None and moved >= before):
            break
        before = moved
    return moved, edges + len(source)


def blocks(versions: Versions) -> list[tuple[int, int]]:
    """Ranges of transactions whose edges are looked at in one go."""
    size = len(versions.ops.committed)
    return [(start, min(start + _BLOCK, size)) for start in range(0, size, _BLOCK)]


def shown(versions: Versions, start: int, end: int) -> Edges:
    """The data edges that a range of transactions shows."""
    room = 2 * int(versions.ops.first[end] - versions.ops.first[start])
    edges = Edges(
        source=np.empty(room, dtype=np.int32),
        target=np.empty(room, dtype=np.int32),
        kind=np.empty(room, dtype=np.int8),
        via=np.empty(room, dtype=np.int64),
    )
    count = run(listed, room, start, end, versions.ops, versions.slots, edges)
    return Edges(edges.source[:count], edges.target[:count], edges.kind[:count], edges.via[:count])


def explicit(versions: Versions) -> tuple[Int32s, Int32s, Int64s]:
    """Source, target and number of the explicit edges between two committed transactions."""
    edges, committed = versions.history.edges, versions.ops.committed
    real = np.flatnonzero(committed[edges.source] & committed[edges.target] & (edges.source != edges.target))
    return edges.source[real], edges.target[real], real


def _stretches(versions: Versions, orders: Orders, places: Places, late: Int64s) -> Order:
    """Overlapping stretches of backward edges, made one."""
    size = len(places.position)
    order = np.lexsort((-places.depth, places.position))
    rank = np.empty(size, dtype=np.int32)
    rank[order] = np.arange(size, dtype=np.int32)
    covered = np.zeros(size + 1, dtype=np.int64)
    edges = backward = 0
    for source, target, is_data in _pairs(versions, orders):
        edges += len(source) * is_data
        backward += run(cover, len(source), source, target, rank, covered)
    if len(late):
        # Whoever completed before a late one began stands before that moment.
        reach = np.searchsorted(places.position[order], versions.history.invoke[late]) - 1
        wide = reach > rank[late]
        np.add.at(covered, rank[late[wide]], 1)
        np.add.at(covered, reach[wide], -1)
        backward += int(wide.sum())
    inside = np.cumsum(covered)[:size]
    joined = np.zeros(size, dtype=np.bool_)  # ranks that stand in one stretch with the rank before
    joined[1:] = inside[:-1] > 0
    member = joined.copy()
    member[:-1] |= joined[1:]
    numbers = np.cumsum(~joined) - 1
    stretch = np.full(size, -1, dtype=np.int32)
    stretch[order[member]] = numbers[member]
    stretch[~versions.ops.committed] = -1
    return Order(stretch=stretch, edges=edges, suspects=int((stretch >= 0).sum()), backward=backward)


def _pairs(versions: Versions, orders: Orders) -> Iterator[tuple[Int32s, Int32s, bool]]:
    """Sources and targets of all edges but real-time ones, piece by piece, and whether they are data edges."""
    for start, end in blocks(versions):
        edges = shown(versions, start, end)
        yield edges.source, edges.target, True
    yield *explicit(versions)[:2], True
    if orders.process:
        session = versions.history.session
        some = np.flatnonzero(versions.ops.committed & (session >= 0))
        some = some[np.argsort(session[some], kind="stable")].astype(np.int32)
        same = np.diff(session[some]) == 0
        yield some[:-1][same], some[1:][same], False
