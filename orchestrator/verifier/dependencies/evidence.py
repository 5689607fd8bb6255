"""Witnesses: who proves an anomaly, why each transaction comes before the next, and the least history that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orchestrator.history.transactions import PREDICATE_RW, PROCESS, REALTIME, RW, WR, WW
from orchestrator.verifier.dependencies import least
from orchestrator.verifier.dependencies.cycles import hops
from orchestrator.verifier.dependencies.direct import in_words
from orchestrator.verifier.dependencies.graph import EXPLICIT
from orchestrator.verifier.verdict import Participant, Step, Witness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.verifier.dependencies.cycles import Cycle
    from orchestrator.verifier.dependencies.direct import Case
    from orchestrator.verifier.dependencies.graph import Graph
    from orchestrator.verifier.dependencies.versions import Versions

KINDS: Final = ("ww", "wr", "rw", "predicate-rw", "process", "realtime")

_LONG_FORK: Final = (WR, RW, WR, RW)


def of_cycle(versions: Versions, graph: Graph, cycle: Cycle) -> Witness:
    """A cycle's story: each edge with row and versions, and the contradiction."""
    edges = list(hops(graph, cycle))
    members = [source for source, *_ in edges]
    steps = []
    operations: list[int] = []
    explicit = False
    for place, (source, target, kind, via) in enumerate(edges):
        step, shown = _step(versions, (place, (place + 1) % len(edges)), (source, target), kind, via)
        steps.append(step)
        operations += shown
        explicit = explicit or via <= EXPLICIT
    line = " < ".join(f"T{place % len(edges) + 1}" for place in range(len(edges) + 1))
    contradiction = f"{line}: no transaction comes before itself"
    kinds = tuple(kind for *_, kind, _ in edges)
    name = "A long fork: " if kinds in (_LONG_FORK, _LONG_FORK[1:] + _LONG_FORK[:1]) else ""
    sentence = (
        f"{name}{'; '.join(step.sentence for step in steps)}. But then {contradiction}. {_who(versions, members)}"
    )
    history = () if explicit else least.lines(versions, cycle.anomaly, members, operations)
    return Witness(
        anomaly=cycle.anomaly,
        sentence=sentence,
        row=next((step.row for step in steps if step.row), None) if len({step.row for step in steps}) == 1 else None,
        transactions=_participants(versions, members),
        steps=tuple(steps),
        contradiction=contradiction,
        history=history,
    )


def of_case(versions: Versions, case: Case) -> Witness:
    """The story of what needs no graph."""
    return Witness(
        anomaly=case.anomaly,
        sentence=f"{case.sentence} {_who(versions, case.transactions)}",
        row=versions.history.names.row(case.row) if case.row >= 0 else None,
        transactions=_participants(versions, case.transactions),
        history=least.lines(versions, case.anomaly, case.transactions, case.operations, case.row),
    )


def _participants(versions: Versions, members: Sequence[int]) -> tuple[Participant, ...]:
    names = versions.history.names
    return tuple(
        Participant(number=member, name=names.transaction(member), details=dict(names.details(member)))
        for member in members
    )


def _who(versions: Versions, members: Sequence[int]) -> str:
    names = versions.history.names
    return "; ".join(f"T{place} is {names.transaction(member)}" for place, member in enumerate(members, start=1)) + "."


def _step(
    versions: Versions, places: tuple[int, int], ends: tuple[int, int], kind: int, via: int
) -> tuple[Step, tuple[int, ...]]:
    """One edge, and the micro-operations that show it."""
    one, other = (f"T{place + 1}" for place in places)
    so = f"so {one} < {other}"
    known: dict[str, Any] = {"kind": KINDS[kind], "source": places[0], "target": places[1]}
    if kind in (PROCESS, REALTIME):
        why = f"came before {other} in its session" if kind == PROCESS else f"had completed before {other} began"
        return Step(**known, sentence=f"{one} {why}, {so}"), ()
    if via <= EXPLICIT:
        row = versions.history.names.row(int(versions.history.edges.row[EXPLICIT - via]))
        return Step(**known, row=row, sentence=f"{_explicit(kind, one, other, row)}, {so}"), ()
    row_number, before, after, shown = _touched(versions, ends, kind, via)
    row = versions.history.names.row(row_number)
    first, second = (in_words(versions.history, row_number, version) for version in (before, after))
    told = {
        WW: f"{one} wrote {row} at {first}, which {other} overwrote with {second}",
        WR: f"{other} read {row} at {first}, which {one} wrote",
        RW: f"{one} read {row} at {first}, which {other} overwrote with {second}",
    }[kind]
    return Step(**known, row=row, before=before, after=after, sentence=f"{told}, {so}"), shown


def _explicit(kind: int, one: str, other: str, row: str) -> str:
    return {
        WW: f"{one} wrote the end of the longest list that was read of {row}, which lacks what {other} wrote",
        WR: f"{other} read what {one} wrote of {row}",
        RW: f"{one} read the longest list that was read of {row}, which lacks what {other} wrote",
        PREDICATE_RW: f"{one} looked for rows by a condition, before {other} changed whether it finds {row}",
    }[kind]


def _touched(versions: Versions, ends: tuple[int, int], kind: int, via: int) -> tuple[int, int, int, tuple[int, ...]]:
    """Row, the versions that source and target touched, and the micro-operations."""
    history = versions.history
    row, version = int(history.row[via]), int(history.version[via])
    slot = int(versions.slots.base[row]) + version
    if kind == WR:
        return row, version, version, (via, _write(versions, ends[0], row, version))
    following = slot + 1 if not len(versions.slots.following) else int(versions.slots.following[slot + 1])
    after = following - int(versions.slots.base[row])
    return row, version, after, (via, _write(versions, ends[1], row, after))


def _write(versions: Versions, t: int, row: int, version: int) -> int:
    history = versions.history
    for i in range(int(versions.ops.first[t]), int(versions.ops.first[t + 1])):
        if history.write[i] and history.row[i] == row and history.version[i] == version:
            return i
    raise AssertionError(f"transaction {t} did not install version {version} of row {row}")
