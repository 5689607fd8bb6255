"""Looks for a simple cycle by trying every path: only where the watched search met a transaction twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.history.transactions import PREDICATE_RW, RW
from orchestrator.verifier.dependencies.kernels.searching import ANY, NONADJACENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.history.transactions import Int32s
    from orchestrator.verifier.dependencies.anomalies import CycleClass
    from orchestrator.verifier.dependencies.graph import Graph

_ANTI: Final = (RW, PREDICATE_RW)


def simple_cycle(
    graph: Graph, shape: CycleClass, order: int, component: Int32s, starts: list[int], budget: int
) -> tuple[tuple[int, ...] | None, int]:
    """A cycle of the class that begins with one of these edges, all of one component; and what is left of the budget.

    Nothing left: not all paths were tried.
    """
    for start in starts:
        path = [start]
        choices = [_choices(graph, shape, order, component, start, start)]
        met = [int(graph.target[start])]  # moments may be met again
        while choices:
            budget -= 1
            if budget <= 0:
                return None, 0
            edge = next(choices[-1], None)
            if edge is None:
                choices.pop()
                path.pop()
                met.pop()
                continue
            if graph.target[edge] == graph.source[start]:
                if _is_one(graph, shape, [*path, edge]):
                    return (*path, edge), budget
                continue
            if graph.target[edge] >= graph.size or int(graph.target[edge]) not in met:
                path.append(edge)
                met.append(int(graph.target[edge]))
                choices.append(_choices(graph, shape, order, component, start, edge))
    return None, budget


def _choices(graph: Graph, shape: CycleClass, order: int, component: Int32s, start: int, last: int) -> Iterator[int]:
    """Edges that may follow the last one."""
    node = int(graph.target[last])
    for edge in range(graph.begin[node], graph.begin[node + 1]):
        closing = graph.target[edge] == graph.source[start]
        allowed = shape.closing(order) if closing else shape.inner | order
        if component[graph.target[edge]] == component[node] and allowed >> int(graph.kind[edge]) & 1:
            yield edge


def _is_one(graph: Graph, shape: CycleClass, edges: list[int]) -> bool:
    """What the class wants beyond its kinds of edges."""
    if shape.watch == ANY:
        return True
    kinds = [int(graph.kind[edge]) for edge in edges]
    anti = [kind in _ANTI for kind in kinds]
    if shape.watch == NONADJACENT:
        return sum(anti) > 1 and not any(one and other for one, other in zip(anti, anti[1:] + anti[:1], strict=True))
    return PREDICATE_RW in kinds
