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

#: Edges that may be tried.
_BUDGET: Final = 200_000

_ANTI: Final = (RW, PREDICATE_RW)


def simple_cycle(
    graph: Graph, shape: CycleClass, order: int, component: Int32s, starts: Int32s, number: int
) -> tuple[tuple[int, ...] | None, bool]:
    """A cycle of the class in the component, and whether all paths were tried."""
    left = _BUDGET
    for start in starts[component[graph.source[starts]] == number].tolist():
        path = [start]
        choices = [_choices(graph, shape, order, component, start, start, number)]
        met = [int(graph.target[start])]  # moments may be met again
        while choices:
            left -= 1
            if left < 0:
                return None, False
            edge = next(choices[-1], None)
            if edge is None:
                choices.pop()
                path.pop()
                met.pop()
                continue
            if graph.target[edge] == graph.source[start]:
                if _is_one(graph, shape, [*path, edge]):
                    return (*path, edge), True
                continue
            if graph.target[edge] >= graph.size or int(graph.target[edge]) not in met:
                path.append(edge)
                met.append(int(graph.target[edge]))
                choices.append(_choices(graph, shape, order, component, start, edge, number))
    return None, True


def _choices(
    graph: Graph, shape: CycleClass, order: int, component: Int32s, start: int, last: int, number: int
) -> Iterator[int]:
    """Edges that may follow the last one."""
    node = int(graph.target[last])
    for edge in range(graph.begin[node], graph.begin[node + 1]):
        closing = graph.target[edge] == graph.source[start]
        allowed = shape.closing(order) if closing else shape.inner | order
        if component[graph.target[edge]] == number and allowed >> int(graph.kind[edge]) & 1:
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
