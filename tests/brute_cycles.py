"""Every dependency between every two transactions, every simple cycle, and what each cycle is called."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.history.transactions import PREDICATE_RW, PROCESS, REALTIME, RW, WR, WW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.brute_model import Transaction, World

#: From a source to a target: the strongest kind of data edge, and those of session and time; at least one of them.
Graph: TypeAlias = dict[tuple[int, int], frozenset[int]]

#: Row, version that the source touched, version that the target touched; None where no version shows it.
Reason: TypeAlias = tuple[int, int | None, int | None]

KIND_NAMES = {WW: "ww", WR: "wr", RW: "rw", PREDICATE_RW: "predicate-rw", PROCESS: "process", REALTIME: "realtime"}

_ORDER = frozenset({PROCESS, REALTIME})
_ITEM = frozenset({WW, WR, RW})

#: Class of cycles -> kinds of data edges that such a cycle may have.
CLASSES: dict[str, frozenset[int]] = {
    "G0": frozenset({WW}),
    "G1c": frozenset({WW, WR}),
    "G-single-item": _ITEM,
    "G-nonadjacent-item": _ITEM,
    "G2-item": _ITEM,
    "G-single": frozenset({WW, WR, PREDICATE_RW}),
    "G-nonadjacent": _ITEM | {PREDICATE_RW},
    "G2": _ITEM | {PREDICATE_RW},
}


def reasons(world: World, a: Transaction, b: Transaction) -> Iterator[tuple[int, Reason]]:
    """Every dependency of b on a: its kind and the reason for it."""
    for row in world.rows():
        known = world.known(row)
        for version in known:
            if a.wrote(row, version) and _next_writer(world, row, version) == b.number:
                yield WW, (row, version, _after(known, version))
            if a.wrote(row, version) and b.read(row, version):
                yield WR, (row, version, version)
        for operation in a.operations:
            seen = operation.version
            reads = not operation.write and operation.row == row
            if reads and seen is not None and _next_writer(world, row, seen) == b.number:
                yield RW, (row, seen, _after(known, seen))
    yield from ((kind, (row, None, None)) for s, t, kind, row in world.explicit if (s, t) == (a.number, b.number))
    if a.session == b.session >= 0 and a.number < b.number:
        yield PROCESS, (-1, None, None)
    if a.complete < b.invoke:
        yield REALTIME, (-1, None, None)


def _after(known: Sequence[int], version: int) -> int | None:
    """The least of the known versions after this one."""
    return next((v for v in known if v > version), None)


def _next_writer(world: World, row: int, version: int) -> int | None:
    """Who wrote the next known version after this one."""
    after = _after(world.known(row), version)
    if after is None:
        return None
    (writer,) = world.writers(row, after)
    return writer


def graph(world: World) -> Graph:
    """The dependencies between each two committed transactions that have one."""
    found: Graph = {}
    for a in world.committed:
        for b in world.committed:
            if a is not b:
                kinds = {kind for kind, _ in reasons(world, a, b)}
                if kinds:
                    found[a.number, b.number] = counting(kinds)
    return found


def counting(kinds: Iterable[int]) -> frozenset[int]:
    """Of several dependencies between two transactions: the strongest of data; session and time stand beside it."""
    every = set(kinds)
    data = every - _ORDER
    return frozenset(({min(data)} if data else set()) | every & _ORDER)


def simple_cycles(edges: Graph) -> Iterator[tuple[int, ...]]:
    """Every cycle that visits no transaction twice, from its least transaction on."""
    nodes = sorted({node for edge in edges for node in edge})
    targets = {node: [b for b in nodes if (node, b) in edges] for node in nodes}

    def extend(path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for target in targets[path[-1]]:
            if target == path[0]:
                yield path
            elif target > path[0] and target not in path:
                yield from extend((*path, target))

    for node in nodes:
        yield from extend((node,))


def kinds_of(edges: Graph, cycle: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every choice of edges that makes the cycle, in its order; what comes later in a session comes later in time."""
    hops = [edges[a, b] for a, b in zip(cycle, (*cycle[1:], cycle[0]), strict=True)]
    return product(*(hop - {REALTIME} if PROCESS in hop else hop for hop in hops))


def name_of(kinds: Sequence[int]) -> str:
    """The name of a cycle of these kinds of edges; "" where no data edge is in it."""
    data = _data_class(kinds)
    return data and data + _variant(kinds)


def _variant(kinds: Sequence[int]) -> str:
    """Which of sessions and time a cycle needs."""
    if REALTIME in kinds:
        return "-realtime"
    return "-process" if PROCESS in kinds else ""


def _data_class(kinds: Sequence[int]) -> str:
    """What a cycle's data edges make it."""
    anti = [kind in {RW, PREDICATE_RW} for kind in kinds]
    item = "" if PREDICATE_RW in kinds else "-item"
    if not any(anti):
        if WR in kinds:
            return "G1c"
        return "G0" if WW in kinds else ""
    if sum(anti) == 1:
        return "G-single" + item
    adjacent = any(here and there for here, there in zip(anti, [*anti[1:], anti[0]], strict=True))
    return ("G2" if adjacent else "G-nonadjacent") + item


def cycle_names(edges: Graph) -> frozenset[str]:
    """The names of all cycles that there are."""
    return frozenset().union(*_names(edges).values())


def _names(edges: Graph) -> dict[tuple[int, ...], frozenset[str]]:
    """The names of each cycle, one for each choice of its edges; those without data edges have none."""
    return {
        cycle: frozenset(name_of(kinds) for kinds in kinds_of(edges, cycle)) - {""} for cycle in simple_cycles(edges)
    }


def reported(edges: Graph) -> frozenset[str]:
    """The names that a checker must report: per class the least variant in each place."""
    names = _names(edges)
    everywhere = cycle_names(edges)
    found: set[str] = set()
    for data, kinds in CLASSES.items():
        if data in everywhere:
            found.add(data)
        for variant, lesser, more in (
            ("-process", ("",), {PROCESS}),
            ("-realtime", ("", "-process"), {PROCESS, REALTIME}),
        ):
            allowed = {edge for edge, hop in edges.items() if hop & (kinds | more)}
            places = [_within(names, place) for place in components(allowed)]
            if any(data + variant in place and not place & {data + less for less in lesser} for place in places):
                found.add(data + variant)
    return frozenset(found)


def _within(names: Mapping[tuple[int, ...], frozenset[str]], place: frozenset[int]) -> frozenset[str]:
    """The names of the cycles that lie in a place."""
    return frozenset().union(*(each for cycle, each in names.items() if place.issuperset(cycle)))


def components(edges: Iterable[tuple[int, int]]) -> set[frozenset[int]]:
    """The strongly connected components of two or more transactions."""
    pairs = set(edges)
    nodes = {node for edge in pairs for node in edge}
    reach = {node: {b for a, b in pairs if a == node} for node in nodes}
    changed = True
    while changed:
        changed = False
        for node in nodes:
            further = reach[node].union(*(reach[b] for b in reach[node]))
            changed = changed or further != reach[node]
            reach[node] = further
    found = {frozenset({b for b in reach[node] if node in reach[b]}) for node in nodes}
    return {component for component in found if len(component) > 1}
