"""What can be planted: each anomaly by its name, made as its definition says, with what it can't be without.

A cycle is made of edges, each on a row of its own, so that its transactions have no other dependencies of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from orchestrator.history.transactions import ABORTED, COMMITTED, PREDICATE_RW, PROCESS, REALTIME, RW, UNKNOWN, WR, WW
from tests.brute_cycles import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from orchestrator.verifier.verdict import Judgement
    from tests.planting import Ground, Place
    from tests.serial import Transaction

    #: Plants at a place; returns the transactions that show the anomaly, each with a role that no other may play.
    Plant: TypeAlias = Callable[[Place], list[Transaction]]

#: Edges of a planted cycle at most.
_LONGEST: Final = 7
#: How often a transaction that could have an unknown end has one.
_UNKNOWN: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What was planted."""

    anomaly: str
    #: The transactions that show it.
    group: tuple[Transaction, ...]
    #: All anomalies that came into the history with it.
    comes: frozenset[str]


def plant(ground: Ground, anomaly: str) -> Planted:
    """Plant an anomaly somewhere."""
    place = ground.place()
    make, also = PLANTS[anomaly]
    group = make(place)
    place.dress()
    place.finish()
    return Planted(anomaly=anomaly, group=tuple(group), comes=frozenset({anomaly, *also}))


def mistakes(judged: Judgement, ground: Ground, planted: Sequence[Planted]) -> list[str]:
    """What a judgement of the ground's history says that isn't so, and what it misses."""
    expected = frozenset[str]().union(*(each.comes for each in planted))
    wrong = [f"{name} isn't there" for name in sorted(judged.anomalies.keys() - expected)]
    for each in planted:
        numbers = ground.numbers(each.group)
        told = [{one.number for one in w.transactions} for w in judged.witnesses if w.anomaly == each.anomaly]
        if not any(numbers <= others for others in told):
            wrong.append(f"{each.anomaly} of {sorted(numbers)} isn't told, but of {told}")
    for name in sorted(expected):
        count = sum(name in each.comes for each in planted)
        found = judged.anomalies.get(name, 0)
        if found != count if name not in judged.at_least else not 1 <= found <= count:
            wrong.append(f"{name} is there {count} times, not {found}")
    return wrong


def _cycle(anomaly: str, place: Place) -> list[Transaction]:
    """Transactions in a ring, each with the next by one edge."""
    kinds = _kinds(anomaly, place.random)
    ends = [(at, (at + 1) % len(kinds)) for at in range(len(kinds))]
    ring: dict[int, Transaction] = {}
    for kind, (source, target) in zip(kinds, ends, strict=True):
        if kind == PROCESS:
            session = place.session()
            ring[source] = place.transaction(session=session)
            ring[target] = place.transaction(session=session)
    others = [at for at in range(len(kinds)) if at not in ring]
    place.random.shuffle(others)
    for at in others:
        ring[at] = place.transaction(status=_status(kinds, at, place.random))
    for kind, (source, target) in zip(kinds, ends, strict=True):
        _edge(place, kind, ring[source], ring[target])
    for transaction in ring.values():
        place.random.shuffle(transaction.accesses)
    return [ring[at] for at in range(len(kinds))]


def _status(kinds: Sequence[int], at: int, random: Random) -> int:
    """An unknown transaction counts, if one that surely committed saw or overwrote its write."""
    proven = at == 0 and kinds[at] in {WW, WR}
    return UNKNOWN if proven and random.random() < _UNKNOWN else COMMITTED


def _edge(place: Place, kind: int, source: Transaction, target: Transaction) -> None:
    if kind == REALTIME:
        place.in_time(source, target)
    if kind in {PROCESS, REALTIME}:
        return
    row = place.row()
    if kind == WW:
        place.write(source, row, 1)
        place.write(target, row, 2)
    elif kind == WR:
        place.write(source, row, 1)
        place.read(target, row, 1)
    else:
        place.write(target, row, 1)
        if kind == RW:
            place.read(source, row, 0)
        else:
            place.ground.edges.append((source, target, kind, row))


def _kinds(anomaly: str, random: Random) -> list[int]:
    """Kinds of edges, in a ring, that make a cycle of this name and no lesser one."""
    allowed = [WW]
    if not anomaly.startswith("G0"):
        allowed.append(WR)
    if anomaly.startswith(("G-", "G2")):
        allowed += [RW, RW] if "item" in anomaly else [RW, PREDICATE_RW]
    if anomaly.endswith(("-process", "-realtime")):
        allowed.append(PROCESS)
    if anomaly.endswith("-realtime"):
        allowed.append(REALTIME)
    while True:
        kinds = [random.choice(allowed) for _ in range(random.randint(2, _LONGEST))]
        if name_of(kinds) == anomaly and _alone(kinds):
            return kinds


def _alone(kinds: Sequence[int]) -> bool:
    """Whether nothing else comes with such a ring.

    Sessions with three of its transactions, or two pairs in time, would make a shorter one.  In a session of two that
    make up the whole ring, the later one contradicts a guarantee, unless it wrote what the earlier one read.
    """
    beside = any(here == there == PROCESS for here, there in zip(kinds, [*kinds[1:], kinds[0]], strict=True))
    pair = len(kinds) == 2 and PROCESS in kinds and WR not in kinds
    return not beside and not pair and kinds.count(REALTIME) <= 1


def _duplicate_version(place: Place) -> list[Transaction]:
    """Two install the same version; where the history has one, another installs it too."""
    there = place.written_row() if place.random.random() < 1 / 2 else None
    if there is not None:
        row, author = there
        other = place.transaction()
        place.write(other, row, 0)
        return [author, other]
    row, pair = place.row(), [place.transaction(), place.transaction()]
    for transaction in pair:
        place.write(transaction, row)
    return pair


def _version_gap(place: Place) -> list[Transaction]:
    """Somebody installs a version, and nobody the one before it."""
    row, transaction = place.row(clear=True), place.transaction()
    place.write(transaction, row, 2)
    return [transaction]


def _dirty_update(place: Place) -> list[Transaction]:
    """Somebody overwrites what never was."""
    row, aborted, transaction = place.row(clear=True), place.transaction(status=ABORTED), place.transaction()
    place.write(aborted, row, 1)
    place.write(transaction, row, 2)
    return [aborted, transaction]


def _lost_update(place: Place) -> list[Transaction]:
    """Two read a version, and both write the row."""
    row, pair = place.row(), [place.transaction(), place.transaction()]
    for at, transaction in enumerate(pair):
        place.read(transaction, row)
        place.write(transaction, row, at + 1)
    return pair


def _aborted_read(place: Place) -> list[Transaction]:
    """Somebody reads what never was."""
    row = place.row(last=True, still=True, clear=True)
    aborted, reader = place.transaction(status=ABORTED), place.transaction()
    place.write(aborted, row)
    place.read(reader, row, 1)
    return [aborted, reader]


def _intermediate_read(place: Place) -> list[Transaction]:
    """Somebody reads what its writer replaced."""
    row, writer, reader = place.row(), place.transaction(), place.transaction()
    place.write(writer, row, 1)
    place.write(writer, row, 2)
    place.read(reader, row, 1)
    return [writer, reader]


def _internal(place: Place) -> list[Transaction]:
    """A transaction doesn't see its own write."""
    row, transaction = place.row(), place.transaction()
    last = place.random.randint(1, 2)
    for ahead in range(1, last + 1):
        place.write(transaction, row, ahead)
    place.read(transaction, row, place.random.randrange(last))
    return [transaction]


def _garbage_read(place: Place) -> list[Transaction]:
    """Somebody reads a version that nobody wrote."""
    row, transaction = place.row(last=True, still=True, clear=True), place.transaction()
    place.read(transaction, row, place.random.randint(1, 5))
    return [transaction]


def _future_read(place: Place) -> list[Transaction]:
    """A transaction reads what it writes only later; if another overwrote that too, it would be a lost update."""
    row, transaction = place.row(last=True), place.transaction()
    place.read(transaction, row, 1)
    place.write(transaction, row)
    return [transaction]


def _session_pair(place: Place) -> tuple[int, Transaction, Transaction]:
    session = place.session()
    return place.row(), place.transaction(session=session), place.transaction(session=session)


def _monotonic_reads(place: Place) -> list[Transaction]:
    """A session reads a version, then an older one."""
    row, first, second = _session_pair(place)
    place.write(place.transaction(), row)
    place.read(first, row, 1)
    place.read(second, row, 0)
    return [first, second]


def _read_your_writes(place: Place) -> list[Transaction]:
    """A session writes a version, then reads an older one."""
    row, first, second = _session_pair(place)
    place.write(first, row)
    place.read(second, row, 0)
    return [first, second]


def _monotonic_writes(place: Place) -> list[Transaction]:
    """A session writes a version, then an older one."""
    row, first, second = _session_pair(place)
    place.write(first, row, 2)
    place.write(second, row, 1)
    return [first, second]


def _writes_follow_reads(place: Place) -> list[Transaction]:
    """A session reads a version, then writes an older one."""
    row, first, second = _session_pair(place)
    place.write(place.transaction(), row, 2)
    place.read(first, row, 2)
    place.write(second, row, 1)
    return [first, second]


_ITEM: Final = ("G0", "G1c", "G-single-item", "G-nonadjacent-item", "G2-item")
_PREDICATE: Final = ("G-single", "G-nonadjacent", "G2")

#: Names of cycles: without predicates, and with them.
ITEM_CYCLES: Final = tuple(f"{name}{variant}" for name in _ITEM for variant in ("", "-process", "-realtime"))
PREDICATE_CYCLES: Final = tuple(f"{name}{variant}" for name in _PREDICATE for variant in ("", "-process", "-realtime"))

_SINGLE: Final = "G-single-item"

#: How each anomaly is planted, and which others come with it by their definitions.
PLANTS: Final[dict[str, tuple[Plant, tuple[str, ...]]]] = {
    "duplicate-version": (_duplicate_version, ()),
    "version-gap": (_version_gap, ()),
    "dirty-update": (_dirty_update, ()),
    "lost-update": (_lost_update, (_SINGLE,)),
    "G1a": (_aborted_read, ()),
    "G1b": (_intermediate_read, (_SINGLE,)),
    "internal": (_internal, ()),
    "garbage-read": (_garbage_read, ()),
    "future-read": (_future_read, ()),
    "monotonic-reads-violation": (_monotonic_reads, (f"{_SINGLE}-process",)),
    "read-your-writes-violation": (_read_your_writes, (f"{_SINGLE}-process",)),
    "monotonic-writes-violation": (_monotonic_writes, ("G0-process",)),
    "writes-follow-reads-violation": (_writes_follow_reads, ("G1c-process",)),
    **{name: (partial(_cycle, name), ()) for name in (*ITEM_CYCLES, *PREDICATE_CYCLES)},
}
