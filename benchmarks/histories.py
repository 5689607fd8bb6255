"""Seeded histories to judge: strictly serializable ones of any size, and ones with write skews and long forks.

Twenty processes work on a hundred rows at a time.  A row retires after some writes, and a fresh one takes its place.
Transactions commit in a row, one every `TICK`, and each micro-operation happens at its transaction's commit, except for
the stale reads that are asked for.  A transaction is under way from soon after its process's last answer until its own
answer, and answers come late: so transactions overlap, and their answers don't come in the order of their commits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from orchestrator.history.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Processes, each a session.
PROCESSES: Final = 20
#: Rows in use at a time.
ACTIVE: Final = 100
#: Writes after which a row retires.
WRITES: Final = 32
#: Time from one commit to the next, nanoseconds.
TICK: Final = 10_000
#: Micro-operations of a transaction on average.
MEAN: Final = 3
#: How much of the time until its next commit a process waits for an answer, at most.
LATE: Final = 0.5

#: How much of that time a process thinks between two transactions, at most.
_THINK: Final = 0.2
#: A transaction touches as many different rows at most, and has as many micro-operations.
_WIDE: Final = 4
#: Committed transactions between two beginnings of planted groups, at least.
_APART: Final = 8

_Numbers = npt.NDArray[Any]

#: What transactions do: r and w, and which of their rows; two of each length.  Every write follows a read of its row.
_PATTERNS: Final = ("r0 w0", "r0 r1", "r0 w0 r1", "r0 r1 w1", "r0 w0 r1 w1", "r0 r1 r2 w0", "r0 r1 w0")
_OVERWRITE, _LOOK, _LEFT, _RIGHT = (_PATTERNS.index(each) for each in ("r0 w0", "r0 r1", "r0 r1 w0", "r0 r1 w1"))


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """Names of what has none."""

    process: _Numbers
    invoke: _Numbers
    complete: _Numbers

    def transaction(self, number: int) -> str:
        """Its number."""
        return f"transaction {number}"

    def details(self, number: int) -> Mapping[str, Any]:
        """Its process and times."""
        times = {"start": int(self.invoke[number]), "end": int(self.complete[number])}
        return {"process": int(self.process[number]), **times}

    def row(self, number: int) -> str:
        """Its number."""
        return f"row {number}"

    def version(self, _row: int, _version: int) -> str:
        """Nothing more is known than its number."""
        return ""


@dataclass(kw_only=True)
class _Plan:
    """Transactions in the order of their commits."""

    #: Rows in use at a time.
    active: int
    #: n: which of the patterns, and the processes.
    pattern: _Numbers
    process: _Numbers
    #: n times 4: the rows' places among the active ones.
    places: _Numbers
    #: n times 4: each micro-operation sees the commits before this one's.  Empty: it sees all before its own.
    sees: _Numbers = field(default_factory=lambda: np.zeros((0, _WIDE), dtype=np.int64))

    @property
    def begun(self) -> _Numbers:
        """Before whose commit each transaction had begun."""
        earliest: _Numbers = self.sees.min(axis=1) if len(self.sees) else np.arange(len(self.pattern))
        return earliest


def valid(operations: int, seed: int = 0, *, late: float = LATE, active: int = ACTIVE) -> Transactions:
    """A strictly serializable history of about so many micro-operations; with `late=0` answers come at the commit."""
    rng = np.random.default_rng(seed)
    return _history(_plan(max(1, operations // MEAN), active, rng), rng, late)


def skewed(transactions: int, skews: int, forks: int = 0, seed: int = 0, *, late: float = LATE) -> Transactions:
    """A history that is strictly serializable but for so many write skews and long forks, each of its own.

    Without forks it keeps snapshot isolation, with them parallel snapshot isolation.  A fork one of whose rows retires
    in its middle shows nothing.
    """
    rng = np.random.default_rng(seed)
    plan = _plan(transactions, ACTIVE, rng)
    plan.sees = np.repeat(np.arange(transactions)[:, None], _WIDE, axis=1)
    first = rng.choice(transactions // _APART, skews + forks, replace=False) * _APART
    _plant_skews(plan, first[:skews])
    _plant_forks(plan, first[skews:])
    return _history(plan, rng, late)


def _plan(transactions: int, active: int, rng: np.random.Generator) -> _Plan:
    """Lengths of two, three and four are equally frequent; no transaction names a row twice."""
    length = rng.permuted(np.resize(np.array([1, 0, 2], dtype=np.uint8), transactions))
    share = active // _WIDE
    places = rng.integers(0, share, (transactions, _WIDE), dtype=np.uint8)
    places += np.arange(_WIDE, dtype=np.uint8) * share
    places += rng.integers(0, active, (transactions, 1), dtype=np.uint8)
    return _Plan(
        active=active,
        pattern=2 * length + rng.integers(0, 2, transactions, dtype=np.uint8),
        process=rng.integers(0, PROCESSES, transactions, dtype=np.uint8),
        places=places % active,
    )


def _plant_skews(plan: _Plan, first: _Numbers) -> None:
    """Two transactions read the same two rows, and each overwrites another of them."""
    _gather(plan, first, 2)
    for offset, pattern in enumerate((_LEFT, _RIGHT)):
        plan.pattern[first + offset] = pattern


def _plant_forks(plan: _Plan, first: _Numbers) -> None:
    """Two transactions write a row each, and two others see only one of the writes each, not the same."""
    _gather(plan, first, 4)
    for offset, pattern in enumerate((_OVERWRITE, _OVERWRITE, _LOOK, _LOOK)):
        plan.pattern[first + offset] = pattern
    plan.places[first + 1, 0] = plan.places[first, 1]
    plan.sees[first + 2, 0] = first + 1
    plan.sees[first + 3, 1] = first + 2
    plan.places[first + 3] = plan.places[first]


def _gather(plan: _Plan, first: _Numbers, size: int) -> None:
    """Let transactions that commit in a row name the same rows, overlap, and see nothing of each other."""
    for offset in range(size):
        plan.process[first + offset] = (plan.process[first] + offset) % PROCESSES
        plan.places[first + offset] = plan.places[first]
        plan.sees[first + offset] = first[:, None]


def _history(plan: _Plan, rng: np.random.Generator, late: float) -> Transactions:
    """Number the transactions in the order of their answers, as somebody who listens would."""
    invoke, complete = _times(plan, rng, late)
    length, place, write = _operations(plan)
    row, version = _versions(plan, length, place, write)
    order = np.argsort(complete, kind="stable")
    begin = np.cumsum(length) - length
    length, begin = length[order], begin[order]
    moved = np.repeat(begin - (np.cumsum(length) - length), length) + np.arange(len(place))
    names = Numbered(process=plan.process[order], invoke=invoke[order], complete=complete[order])
    return Transactions(
        status=np.zeros(len(order), dtype=np.int8),
        session=names.process.astype(np.int32),
        invoke=names.invoke,
        complete=names.complete,
        txn=np.repeat(np.arange(len(order), dtype=np.int32), length),
        row=row[moved],
        write=write[moved],
        version=version[moved],
        names=names,
    )


def _times(plan: _Plan, rng: np.random.Generator, late: float) -> tuple[_Numbers, _Numbers]:
    """Each process begins after its last answer, and before what it sees is overwritten."""
    order = np.argsort(plan.process, kind="stable")
    count = len(order)
    commit = TICK * (order + 1)
    latest = TICK * (plan.begun[order] + 1) - 1
    follows = np.zeros(count, dtype=bool)
    follows[1:] = plan.process[order][1:] == plan.process[order][:-1]
    room = np.full(count, TICK * PROCESSES)
    room[:-1][follows[1:]] = (latest[1:] - commit[:-1])[follows[1:]]
    answer = commit + (rng.random(count) * late * (room - 1)).astype(np.int64)
    free = np.zeros(count, dtype=np.int64)
    free[1:][follows[1:]] = answer[:-1][follows[1:]]
    invoke = np.empty(count, dtype=np.int64)
    invoke[order] = free + 1 + (rng.random(count) * _THINK * (latest - free - 1)).astype(np.int64)
    complete = np.empty(count, dtype=np.int64)
    complete[order] = answer
    return invoke, complete


def _operations(plan: _Plan) -> tuple[_Numbers, _Numbers, _Numbers]:
    """How many each transaction has, and of each its place and whether it writes."""
    parsed = [pattern.split() for pattern in _PATTERNS]
    length = np.array([len(steps) for steps in parsed])
    which = np.zeros((len(parsed), _WIDE), dtype=np.intp)
    writes = np.zeros((len(parsed), _WIDE), dtype=bool)
    for number, steps in enumerate(parsed):
        which[number, : len(steps)] = [int(step[1]) for step in steps]
        writes[number, : len(steps)] = [step[0] == "w" for step in steps]
    real = (np.arange(_WIDE) < length[:, None])[plan.pattern]
    place = np.take_along_axis(plan.places, which[plan.pattern], axis=1)[real]
    return length[plan.pattern], place, writes[plan.pattern][real]


def _versions(plan: _Plan, length: _Numbers, place: _Numbers, write: _Numbers) -> tuple[_Numbers, _Numbers]:
    """Count the writes at each place before each micro-operation; they tell row and version."""
    order = np.argsort(place, kind="stable")
    if len(plan.sees):
        commit = np.repeat(np.arange(len(length)), length)
        sees = plan.sees[commit, np.arange(len(place)) - np.repeat(np.cumsum(length) - length, length)]
        # A stale read happens before everything that it doesn't see.
        order = np.lexsort((np.where(write | (sees == commit), 2 * commit + 1, 2 * sees), place))
    writes = write[order]
    before = np.cumsum(writes) - writes
    sizes = np.bincount(place, minlength=plan.active)
    begin = np.cumsum(sizes) - sizes
    # Places that nobody touches have no beginning among the micro-operations.
    before -= np.repeat(before[np.minimum(begin, len(before) - 1)], sizes)
    row = np.empty(len(place), dtype=np.int32)
    version = np.empty(len(place), dtype=np.int32)
    row[order] = place[order] + plan.active * (before // WRITES)
    version[order] = before % WRITES + writes
    return row, version
