"""Writes that go wrong because of what was read before them."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING

from orchestrator.explorer.judging import Anomaly
from orchestrator.explorer.stories_words import bracketed, finest, row, rows, together, values
from orchestrator.explorer.timeline import touches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.explorer.model import Place, Places
    from orchestrator.explorer.timeline import Act, Timeline, Transaction

    Namer = Callable[[int], str]


# lost update (P4): r1[x] w2[x] c2 w1[x] c1


def lost_updates(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find writes over another's committed update, made of what was read before that."""
    for transaction in line.committed():
        for write in transaction.writes:
            for place in write.writes if write.verb == "UPDATE" else ():
                read = line.last_read(write.worker, place, write.time)
                other = _overwritten(line, read, write, place) if read is not None else None
                if read is not None and other is not None:
                    yield Anomaly("lost update", _lost_update(line, name, read, other, write, place), row(place))


def _overwritten(line: Timeline, read: Act, write: Act, place: Place) -> Act | None:
    """Find a committed write between a read and a write that sets the same columns."""
    columns = _fixed(write)
    for other in line.committed():
        if other.worker != write.worker and read.time < other.ended < write.time:
            for act in other.writes:
                if touches(act.writes, place) and act.verb == "UPDATE" and _shares(columns, act):
                    return act
    return None


def _fixed(write: Act) -> set[str] | None:
    """Name the columns that a write sets to what was decided before; None where its text does not say."""
    return {column for column, made in write.assigned.items() if made.fixed} if write.assigned else None


def _shares(columns: set[str] | None, other: Act) -> bool:
    return columns is None or not other.assigned or bool(columns & other.assigned.keys())


def _lost_update(line: Timeline, name: Namer, read: Act, other: Act, write: Act, place: Place) -> str:
    mine, others = name(write.worker), name(other.worker)
    columns = [column for column in write.assigned if column in (_fixed(write) or ()) and column in other.assigned]
    seen = values({each: text for each, text in read.values(place).items() if not columns or each in columns})
    too = line.last_read(other.worker, place, other.time)
    also = "read it too and " if too is not None and too.time < write.time else ""
    theirs, own = (", ".join(act.assigned[each].text for each in columns) for act in (other, write))
    if not columns:
        theirs, own = "its own change", "value"
    return (
        f"{mine} read {row(place)}{bracketed(seen)}, {others} {also}committed {theirs};"
        f" then {mine} wrote its own {own} over it: {others}'s update is lost."
    )


# write skew (A5B): each reads what the other one changes, and no place is changed by both


def write_skews(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find pairs of transactions that each read what the other changed afterwards."""
    for one, other in combinations(line.committed(), 2):
        if one.worker == other.worker or _written(one) & _written(other):
            continue
        first, second = _stale(one, other), _stale(other, one)
        if first and second and not (_looks_empty(one) and _looks_empty(other)):
            changed = [rows(sorted(finest(_written(each), _written(each)), key=row)) for each in (one, other)]
            yield Anomaly("write skew", _skew(name, one, other, changed), rows(first | second))


def _skew(name: Namer, one: Transaction, other: Transaction, changed: list[str]) -> str:
    mine, others = name(one.worker), name(other.worker)
    read, read_too = (_read(each) for each in (one, other))
    also = f"{others} read {'the same' if read == read_too else read_too}"
    return (
        f"{mine} read {read} and changed {changed[0]}; {also} and changed {changed[1]}."
        " Both committed, and neither saw what the other had changed."
    )


def _read(transaction: Transaction) -> str:
    return rows(together(act.reads for act in transaction.rests_on))


def _written(transaction: Transaction) -> Places:
    return together(act.writes for act in transaction.writes)


def _stale(reader: Transaction, writer: Transaction) -> Places:
    """Give the places that a transaction read before another one's change of them was committed."""
    changed = _written(writer)
    read = [act.reads for act in reader.rests_on if act.time < writer.ended]
    return finest(changed, together(read))


# check, then insert


def duplicate_inserts(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find two workers that each looked for a row, found none, and inserted it."""
    for one, other in combinations(line.committed(), 2):
        if one.worker == other.worker:
            continue
        for insert, second in _pairs(_inserts(one), _inserts(other)):
            looks = _look(line, insert, other), _look(line, second, one)
            if looks[0] and looks[1] and _same_question(looks[0], looks[1]):
                yield Anomaly("duplicate insert", _twice(name, insert, second, looks[0]), _table(insert))


def _twice(name: Namer, insert: Act, second: Act, look: Act) -> str:
    mine, others, table = name(insert.worker), name(second.worker), _table(insert)
    return (
        f"{mine} looked into {table} ({look.shown.text}) and found nothing, {others} looked too and found nothing;"
        f" both inserted a row{bracketed(_inserted(insert))} and committed: now it is there twice."
    )


def lost_inserts(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find a worker that looked for a row, found none, and whose insert then came too late."""
    for late, kept in permutations(line.transactions, 2):
        if late.worker == kept.worker or not kept.committed:
            continue
        for act in late.acts:
            mate = next((each for each in _inserts(kept) if _table(each) == _table(act)), None)
            look = _look(line, act, kept) if act.verb == "INSERT" and mate and not act.writes else None
            if mate is not None and look is not None and kept.ended <= act.time:
                yield Anomaly("lost insert", _too_late(name, act, mate), _table(act))


def _too_late(name: Namer, act: Act, mate: Act) -> str:
    mine, others, table = name(act.worker), name(mate.worker), _table(act)
    end = f"failed with {act.record.error.split(':', 1)[0]}" if act.record.error else "changed no row"
    return (
        f"{mine} looked into {table} and found nothing, {others} inserted a row{bracketed(_inserted(mate))} and"
        f" committed; then {mine}'s own INSERT {end}: what {mine} meant to insert is lost."
    )


def _look(line: Timeline, insert: Act, other: Transaction) -> Act | None:
    """Find the read before an insert that found its table without the row, before the other one committed."""
    table = _table(insert)
    for act in reversed(line.acts):
        if act.worker == insert.worker and act.time < insert.time and any(each.table == table for each in act.reads):
            return act if not act.record.rows and act.time < other.ended else None
    return None


def _same_question(one: Act, other: Act) -> bool:
    return one.shown.text == other.shown.text


def _looks_empty(transaction: Transaction) -> bool:
    """Say whether it read nothing but what was not there, and inserted."""
    return bool(_inserts(transaction)) and all(not act.record.rows for act in transaction.rests_on)


def _inserts(transaction: Transaction) -> list[Act]:
    return [act for act in transaction.writes if act.verb == "INSERT"]


def _inserted(insert: Act) -> str:
    return values({column: made.text for column, made in insert.assigned.items()})


def _table(insert: Act) -> str:
    """Name the table that an insert is about."""
    return next((place.table for place in sorted(insert.record.point.footprint.writes, key=row)), "")


def _pairs(some: list[Act], others: list[Act]) -> Iterator[tuple[Act, Act]]:
    return ((one, other) for one in some for other in others if _table(one) == _table(other))
