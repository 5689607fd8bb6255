"""Reads that do not fit together."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from orchestrator.explorer.judging import Anomaly
from orchestrator.explorer.model import EVERY
from orchestrator.explorer.stories_words import bracketed, finest, row, values
from orchestrator.explorer.timeline import touches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.explorer.model import Place
    from orchestrator.explorer.timeline import Act, Timeline, Transaction

    Namer = Callable[[int], str]


# dirty read (A1, P1): w1[x] r2[x] before 1 has ended


def dirty_reads(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find reads that gave another's value before it was committed; the values alone can prove one."""
    for transaction in line.transactions:
        for write in transaction.writes:
            for read in line.acts:
                if read.worker != write.worker and write.time < read.time < transaction.ended:
                    yield from _dirty(line, name, write, read)


def _dirty(line: Timeline, name: Namer, write: Act, read: Act) -> Iterator[Anomaly]:
    for place in finest(write.writes, read.reads):
        before = line.last_read(write.worker, place, write.time)
        old, seen = before.values(place) if before is not None else {}, read.values(place)
        for column, made in write.assigned.items():
            if made.fixed and column in old and old[column] != made.text == seen.get(column):
                writer, reader = name(write.worker), name(read.worker)
                sentence = (
                    f"{writer} changed {row(place)} to {column} {made.text}, and {reader} read that"
                    f" before {writer} had committed."
                )
                yield Anomaly("dirty read", sentence, row(place))


# read skew (A5A): r1[x] w2[x] w2[y] c2 r1[y]


def read_skews(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find workers that saw one row before and another after one and the same commit, with no change of their own."""
    for reader in line.transactions:
        for writer in line.committed():
            if reader.worker != writer.worker:
                yield from _skewed(name, reader, writer)


def _skewed(name: Namer, reader: Transaction, writer: Transaction) -> Iterator[Anomaly]:
    for early, late in combinations(reader.rests_on, 2):
        if not early.time < writer.ended < late.time:
            continue
        old, new = _changed(early, writer), _changed(late, writer)
        if old is not None and new is not None and old != new and _visible(late, new, writer):
            mine, others = name(reader.worker), name(writer.worker)
            sentence = (
                f"{mine} read {row(old)}{bracketed(values(early.values(old)))} before, and"
                f" {row(new)}{bracketed(values(late.values(new)))} after {others} had committed its change of both:"
                f" {mine} saw half of it."
            )
            yield Anomaly("read skew", sentence, f"{row(old)}, {row(new)}")


def _changed(read: Act, writer: Transaction) -> Place | None:
    """Give the row that was read and that the other transaction changed."""
    met = [place for act in writer.writes for place in finest(act.writes, read.reads) if place.key != EVERY]
    return min(met, key=row, default=None)


def _visible(read: Act, place: Place, writer: Transaction) -> bool:
    """Say whether a read gave what the other one wrote: a snapshot would not."""
    seen = read.values(place)
    made = [
        (column, each.text)
        for act in writer.writes
        if touches(act.writes, place)
        for column, each in act.assigned.items()
        if each.fixed and column in seen
    ]
    return not made or any(seen[column] == text for column, text in made)


# non-repeatable read (A2, P2) and phantom (A3, P3): r1[x] w2[x] c2 r1[x]


def unrepeatable_reads(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find transactions that were given other rows when they read the same again."""
    for reader in line.transactions:
        for first, second in combinations(reader.reads, 2):
            if first.shown.text == second.shown.text and first.record.rows != second.record.rows:
                for writer in line.committed():
                    if writer.worker != reader.worker and first.time < writer.ended < second.time:
                        yield from _unrepeatable(name, first, second, writer)


def _unrepeatable(name: Namer, first: Act, second: Act, writer: Transaction) -> Iterator[Anomaly]:
    places = [place for act in writer.writes for place in finest(act.writes, first.reads)]
    if not places:
        return
    place = min(places, key=row)
    mine, others = name(first.worker), name(writer.worker)
    if first.record.count != second.record.count:
        sentence = (
            f"{mine} read {place.table} and found {first.record.count} rows; {others} committed; {mine} read it again"
            f" in the same transaction and found {second.record.count}."
        )
        yield Anomaly("phantom", sentence, place.table)
        return
    sentence = (
        f"{mine} read {row(place)}{bracketed(values(first.values(place)))}, {others} changed it and committed, and"
        f" {mine} read it again in the same transaction{bracketed(values(second.values(place)))}."
    )
    yield Anomaly("non-repeatable read", sentence, row(place))
