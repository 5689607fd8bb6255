"""Holds a witness of a list-append history against the raw events: by elements of lists, not by versions of rows."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING

from orchestrator.history.transactions import PROCESS, REALTIME, RW, WR, WW
from tests.brute_cycles import KIND_NAMES, counting, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.verifier.verdict import Participant, Witness
    from tests.brute_append import Elements, Events, Key, Raw
    from tests.brute_cycles import Graph

_NUMBERS = {name: kind for kind, name in KIND_NAMES.items()}


def edges(history: Events, a: Raw, b: Raw) -> Iterator[tuple[int, Key | None]]:
    """Every dependency of b on a that the events prove: its kind and the key."""
    for key in {deed.key for deed in a.deeds} & {deed.key for deed in b.deeds}:
        appended = b.appended(key)
        if any(history.follows(key, before, after) for before in a.appended(key) for after in appended):
            yield WW, key
        if any(elements and elements[-1] in a.appended(key) for elements in b.read(key)):
            yield WR, key
        ends = {elements[-1] if elements else None for elements in a.read(key)}
        if any(history.follows(key, end, after) for end in ends for after in appended):
            yield RW, key
    if a.complete is not None and a.complete < b.invoke:
        if a.process == b.process:
            yield PROCESS, None
        yield REALTIME, None


def graph(history: Events) -> Graph:
    """Every dependency between two committed transactions, by their places among all."""
    found: Graph = {}
    for (at, a), (to, b) in permutations(enumerate(history.transactions), 2):
        if a in history.committed and b in history.committed:
            kinds = {kind for kind, _ in edges(history, a, b)}
            if kinds:
                found[at, to] = counting(kinds)
    return found


def objections(history: Events, witness: Witness) -> list[str]:
    """All that is wrong with a witness; nothing, if the events prove what it names."""
    told = [_told(history, participant) for participant in witness.transactions]
    if witness.steps:
        return list(_against_cycle(history, witness, told))
    keys = {deed.key for t in told for deed in t.deeds if witness.row in {None, _row(deed.key)}}
    if any(shows(history, witness.anomaly, told, key) for key in keys):
        return []
    return [f"{told} don't show {witness.anomaly} on {witness.row}"]


def _told(history: Events, participant: Participant) -> Raw:
    """The transaction that is meant: that of its process whose last event has its index."""
    process, index = participant.details["process"], participant.details["index"]
    (found,) = [t for t in history.transactions if t.process == process and t.index == index]
    return found


def _row(key: Key | None) -> str | None:
    """A key as a witness calls it."""
    return None if key is None else f"key {key}"


def _against_cycle(history: Events, witness: Witness, cycle: Sequence[Raw]) -> Iterator[str]:
    """Steps that the events don't prove, or that are weaker than what they prove, and a wrong name."""
    if len(set(cycle)) != len(cycle) or not set(cycle) <= set(history.committed):
        yield f"not a simple cycle of committed transactions: {cycle}"
    if [(at, (at + 1) % len(cycle)) for at in range(len(cycle))] != [(s.source, s.target) for s in witness.steps]:
        yield f"the steps don't go round: {witness.steps}"
        return
    for step in witness.steps:
        found = list(edges(history, cycle[step.source], cycle[step.target]))
        kind = _NUMBERS[step.kind]
        if kind not in counting(other for other, _ in found):
            yield f"not {step.kind} from {cycle[step.source]} to {cycle[step.target]}: {found}"
        elif step.row not in {_row(key) for other, key in found if other == kind}:
            yield f"{step.kind} from {cycle[step.source]} to {cycle[step.target]} is not on {step.row}: {found}"
    name = name_of([_NUMBERS[step.kind] for step in witness.steps])
    if name != witness.anomaly:
        yield f"the cycle is {name}, not {witness.anomaly}"


def shows(history: Events, anomaly: str, told: Sequence[Raw], key: Key) -> bool:
    """Whether these transactions show an anomaly that needs no cycle on this key."""
    if anomaly in _ALONE:
        return any(_ALONE[anomaly](history, t, key) for t in told)
    return any(_TOGETHER[anomaly](history, a, b, key) for a, b in permutations(told, 2))


def _internal(history: Events, t: Raw, key: Key) -> bool:
    """A list other than the one that its own earlier reads and appends leave."""
    del history
    exact = False
    tail: Elements = ()  # what the list is, or at least ends in
    for deed in t.deeds:
        if deed.key != key or deed.elements is None:
            continue
        if deed.append:
            tail = (*tail, *deed.elements)
        else:
            if (deed.elements != tail) if exact else (deed.elements[len(deed.elements) - len(tail) :] != tail):
                return True
            exact, tail = True, deed.elements
    return False


def _future_read(history: Events, t: Raw, key: Key) -> bool:
    """A list with an element that the same transaction appends only later."""
    del history
    return any(
        not deed.append and deed.key == key and later.append and later.key == key
        and set(later.elements or ()) & set(deed.elements or ())
        for place, deed in enumerate(t.deeds)
        for later in t.deeds[place:]
    )  # fmt: skip


def _garbage(history: Events, t: Raw, key: Key) -> bool:
    """A list with an element that nobody appended."""
    return any(not history.appenders(key, element) for elements in t.read(key) for element in elements)


def _duplicate_elements(history: Events, t: Raw, key: Key) -> bool:
    """A list with an element twice."""
    del history
    return any(len(set(elements)) < len(elements) for elements in t.read(key))


def _aborted_read(history: Events, t: Raw, key: Key) -> bool:
    """A list with an element that only failed transactions appended."""
    return any(_failed(history, key, element) for elements in t.read(key) for element in elements)


def _dirty_update(history: Events, t: Raw, key: Key) -> bool:
    """A list in which a committed transaction's element comes after that of a failed one."""
    return any(
        _failed(history, key, before) and any(a in history.committed for a in history.appenders(key, after))
        for elements in t.read(key)
        for before, after in combinations(elements, 2)
    )


def _failed(history: Events, key: Key, element: int) -> bool:
    appenders = history.appenders(key, element)
    return bool(appenders) and all(t.type == "fail" for t in appenders)


def _intermediate(history: Events, a: Raw, b: Raw, key: Key) -> bool:
    """The second read a list that ends in an element of the first's that is not its last."""
    del history
    return any(elements and elements[-1] in a.appended(key)[:-1] for elements in b.read(key))


def _incompatible(history: Events, a: Raw, b: Raw, key: Key) -> bool:
    """Neither of two lists is the beginning of the other."""
    del history
    return any(_fork(one, other) for one in a.read(key) for other in b.read(key))


def _fork(one: Elements, other: Elements) -> bool:
    return any(x != y for x, y in zip(one, other, strict=False))


def _lost_update(history: Events, a: Raw, b: Raw, key: Key) -> bool:
    """Both read the same list first of all, and appended to it after that."""
    del history
    return all(t.type == "ok" for t in (a, b)) and _read_then_appended(a, key) == _read_then_appended(b, key) != None  # noqa: E711


def _read_then_appended(t: Raw, key: Key) -> Elements | None:
    deeds = [deed for deed in t.deeds if deed.key == key]
    return deeds[0].elements if deeds and not deeds[0].append and any(deed.append for deed in deeds) else None


def _one_session(a: Raw, b: Raw) -> bool:
    return a.process == b.process and a.complete is not None and a.complete < b.invoke


def _monotonic_reads(history: Events, a: Raw, b: Raw, key: Key) -> bool:
    """The second read a shorter beginning of a list that the first had read."""
    del history
    return _one_session(a, b) and any(
        len(then) < len(first) and not _fork(first, then) for first in a.read(key) for then in b.read(key)
    )


def _read_your_writes(history: Events, a: Raw, b: Raw, key: Key) -> bool:
    """The second read a list without an element that the first had appended."""
    del history
    return _one_session(a, b) and any(set(a.appended(key)) - set(elements) for elements in b.read(key))


def _monotonic_writes(history: Events, a: Raw, b: Raw, key: Key) -> bool:
    """An element of the second's comes before one of the first's."""
    return _one_session(a, b) and any(
        _place(history, key, then) < _place(history, key, first)
        for first in a.appended(key)
        for then in b.appended(key)
    )


def _place(history: Events, key: Key, element: int) -> int:
    """Where in the key's order an element stands; what isn't there comes after it."""
    order = history.order(key)
    return order.index(element) if element in order else len(order)


def _writes_follow_reads(history: Events, a: Raw, b: Raw, key: Key) -> bool:
    """An element of the second's stands in a list that the first had read, before its end."""
    del history
    return _one_session(a, b) and any(set(b.appended(key)) & set(elements[:-1]) for elements in a.read(key))


_ALONE: dict[str, Callable[[Events, Raw, Key], bool]] = {
    "internal": _internal,
    "future-read": _future_read,
    "garbage-read": _garbage,
    "duplicate-elements": _duplicate_elements,
    "G1a": _aborted_read,
    "dirty-update": _dirty_update,
}

_TOGETHER: dict[str, Callable[[Events, Raw, Raw, Key], bool]] = {
    "G1b": _intermediate,
    "incompatible-order": _incompatible,
    "lost-update": _lost_update,
    "monotonic-reads-violation": _monotonic_reads,
    "read-your-writes-violation": _read_your_writes,
    "monotonic-writes-violation": _monotonic_writes,
    "writes-follow-reads-violation": _writes_follow_reads,
}
