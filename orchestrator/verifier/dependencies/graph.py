"""The dependency graph of the transactions that could be in a cycle, and its strongly connected components.

Session and real-time order would take an edge for each pair; instead each gets a chain of moments: a transaction leads
to the moment of its end, a moment to the next one, and to the transactions that began after it and before the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.history.transactions import NEVER, PROCESS, REALTIME
from orchestrator.verifier.dependencies.compiled import run
from orchestrator.verifier.dependencies.kernels.components import Scratch, strong
from orchestrator.verifier.dependencies.order import blocks, explicit, shown

if TYPE_CHECKING:
    from orchestrator.history.transactions import Bools, Int8s, Int32s, Int64s
    from orchestrator.verifier.dependencies.order import Order, Orders
    from orchestrator.verifier.dependencies.versions import Versions

#: In `via`: the edge is an explicit one, whose number is `EXPLICIT - via`; or no single thing shows it.
EXPLICIT: Final = -2
NOTHING: Final = -1

#: Bytes for each micro-operation and each transaction of a graph, measured on histories of garbage.
_PER_OPERATION: Final = 200
_PER_TRANSACTION: Final = 400


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Edges by their source; nodes below `size` are transactions, the others moments."""

    #: Per node below `size`: the transaction's number.
    transaction: Int32s
    #: Nodes in all.
    nodes: int
    #: nodes + 1: where each node's edges begin.
    begin: Int64s
    source: Int32s
    target: Int32s
    kind: Int8s
    #: Micro-operation, or explicit edge, that shows it.
    via: Int64s

    @property
    def size(self) -> int:
        """How many nodes are transactions."""
        return len(self.transaction)


def graph_bytes(versions: Versions, order: Order) -> int:
    """About how many bytes building and searching the graph takes, known before it is built."""
    suspect = order.stretch >= 0
    operations = int(np.diff(versions.ops.first)[suspect].sum())
    return _PER_OPERATION * operations + _PER_TRANSACTION * int(suspect.sum())


def build(versions: Versions, order: Order, orders: Orders) -> Graph:
    """All edges between transactions of one stretch; of several data edges between a pair the strongest stays."""
    transaction = np.flatnonzero(order.stretch >= 0).astype(np.int32)
    local = np.full(len(order.stretch), -1, dtype=np.int32)
    local[transaction] = np.arange(len(transaction), dtype=np.int32)
    source, target, kind, via = _data(versions, order)
    parts = [_strongest(local[source], local[target], kind, via)]
    nodes = len(transaction)
    for wanted, chain in ((orders.process, _sessions), (orders.realtime, _moments)):
        if wanted:
            edges, nodes = chain(versions, order, transaction, nodes)
            parts.append(edges)
    columns = [np.concatenate([part[at] for part in parts]) for at in range(4)]
    return _graph(transaction, nodes, columns[0], columns[1], columns[2], columns[3])


def _graph(transaction: Int32s, nodes: int, source: Int32s, target: Int32s, kind: Int8s, via: Int64s) -> Graph:
    by_source = np.argsort(source, kind="stable")
    begin = np.zeros(nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(source, minlength=nodes), out=begin[1:])
    return Graph(
        transaction=transaction,
        nodes=nodes,
        begin=begin,
        source=source[by_source].astype(np.int32),
        target=target[by_source].astype(np.int32),
        kind=kind[by_source].astype(np.int8),
        via=via[by_source].astype(np.int64),
    )


def _data(versions: Versions, order: Order) -> tuple[Int32s, Int32s, Int8s, Int64s]:
    """Data edges within stretches."""
    stretch, parts = order.stretch, []
    for start, end in blocks(versions):
        edges = shown(versions, start, end)
        inside = (stretch[edges.source] >= 0) & (stretch[edges.source] == stretch[edges.target])
        parts.append(tuple(column[inside] for column in edges))
    source, target, number = explicit(versions)
    inside = (stretch[source] >= 0) & (stretch[source] == stretch[target])
    kind = versions.history.edges.kind[number[inside]]
    parts.append((source[inside], target[inside], kind, EXPLICIT - number[inside]))
    columns = [np.concatenate([part[at] for part in parts]) for at in range(4)]
    return columns[0], columns[1], columns[2], columns[3]


def _strongest(source: Int32s, target: Int32s, kind: Int8s, via: Int64s) -> tuple[Int32s, Int32s, Int8s, Int64s]:
    """Of the edges between each ordered pair the strongest."""
    order = np.lexsort((kind, target, source))
    source, target, kind, via = source[order], target[order], kind[order], via[order]
    first = np.ones(len(source), dtype=np.bool_)
    first[1:] = (np.diff(source) != 0) | (np.diff(target) != 0)
    return source[first], target[first], kind[first], via[first]


def _chained(
    group: Int64s, ender: Int64s, starter: Int64s, moment: Int64s, kind: int, nodes: int
) -> tuple[tuple[Int32s, Int32s, Int8s, Int64s], int]:
    """Edges through moments: number i is the end of `ender[i]` in `group[i]`; `starter` follows moment `moment`."""
    moments = nodes + np.arange(len(ender))
    same = np.diff(group) == 0
    after = moment >= 0
    source = np.concatenate([ender, moments[:-1][same], nodes + moment[after]])
    target = np.concatenate([moments, moments[1:][same], starter[after]])
    kinds = np.full(len(source), kind, dtype=np.int8)
    via = np.full(len(source), NOTHING, dtype=np.int64)
    return (source.astype(np.int32), target.astype(np.int32), kinds, via), nodes + len(ender)


def _sessions(
    versions: Versions, order: Order, transaction: Int32s, nodes: int
) -> tuple[tuple[Int32s, Int32s, Int8s, Int64s], int]:
    """Each session's transactions within a stretch."""
    session, stretch = versions.history.session[transaction], order.stretch[transaction]
    members = np.flatnonzero(session >= 0)
    members = members[np.lexsort((stretch[members], session[members]))]
    fresh = np.ones(len(members), dtype=np.bool_)
    fresh[1:] = (np.diff(session[members]) != 0) | (np.diff(stretch[members]) != 0)
    group = np.cumsum(fresh).astype(np.int64)
    moment = np.where(fresh, -1, np.arange(len(members)) - 1)
    return _chained(group, members, members, moment, PROCESS, nodes)


def _moments(
    versions: Versions, order: Order, transaction: Int32s, nodes: int
) -> tuple[tuple[Int32s, Int32s, Int8s, Int64s], int]:
    """Completions in a stretch, and who began after which."""
    history, stretch = versions.history, order.stretch[transaction]
    complete, invoke = history.complete[transaction], history.invoke[transaction]
    ended = np.flatnonzero(complete < NEVER)
    ended = ended[np.lexsort((complete[ended], stretch[ended]))]
    _, ranks = np.unique(np.concatenate([complete[ended], invoke]), return_inverse=True)
    span = np.int64(len(ranks) + 1)
    known = stretch[ended] * span + ranks[: len(ended)]
    place = np.searchsorted(known, stretch * span + ranks[len(ended) :], side="left") - 1
    follows = place >= 0
    follows[follows] = stretch[ended][place[follows]] == stretch[follows]
    everyone = np.arange(len(transaction))
    return _chained(stretch[ended].astype(np.int64), ended, everyone, np.where(follows, place, -1), REALTIME, nodes)


def components(graph: Graph, kinds: int) -> Int32s:
    """Each node's strongly connected component by edges whose bit is set in `kinds`; -1 where it is alone."""
    return _components(graph.begin, graph.target, (kinds >> graph.kind.astype(np.int64)) & 1 > 0)


def alternating(graph: Graph, plain: int, anti: int) -> Int32s:
    """Which `anti` edges are in a closed walk of `plain` edges and of `anti` edges that are never adjacent.

    Snapshot isolation has no such walk (Cerone, Gotsman 2018).  Each node stands twice, the second time for having been
    come to by an `anti` edge: from there only `plain` edges lead on.
    """
    kind = graph.kind.astype(np.int64)
    plains, antis = np.flatnonzero((plain >> kind) & 1 > 0), np.flatnonzero((anti >> kind) & 1 > 0)
    source = np.concatenate([2 * graph.source[plains], 2 * graph.source[plains] + 1, 2 * graph.source[antis]])
    target = np.concatenate([2 * graph.target[plains], 2 * graph.target[plains], 2 * graph.target[antis] + 1])
    order = np.argsort(source, kind="stable")
    begin = np.zeros(2 * graph.nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(source, minlength=2 * graph.nodes), out=begin[1:])
    found = _components(begin, target[order].astype(np.int32), np.ones(len(order), dtype=np.bool_))
    tail, head = found[2 * graph.source[antis]], found[2 * graph.target[antis] + 1]
    chosen: Int32s = antis[(tail >= 0) & (tail == head)].astype(np.int32)
    return chosen


def _components(begin: Int64s, target: Int32s, allowed: Bools) -> Int32s:
    nodes = len(begin) - 1
    component = np.full(nodes, -1, dtype=np.int32)
    scratch = Scratch(np.zeros(nodes, dtype=np.int64), *np.zeros((4, nodes), dtype=np.int32))
    count = run(strong, len(target) + nodes, begin, target, allowed, component, scratch)
    sizes = np.bincount(component, minlength=count)
    component[sizes[component] == 1] = -1
    return component
