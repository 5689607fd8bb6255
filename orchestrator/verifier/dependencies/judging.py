"""From transactions to a judgement: certificate, graph where it fails, anomalies, models, evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.history.transactions import NEVER, PREDICATES
from orchestrator.verifier.dependencies import evidence
from orchestrator.verifier.dependencies.anomalies import ANOMALIES, CYCLES, OF_PREDICATES, VARIANTS
from orchestrator.verifier.dependencies.cycles import Cycles, cycles
from orchestrator.verifier.dependencies.direct import VIOLATIONS, Case, direct, guarantees
from orchestrator.verifier.dependencies.graph import build, graph_bytes
from orchestrator.verifier.dependencies.models import LEVELS, boundary, impossible, rules_out, strongest
from orchestrator.verifier.dependencies.order import Orders, certify
from orchestrator.verifier.dependencies.versions import versions
from orchestrator.verifier.verdict import Judgement, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.history.transactions import Transactions
    from orchestrator.verifier.dependencies.graph import Graph
    from orchestrator.verifier.dependencies.order import Order
    from orchestrator.verifier.dependencies.versions import Versions
    from orchestrator.verifier.verdict import Witness

#: Witnesses told of each anomaly.
SHOWN: Final = 10

#: What is always looked for beside cycles, unless the history's format can't show it.
_DIRECT: Final = (
    *("duplicate-version", "version-gap", "dirty-update", "lost-update", "G1a", "G1b", "garbage-read", "internal"),
    "future-read",
)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """Everything found in a history, before it is held to a level."""

    versions: Versions
    orders: Orders
    order: Order
    graph: Graph | None
    cycles: Cycles
    #: Counts of all anomalies.
    counts: dict[str, int]
    cases: tuple[Case, ...]
    reads: int
    #: Cycles were not searched: the graph would not fit into memory.
    too_large: bool = False


def judge(history: Transactions, level: str = "strong-serializable", memory: int | None = None) -> Judgement:
    """Hold a history to a consistency model, by any of its names in `LEVELS`.

    `memory` bounds the bytes that a graph may take; where a larger one would be needed, cycles are not searched.
    """
    looked = look(history, memory)
    model = LEVELS[level]
    bad = {name for name in looked.counts if rules_out(name, model)}
    gave_up = {name: size for name, size in looked.cycles.gave_up.items() if name not in looked.counts}
    least, others = boundary(looked.counts)
    return Judgement(
        value=_value(looked, bad, any(rules_out(name, model) for name in gave_up)),
        level=model,
        anomalies=dict(sorted(looked.counts.items())),
        at_least=tuple(sorted(name for name in looked.cycles.counts if name not in _exact(looked))),
        ruled_out=least,
        also_ruled_out=others,
        strongest=_strongest(looked, gave_up),
        sessions={name.removesuffix("-violation"): looked.counts.get(name, 0) for name in VIOLATIONS}
        if looked.orders.process
        else {},
        checked=_checked(looked),
        not_checked=_not_checked(looked),
        certificate=_certificate(looked),
        gave_up=_gave_up(looked, gave_up),
        witnesses=_witnesses(looked),
        transactions=int(looked.versions.ops.committed.sum()),
        operations=int(looked.versions.ops.committed[history.txn].sum()),
    )


def look(history: Transactions, memory: int | None = None) -> Looked:
    """Find every anomaly; cycles only where a graph fits into memory."""
    placed = versions(history)
    orders = Orders(
        process="process" not in history.not_checked and bool((history.session >= 0).any()),
        realtime="realtime" not in history.not_checked and bool((history.complete < NEVER).any()),
    )
    order = certify(placed, orders)
    alone = direct(placed)
    counts = {**alone.counts, **history.counts}
    cases = [
        *(
            Case(anomaly=each.anomaly, transactions=each.transactions, row=each.row, sentence=each.sentence)
            for each in history.found
        ),
        *alone.cases,
    ]
    graph, found = None, Cycles(found={}, counts={}, exact=frozenset(), gave_up={})
    too_large = memory is not None and order.suspects and graph_bytes(placed, order) > memory
    if order.suspects and not too_large:
        graph = build(placed, order, orders)
        found = cycles(graph, process=orders.process, realtime=orders.realtime)
    if order.suspects and orders.process:
        sessions = guarantees(placed)
        counts |= sessions.counts
        cases += sessions.cases
    for each in history.found:
        counts.setdefault(each.anomaly, sum(other.anomaly == each.anomaly for other in history.found))
    return Looked(
        versions=placed,
        orders=orders,
        order=order,
        graph=graph,
        cycles=found,
        counts=counts | found.counts,
        cases=tuple(cases),
        reads=alone.reads,
        too_large=bool(too_large),
    )


def _strongest(looked: Looked, gave_up: Iterable[str]) -> tuple[str, ...]:
    """What nothing speaks against, and what was looked at: a search that gave up may have missed what it was for."""
    if _left_out(looked) or looked.too_large or not _is_something(looked):
        return ()
    return strongest({*looked.counts, *gave_up}, process=looked.orders.process, realtime=looked.orders.realtime)


def _left_out(looked: Looked) -> bool:
    """Dependencies are missing, by the word of the format's reader."""
    return bool(looked.versions.history.not_checked.keys() - ANOMALIES.keys() - {"process", "realtime"})


def _is_something(looked: Looked) -> bool:
    """There was a read, or a dependency, to look at; nothing checked is not success."""
    return bool(looked.reads or looked.order.edges)


def _value(looked: Looked, bad: set[str], gave_up: bool) -> Value:  # noqa: FBT001 - a fact, not an option
    if bad:
        return Value.INVALID
    if gave_up or _left_out(looked) or looked.too_large or not _is_something(looked):
        return Value.UNKNOWN
    return Value.VALID


def _gave_up(looked: Looked, bounds: dict[str, int]) -> tuple[str, ...]:
    if looked.too_large:
        needed = graph_bytes(looked.versions, looked.order)
        suspects = f"{looked.order.suspects:,} transactions"
        return (f"cycles: a graph of {suspects} needs about {needed:,} bytes, more than may be taken",)
    return tuple(f"{name}: the search among {size:,} transactions ended at its bound" for name, size in bounds.items())


def _exact(looked: Looked) -> frozenset[str]:
    return frozenset(name + variant for name in looked.cycles.exact for variant in VARIANTS)


def _checked(looked: Looked) -> tuple[str, ...]:
    history = looked.versions.history
    wanted = {"": True, "-process": looked.orders.process, "-realtime": looked.orders.realtime}
    names = [
        name + variant
        for variant, is_wanted in wanted.items()
        for name in CYCLES
        if is_wanted and (history.predicates or name not in OF_PREDICATES)
    ]
    names += [name for name in _DIRECT if name not in history.not_checked]
    names += VIOLATIONS if looked.orders.process else ()
    return tuple(dict.fromkeys([*names, *sorted(history.checked & ANOMALIES.keys())]))


def _not_checked(looked: Looked) -> tuple[str, ...]:
    history = looked.versions.history
    sentences = [f"{name}: {reason}" for name, reason in history.not_checked.items()]
    for name, there, what in (
        ("process", looked.orders.process, "sessions"),
        ("realtime", looked.orders.realtime, "times"),
    ):
        if not there and name not in history.not_checked:
            sentences.append(f"{name}: no {what} recorded")
    if not history.predicates and PREDICATES not in history.not_checked:
        sentences.append("G2 and others by predicates: no predicate reads recorded")
    return tuple(sentences)


def _certificate(looked: Looked) -> str:
    order, committed = looked.order, int(looked.versions.ops.committed.sum())
    kind = "completion" if looked.orders.realtime else "the history"
    among = f"{committed:,} committed transaction{'' if committed == 1 else 's'}"
    tested = f"{order.edges:,} dependencies among {among} tested against an order of {kind}"
    if not order.suspects:
        return f"{tested}: all lead forward, so there is no cycle"
    found = "no cycle found" if not looked.cycles.counts else "cycles found"
    found = "they were not searched for want of memory" if looked.too_large else found
    lead = "leads" if order.backward == 1 else "lead"
    return (
        f"{tested}: {order.backward:,} {lead} backward, so cycles were searched among {order.suspects:,} transactions"
        f" around them; {found}"
    )


def _witnesses(looked: Looked) -> tuple[Witness, ...]:
    """The first few of each anomaly, the smallest first; first what rules out the most models."""
    told: list[Witness] = []
    for name in sorted(looked.counts, key=lambda name: (-len(impossible((name,))), name)):
        if name in looked.cycles.found and looked.graph is not None:
            cycles_ = looked.cycles.found[name][:SHOWN]
            told += [evidence.of_cycle(looked.versions, looked.graph, cycle) for cycle in cycles_]
        else:
            cases = sorted(
                (case for case in looked.cases if case.anomaly == name), key=lambda case: len(case.transactions)
            )
            told += [evidence.of_case(looked.versions, case) for case in cases[:SHOWN]]
    return tuple(told)
