"""What one schedule of a scenario left, as the project's own history, and as a key that equal histories share.

Built in memory: thousands of schedules a second leave no time for files.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from orchestrator.history.model import TABLES, History
from orchestrator.progress import attempt_row
from worker.contract import EndLine, StartLine

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from orchestrator.history.model import Meta
    from worker.contract import Line, Operation

#: The one process, as its attempts' tokens have it.
_PROCESS: Final = 0

#: Of an effect: when it was recorded, and its transaction's number, which differ between runs of one schedule.
_AT, _TXID, _WRITER = (TABLES["effects"].names.index(name) for name in ("at_us", "txid", "writer"))


class Story(NamedTuple):
    """What a schedule's tasks wrote down, and what the database holds after it."""

    lines: list[Line]
    #: Rows of the history's tables `effects` and `rows`.
    effects: list[tuple[Any, ...]]
    rows: list[tuple[Any, ...]]
    #: The operations that were to be done.
    plan: tuple[Operation, ...] = ()


class State(tuple[tuple[str, tuple[tuple[Any, ...], ...]], ...]):  # noqa: SLOT001 - a tuple can have no slots
    """Each table's rows at the end, which is all that two states are compared by; the story goes with them."""

    story: Story


class Attempt(NamedTuple):
    """An attempt's two lines."""

    start: StartLine
    end: EndLine | None


def attempts_of(lines: Iterable[Line]) -> list[Attempt]:
    """Match starts with ends, in the order of the tokens."""
    starts: dict[int, StartLine] = {}
    ends: dict[int, EndLine] = {}
    for line in lines:
        if isinstance(line, StartLine):
            starts[line.token] = line
        elif isinstance(line, EndLine):
            ends[line.token] = line
    return [Attempt(starts[token], ends.get(token)) for token in sorted(starts)]


# the history


def history_of(story: Story, meta: Meta) -> History:
    """Make the history that the verifier takes."""
    attempts = attempts_of(story.lines)
    accesses = [
        (start.token, *msgspec.structs.astuple(each)) for start, end in attempts if end for each in end.accesses
    ]
    plans = [(one.operation, one.kind, msgspec.json.encode(one.params).decode(), True, None, 0) for one in story.plan]
    tables = {
        "operations": plans,
        "attempts": [_attempt(each) for each in attempts],
        "accesses": accesses,
        "effects": story.effects,
        "rows": story.rows,
        "processes": [(_PROCESS, "explored", "explored", 0, "greenlets")],
        "clocks": [(_PROCESS, 0, 0, 0)],
        "faults": [],
    }
    meta = msgspec.structs.replace(meta, planned=len(plans))
    return History(meta=meta, **{name: _table(name, rows) for name, rows in tables.items()})


def _attempt(attempt: Attempt) -> tuple[Any, ...]:
    start, end = attempt
    # A crashed worker's connection was cut before anything else ran.
    return attempt_row(start, end, ended=None if end else True)


def _table(name: str, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    schema = TABLES[name]
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


# the key


def key_of(story: Story, *, reads_outside: bool = False) -> Hashable:
    """Give what the verifier's findings depend on: the content, and of the times which end came before which start.

    Times of effects count only where an attempt has one and no end.  With `reads_outside` each access is the end of
    the one before it and a start, since such reads are transactions of their own.
    """
    attempts = attempts_of(story.lines)
    written = {effect[_WRITER] for effect in story.effects}
    whole = any(end is None and start.token in written for start, end in attempts)
    numbers: dict[int, int] = {}
    effects = tuple(
        (*effect[:_TXID], numbers.setdefault(effect[_TXID], len(numbers)), *effect[_AT + 1 :])
        for effect in story.effects
    )
    times = tuple(effect[_AT] for effect in story.effects) if whole else ()
    return (
        tuple(one.operation for one in story.plan),
        tuple(_content(each) for each in attempts),
        effects,
        tuple(story.rows),
        _spans(attempts, reads_outside=reads_outside),
        (times, tuple((start.mono_ns, end and end.mono_ns) for start, end in attempts)) if whole else None,
    )


def _content(attempt: Attempt) -> Hashable:
    start, end = attempt
    head = (start.token, start.operation, start.slot, start.attempt, start.redelivered)
    if end is None:
        return head
    accesses = tuple((a.mode, a.relation, a.key, a.seq, a.version, a.writer, a.rows) for a in end.accesses)
    return head, end.outcome, end.reason, end.final, end.detail, accesses


def _spans(attempts: Iterable[Attempt], *, reads_outside: bool) -> tuple[int, ...]:
    """Number the times so that only the order of ends and starts is left: one number for all between two turns."""
    times: list[tuple[int, bool, int]] = []
    for start, end in attempts:
        times.append((start.mono_ns, True, len(times)))
        if end is not None:
            if reads_outside:
                for access in end.accesses:
                    times.append((access.mono_ns, False, len(times)))
                    times.append((access.mono_ns, True, len(times)))
            times.append((end.mono_ns, False, len(times)))
    spans, epoch, starting = [0] * len(times), 0, True
    for _, begins, place in sorted(times, key=itemgetter(0, 1)):
        if begins and not starting:
            epoch += 1
        starting = begins
        spans[place] = epoch
    return tuple(spans)
