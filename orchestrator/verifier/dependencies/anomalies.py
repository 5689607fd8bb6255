"""The anomalies: what each needs, what it implies, and who defined it.

Names are those of Elle (Alvaro, Kingsbury 2020), with three that it has no word for.  Sources:
"Adya": Weak Consistency, 1999; "ALO": Adya, Liskov, O'Neil, Generalized Isolation Level Definitions, 2000;
"Berenson": Berenson et al., A Critique of ANSI SQL Isolation Levels, 1995; "CG": Cerone, Gotsman, Analysing Snapshot
Isolation, 2018; "CBG": Cerone, Bernardi, Gotsman, A Framework for Transactional Consistency Models, 2015; "Elle":
Alvaro, Kingsbury, Elle: Inferring Isolation Anomalies, 2020; "Terry": Terry et al., Session Guarantees, 1994.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.history.transactions import PREDICATE_RW, PROCESS, REALTIME, RW, WR, WW
from orchestrator.verifier.dependencies.kernels.searching import ANY, NONADJACENT, PREDICATE

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class Anomaly:
    """One anomaly's row in the table."""

    #: What proves it: edges of a cycle, or what was read or written.
    needs: str
    #: Anomalies that are there too wherever this one is.
    implies: tuple[str, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class CycleClass:
    """How cycles of a class are searched: from an edge of `start`, over `inner`, back by `close`; bits of kinds."""

    start: int
    inner: int
    close: int
    watch: int = ANY
    #: Anti-dependencies in it are never adjacent: only walks that snapshot isolation forbids can be one.
    alternates: bool = False

    def closing(self, order: int) -> int:
        """Kinds of the last edge: where that is an anti-dependency, it stands for the pair's adjacency."""
        return self.close if self.close & bits(RW) else self.close | order


def bits(*kinds: int) -> int:
    """A set of kinds as bits."""
    return sum(1 << kind for kind in kinds)


_WW, _WR, _RW, _PRW = bits(WW), bits(WR), bits(RW), bits(PREDICATE_RW)
_READS: Final = _WW | _WR

#: Data classes of cycles, the worst first; variants add session and real-time edges to `inner` and `close`.
CYCLES: Final[dict[str, CycleClass]] = {
    "G0": CycleClass(start=_WW, inner=_WW, close=_WW),
    "G1c": CycleClass(start=_WR, inner=_READS, close=_READS),
    "G-single-item": CycleClass(start=_RW, inner=_READS, close=_READS, alternates=True),
    "G-nonadjacent-item": CycleClass(start=_RW, inner=_READS | _RW, close=_READS, watch=NONADJACENT, alternates=True),
    "G2-item": CycleClass(start=_RW, inner=_READS | _RW, close=_RW),
    "G-single": CycleClass(start=_PRW, inner=_READS, close=_READS, alternates=True),
    "G-nonadjacent": CycleClass(
        start=_PRW, inner=_READS | _RW | _PRW, close=_READS, watch=NONADJACENT, alternates=True
    ),
    "G2": CycleClass(start=_RW | _PRW, inner=_READS | _RW | _PRW, close=_RW | _PRW, watch=PREDICATE),
}

#: Which kinds a variant may use beside the class's own, the least first.
VARIANTS: Final[dict[str, int]] = {"": 0, "-process": bits(PROCESS), "-realtime": bits(PROCESS, REALTIME)}

#: Classes whose cycles need an anti-dependency by a predicate.
OF_PREDICATES: Final = ("G-single", "G-nonadjacent", "G2")

_NEEDS: Final = {
    "G0": "a cycle of ww edges",
    "G1c": "a cycle of ww and wr edges, with at least one wr",
    "G-single-item": "a cycle with exactly one rw edge, the others ww or wr",
    "G-nonadjacent-item": "a cycle with several rw edges, no two of them adjacent, the others ww or wr",
    "G2-item": "a cycle with several rw edges, some of them adjacent",
    "G-single": "G-single-item with a predicate's rw edge",
    "G-nonadjacent": "G-nonadjacent-item with a predicate's rw edge",
    "G2": "G2-item with a predicate's rw edge",
}

_SOURCES: Final = {
    "G0": "Adya; ALO",
    "G1c": "Adya; ALO",
    "G-single-item": "Adya (G-single)",
    "G-nonadjacent-item": "CG, theorem 10; long fork: CBG",
    "G2-item": "Adya; ALO",
    "G-single": "Adya",
    "G-nonadjacent": "CG",
    "G2": "Adya; ALO",
}

#: Of each cycle class without a suffix: what it implies, beside its own next variant.
_WEAKER: Final = {
    "G0": ("G1c",),
    "G1c": ("G1",),
    "G-single-item": ("G-single", "G-nonadjacent-item"),
    "G-nonadjacent-item": ("G-nonadjacent", "G2-item"),
    "G2-item": ("G2",),
    "G-single": ("G-nonadjacent",),
    "G-nonadjacent": ("G2",),
    "G2": (),
    "G1": (),
}


def _cycles() -> dict[str, Anomaly]:
    table = {}
    names = tuple(VARIANTS)
    for place, variant in enumerate(names):
        later = names[place + 1 : place + 2]
        edges = {"": "", "-process": ", session order among them", "-realtime": ", real-time order among them"}[variant]
        for name, weaker in _WEAKER.items():
            implied = (*(each + variant for each in weaker), *(name + each for each in later))
            needs = _NEEDS.get(name, "G1a, G1b or G1c")
            table[name + variant] = Anomaly(needs=needs + edges, implies=implied, source=_SOURCES.get(name, "Adya"))
    return table


ANOMALIES: Final[dict[str, Anomaly]] = {
    **_cycles(),
    "duplicate-version": Anomaly(
        needs="two commits install the same version of a row",
        implies=(),
        source="Adya: a row's versions have one order",
    ),
    "version-gap": Anomaly(
        needs="a version that nobody installed, below one that was", implies=(), source="Adya: as above"
    ),
    "duplicate-effect": Anomaly(needs="one operation changed a row in two transactions", implies=(), source="ours"),
    "duplicate-elements": Anomaly(needs="a list was read with an element twice", implies=(), source="Elle"),
    "incompatible-order": Anomaly(
        needs="two lists of one key were read, neither the beginning of the other", implies=("G1a",), source="Elle"
    ),
    "dirty-update": Anomaly(
        needs="a commit overwrote a version that an aborted transaction left", implies=("G1a",), source="Elle"
    ),
    "garbage-read": Anomaly(needs="a read of a version that nobody wrote", implies=("G1a",), source="Elle"),
    "lost-update": Anomaly(
        needs="two commits read one version and both overwrite it", implies=("G2-item",), source="Berenson (P4)"
    ),
    "G1a": Anomaly(needs="a read of what an aborted transaction wrote", implies=("G1",), source="Adya; ALO"),
    "G1b": Anomaly(needs="a read of what its writer wrote over again", implies=("G1",), source="Adya; ALO"),
    "internal": Anomaly(
        needs="a read that contradicts its own transaction's last read or write of the row",
        implies=(),
        source="CBG (INT)",
    ),
    "future-read": Anomaly(
        needs="a read of what the same transaction writes only later", implies=("G1c",), source="Elle"
    ),
    "read-your-writes-violation": Anomaly(
        needs="a session reads a version below one that it wrote", implies=("G-single-item-process",), source="Terry"
    ),
    "monotonic-reads-violation": Anomaly(
        needs="a session reads a version below one that it read", implies=("G-single-item-process",), source="Terry"
    ),
    "monotonic-writes-violation": Anomaly(
        needs="a session installs a version below one that it wrote", implies=("G0-process",), source="Terry"
    ),
    "writes-follow-reads-violation": Anomaly(
        needs="a session installs a version below one that it read", implies=("G1c-process",), source="Terry"
    ),
}

#: The session guarantees, in the order in which `kernels.sessions` counts them.
GUARANTEES: Final = ("monotonic-reads", "read-your-writes", "writes-follow-reads", "monotonic-writes")


def implied(anomalies: Iterable[str]) -> frozenset[str]:
    """The anomalies, and all that they imply."""
    found: set[str] = set()
    open_ = list(anomalies)
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += ANOMALIES[name].implies if name in ANOMALIES else ()
    return frozenset(found)
