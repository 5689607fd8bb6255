"""Finds cycles: class after class, the least variant first, only inside strongly connected components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.history.transactions import PREDICATE_RW, RW
from orchestrator.verifier.dependencies.anomalies import CYCLES, OF_PREDICATES, VARIANTS, bits
from orchestrator.verifier.dependencies.compiled import run
from orchestrator.verifier.dependencies.exhaustive import simple_cycle
from orchestrator.verifier.dependencies.graph import alternating, components
from orchestrator.verifier.dependencies.kernels.searching import (
    STATES,
    Found,
    Network,
    Shape,
    Tried,
    Walk,
    search,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.history.transactions import Bools, Int32s
    from orchestrator.verifier.dependencies.anomalies import CycleClass
    from orchestrator.verifier.dependencies.graph import Graph

#: Cycles looked for in one component; beyond, only shorter ones.
_QUOTA: Final = 10

#: Edges that one search may look at, and cycles that it may find.
BUDGET: Final = 40_000_000
#: Paths that are tried for a class where the search can't tell: so many, and so many more for each such component.
_PATHS: Final = 200_000
_PATHS_EACH: Final = 50
#: As many are looked at, from as many edges to start from, before compiling pays.
_UNCOMPILED: Final = 100_000
_FEW: Final = 5_000
_MOST: Final = 100_000

_ANTI: Final = bits(RW, PREDICATE_RW)


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """Edges in order, by their place in the graph; the last leads back to where the first began."""

    anomaly: str
    edges: tuple[int, ...]
    #: Transactions in it.
    length: int


@dataclass(frozen=True, kw_only=True)
class Cycles:
    """What a graph's cycles are."""

    #: The shortest first within each anomaly, each set of transactions once.
    found: dict[str, tuple[Cycle, ...]]
    #: Exact where `exact` has the name: components that hold such a cycle; else how many were found.
    counts: dict[str, int]
    exact: frozenset[str]
    #: Searches that ended at their bound: the anomaly, and in how many transactions it was looked for.
    gave_up: dict[str, int]


def cycles(graph: Graph, *, process: bool, realtime: bool) -> Cycles:
    """Search every class in every variant that has its edges."""
    result = Cycles(found={}, counts={}, exact=frozenset(("G0", "G1c")), gave_up={})
    whole = components(graph, -1)
    if not (whole >= 0).any():
        return result
    wanted = {"": True, "-process": process, "-realtime": realtime}
    variants = {name: kinds for name, kinds in VARIANTS.items() if wanted[name]}
    predicates = bool((graph.kind == PREDICATE_RW).any())
    for name, shape in CYCLES.items():
        if predicates or name not in OF_PREDICATES:
            _class(graph, name, shape, variants, result)
    return result


def _class(graph: Graph, name: str, shape: CycleClass, variants: dict[str, int], result: Cycles) -> None:
    """Each variant where no lesser one was found."""
    told = np.zeros(graph.nodes, dtype=np.bool_)
    for variant, order in variants.items():
        component = components(graph, shape.start | shape.inner | shape.close | order)
        count = int(component.max()) + 1
        skip = np.zeros(count + 1, dtype=np.bool_)  # the last place is that of component -1
        skip[component[told]] = True
        skip[count] = True
        starts = _starts(graph, shape, order, component, skip)
        anomaly = name + variant
        found, unsure = _search(graph, shape, order, component, starts)
        there = dict.fromkeys(int(component[graph.source[cycle[0]]]) for cycle in found)
        tried, open_ = _tried(graph, shape, order, component, starts, unsure)
        found += tried
        there |= dict.fromkeys(int(component[graph.source[cycle[0]]]) for cycle in tried)
        if open_:
            result.gave_up[anomaly] = int(np.isin(component[: graph.size], open_).sum())
        told |= np.isin(component, list(there)) & (component >= 0)
        if found:
            shown = _distinct(graph, anomaly, found)
            result.found[anomaly] = shown
            result.counts[anomaly] = len(there) if name in result.exact else len(shown)


def _tried(
    graph: Graph, shape: CycleClass, order: int, component: Int32s, starts: Int32s, unsure: list[int]
) -> tuple[list[tuple[int, ...]], list[int]]:
    """Cycles in components of which the search couldn't tell, by trying every path; and those left undecided."""
    found, open_, budget = [], [], _PATHS + _PATHS_EACH * len(unsure)
    of = component[graph.source[starts]]
    by_component = np.argsort(of, kind="stable")
    first = np.searchsorted(of[by_component], unsure, side="left")
    last = np.searchsorted(of[by_component], unsure, side="right")
    for number, begin, end in zip(unsure, first.tolist(), last.tolist(), strict=True):
        some = starts[by_component[begin:end]].tolist()
        cycle, budget = simple_cycle(graph, shape, order, component, some, budget)
        if cycle is not None:
            found.append(cycle)
        elif not budget:
            open_.append(number)
    return found, open_


def _starts(graph: Graph, shape: CycleClass, order: int, component: Int32s, skip: Bools) -> Int32s:
    """Edges that a cycle of the class has at least one of, where one could be."""
    inside = component[graph.source] == component[graph.target]
    some = np.flatnonzero(
        inside & ~skip[component[graph.source]] & ((shape.start >> graph.kind.astype(np.int64)) & 1 > 0)
    ).astype(np.int32)
    if shape.alternates and len(some):
        plain = (shape.inner | shape.close | order) & ~_ANTI
        some = some[np.isin(some, alternating(graph, plain, _ANTI & (shape.start | shape.inner)))]
    return some


def _search(
    graph: Graph, shape: CycleClass, order: int, component: Int32s, starts: Int32s
) -> tuple[list[tuple[int, ...]], list[int]]:
    """Cycles as edges, and the components of which the search can't tell whether there is one."""
    if not len(starts):
        return [], []
    if len(starts) < _FEW:
        listed, unsure, turns = _bounded(graph, shape, order, component, starts, _UNCOMPILED, 0)
        if turns <= _UNCOMPILED:
            return listed, unsure
    listed, unsure, _ = _bounded(graph, shape, order, component, starts, BUDGET, BUDGET)
    return listed, unsure


def _bounded(
    graph: Graph, shape: CycleClass, order: int, component: Int32s, starts: Int32s, budget: int, work: int
) -> tuple[list[tuple[int, ...]], list[int], int]:
    count, states = int(component.max()) + 1, graph.nodes * STATES
    tried = Tried(*np.zeros((2, count), dtype=np.int32), *np.zeros((2, count), dtype=np.bool_))
    walk = Walk(*(np.zeros(states + 1, dtype=np.int32) for _ in Walk._fields))
    most = min(_MOST, len(starts))
    found = Found(edges=np.zeros(most * 16 + 3 * graph.nodes, dtype=np.int32), ends=np.zeros(most, dtype=np.int64))
    network = Network(graph.size, graph.begin, graph.source, graph.target, graph.kind, component)
    kinds = Shape(inner=shape.inner | order, close=shape.closing(order), watch=shape.watch)
    number, turns = run(search, work, network, kinds, starts, _QUOTA, budget, tried, walk, found)
    cycles_ = [tuple(each.tolist()) for each in np.split(found.edges, found.ends[:number])[:number]]
    return cycles_, np.flatnonzero((tried.unsure | tried.gave_up) & (tried.found == 0)).tolist(), turns


def _distinct(graph: Graph, anomaly: str, found: list[tuple[int, ...]]) -> tuple[Cycle, ...]:
    """Each set of transactions once, the fewest first."""
    seen: dict[frozenset[int], Cycle] = {}
    for edges in found:
        members = frozenset(node for node in graph.source[list(edges)].tolist() if node < graph.size)
        if members not in seen:
            seen[members] = Cycle(anomaly=anomaly, edges=edges, length=len(members))
    return tuple(sorted(seen.values(), key=lambda cycle: cycle.length))


def hops(graph: Graph, cycle: Cycle) -> Iterator[tuple[int, int, int, int]]:
    """The cycle's steps from transaction to transaction: source, target, kind, and the edge that shows it."""
    edges = list(cycle.edges)
    while edges:
        first = edges.pop(0)
        last = first
        while graph.target[last] >= graph.size:  # through moments to the next transaction
            last = edges.pop(0)
        source, target = graph.transaction[graph.source[first]], graph.transaction[graph.target[last]]
        yield int(source), int(target), int(graph.kind[first]), int(graph.via[first])
