"""Cycles of one class: a breadth-first search from each edge that every such cycle must have, within a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from orchestrator.history.transactions import Bools, Int8s, Int32s, Int64s

#: How a walk is watched: not at all; that it has several anti-dependencies, no two adjacent; that one is a predicate's.
ANY, NONADJACENT, PREDICATE = range(3)

#: States of a watched walk: bit 0: the last edge was an anti-dependency; bit 1: what is wanted has been seen.
STATES: Final = 4
_LAST: Final = 1
_SEEN: Final = 2

#: Kinds of edges, as in `orchestrator.history.transactions`.
_RW: Final = 2
_PREDICATE_RW: Final = 3

#: What `step` says of an edge that can't be taken.
_REFUSED: Final = -1

_UNLIMITED: Final = 2**30


class Network(NamedTuple):
    """Edges by their source; nodes below `size` are transactions, the others moments: steps from there cost nothing."""

    size: int
    begin: Int64s
    source: Int32s
    target: Int32s
    kind: Int8s
    #: Per node: its strongly connected component, or -1.
    component: Int32s


class Shape(NamedTuple):
    """Bits of the kinds that edges within a cycle may have, and the last one; and how the walk is watched."""

    inner: int
    close: int
    watch: int


class Tried(NamedTuple):
    """Per component: cycles found, the least length, if a walk met a transaction twice, and if the bound was met."""

    found: Int32s
    best: Int32s
    unsure: Bools
    gave_up: Bools


class Walk(NamedTuple):
    """Scratch: per node and state who came there, when, at what length, from where, by which edge; and two queues."""

    reached: Int32s
    length: Int32s
    parent: Int32s
    by: Int32s
    met: Int32s
    now: Int32s
    later: Int32s


class Found(NamedTuple):
    """Room for cycles: their edges one after another, and where each ends."""

    edges: Int32s
    ends: Int64s


def search(
    net: Network, shape: Shape, starts: Int32s, quota: int, budget: int, tried: Tried, walk: Walk, found: Found
) -> tuple[int, int]:
    """The shortest cycle through each start edge u -> v; returns how many were found, and the edges looked at.

    u is met again only at the end, so that a walk that isn't watched is simple.  A watched one may meet another
    transaction twice; such a one is not taken, and its component is `unsure`.  Once a component has `quota` cycles,
    only shorter ones are looked for.
    """
    turns = 0
    cycles = 0
    filled = 0
    for x in range(len(starts)):
        c = net.component[net.source[starts[x]]]
        limit = _UNLIMITED if tried.found[c] < quota else tried.best[c] - 1
        if limit <= 1:
            continue
        if turns > budget or cycles == len(found.ends):
            tried.gave_up[c] = tried.gave_up[c] or tried.found[c] == 0
            continue
        state, edge, length, looked = walked(net, shape, starts[x], limit, x + 1, tried, walk)
        turns += looked
        if state < 0:
            continue
        edges = traced(walk, found, filled, state, edge)
        if edges < 0:
            tried.gave_up[c] = tried.gave_up[c] or tried.found[c] == 0
            continue
        filled += edges
        found.ends[cycles] = filled
        cycles += 1
        if tried.found[c] == 0 or length < tried.best[c]:
            tried.best[c] = length
        tried.found[c] += 1
    return cycles, turns


def walked(
    net: Network, shape: Shape, first: int, limit: int, token: int, tried: Tried, walk: Walk
) -> tuple[int, int, int, int]:
    """The last state and edge of the shortest cycle that begins with an edge, its length, and the edges looked at."""
    u = net.source[first]
    state = net.target[first] * STATES + opening(shape.watch, net.kind[first])
    arrive(walk, state, token, 1, -1, first)
    now, later = walk.now, walk.later
    now[0] = state
    waiting = 1
    level = 1
    turns = 0
    while waiting > 0 and level < limit:
        coming = 0
        at = 0
        while at < waiting:
            state = now[at]
            at += 1
            if walk.length[state] != level:
                continue
            node = state // STATES
            cost = 1 if node < net.size else 0
            for e in range(net.begin[node], net.begin[node + 1]):
                turns += 1
                w = net.target[e]
                inside = net.component[w] == net.component[u]
                bits = step(shape, net.kind[e], state % STATES, w == u) if inside else _REFUSED
                if bits == _REFUSED:
                    continue
                if w == u:
                    if shape.watch == ANY or simple(net, walk, state, token):
                        return state, e, level + cost, turns
                    tried.unsure[net.component[u]] = True
                    continue
                following = w * STATES + bits
                if walk.reached[following] == token and walk.length[following] <= level + cost:
                    continue
                arrive(walk, following, token, level + cost, state, e)
                if cost == 0:
                    now[waiting] = following
                    waiting += 1
                else:
                    later[coming] = following
                    coming += 1
        now, later = later, now
        waiting = coming
        level += 1
    return -1, -1, 0, turns


def opening(watch: int, kind: int) -> int:
    """The state after the first edge."""
    if watch == NONADJACENT:
        return _LAST
    return _SEEN if watch == PREDICATE and kind == _PREDICATE_RW else 0


def step(shape: Shape, kind: int, bits: int, closing: bool) -> int:  # noqa: FBT001 - a fact, not an option
    """The state after one more edge, or that it can't be taken."""
    if not (shape.close if closing else shape.inner) >> kind & 1:
        return _REFUSED
    if shape.watch == NONADJACENT:
        if kind in (_RW, _PREDICATE_RW):
            return _REFUSED if closing or bits & _LAST else _LAST | _SEEN
        return _REFUSED if closing and not bits & _SEEN else bits & _SEEN
    if shape.watch == PREDICATE:
        bits = _SEEN if kind == _PREDICATE_RW else bits
        return _REFUSED if closing and not bits else bits
    return 0


def arrive(walk: Walk, state: int, token: int, length: int, parent: int, by: int) -> None:
    """Note how a state was come to."""
    walk.reached[state] = token
    walk.length[state] = length
    walk.parent[state] = parent
    walk.by[state] = by


def simple(net: Network, walk: Walk, state: int, token: int) -> bool:
    """Does the walk that ends here meet no transaction twice; moments it may."""
    alone = True
    back = state
    while back >= 0:
        alone = alone and (back // STATES >= net.size or walk.met[back // STATES] != token)
        walk.met[back // STATES] = token
        back = walk.parent[back]
    back = state
    while back >= 0:  # ready for the next walk of this token
        walk.met[back // STATES] = 0
        back = walk.parent[back]
    return alone


def traced(walk: Walk, found: Found, filled: int, state: int, edge: int) -> int:
    """Write a cycle's edges down; returns how many, or -1 where there is no room."""
    length = 1
    back = state
    while back >= 0:
        length += 1
        back = walk.parent[back]
    if filled + length > len(found.edges):
        return -1
    at = filled + length - 1
    found.edges[at] = edge
    back = state
    while back >= 0:
        at -= 1
        found.edges[at] = walk.by[back]
        back = walk.parent[back]
    return length
