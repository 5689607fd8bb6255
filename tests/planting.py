"""Plants anomalies into valid histories, at random places of a serial order.

A valid history could have run one transaction after another, as data, sessions and time allow.  What is planted stands
together at one place of that order: it reads the rows as they were there, is under way at one moment there, and
whatever comes later sees versions with higher numbers.  So every dependency between old and new follows the order, no
cycle leaves the planted transactions, and the anomalies are those that they make among themselves.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, NO_VERSION, PREDICATE_RW, UNKNOWN, Edges
from tests.brute_model import world
from tests.serial import Access, Transaction, serial_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    import numpy.typing as npt

    from orchestrator.history.transactions import Names, Transactions

#: Room between two times of the history, for those of planted transactions.
_ROOM: Final = 8
#: How often a fresh row is taken though there are others, and how often it is known when a transaction ended.
_FRESH: Final = 0.25
_ENDS: Final = 0.75


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """Names of the history that was there, and of what was planted."""

    names: Names
    original: tuple[int, ...]
    rows: int

    def transaction(self, number: int) -> str:
        """As before, or that it was planted."""
        original = self.original[number]
        return self.names.transaction(original) if original >= 0 else f"planted {number}"

    def details(self, number: int) -> Mapping[str, Any]:
        """As before; of what was planted nothing more is known."""
        original = self.original[number]
        return self.names.details(original) if original >= 0 else {}

    def row(self, number: int) -> str:
        """As before, or that it was planted."""
        return self.names.row(number) if number < self.rows else f"planted row {number}"

    def version(self, _row: int, _version: int) -> str:
        """Versions have other numbers than before, so nobody knows their values."""
        return ""


class Ground:
    """A valid history in lists, one serial order of it, and what was planted so far."""

    def __init__(self, history: Transactions, random: Random) -> None:
        if history.found:
            raise ValueError(f"not valid: {history.found[0].sentence}")
        self.random = random
        self.base = history
        self.all = [
            Transaction(status=status, session=session, invoke=invoke, complete=complete, original=number)
            for number, (status, session, invoke, complete) in enumerate(
                _tuples(history.status, history.session, history.invoke, history.complete)
            )
        ]
        for txn, row, write, version in _tuples(history.txn, history.row, history.write, history.version):
            self.all[txn].accesses.append(Access(row=row, write=write, version=version))
        given = history.edges
        self.edges = [
            (self.all[source], self.all[target], kind, row)
            for source, target, kind, row in _tuples(given.source, given.target, given.kind, given.row)
        ]
        committed = [self.all[t.number] for t in world(history).committed]
        self.order = serial_order(committed, self.edges, random)
        #: Rows that were there, and those that nothing was planted on yet.
        self.known = int(history.row.max(initial=-1)) + 1
        self.rows = self.known
        self.free = set(range(self.known))
        #: Members of the order that stand right behind one that they were planted with.
        self._tied: set[Transaction] = set()

    def place(self) -> Place:
        """A place between two transactions of the order, or at one of its ends."""
        ends = [at for at, transaction in enumerate(self.order) if transaction not in self._tied]
        self._spread()
        return Place(self, self.random.choice([*ends, len(self.order)]))

    def put(self, at: int, group: Iterable[Transaction], grown: Mapping[int, tuple[int, int]]) -> None:
        """Let a group stand at a place; of each row that got more versions: the version there, and how many more."""
        before, after, members = set(self.order[:at]), set(self.order[at:]), set(group)
        for transaction in self.all:
            for access in transaction.accesses if transaction not in before | members else ():
                current, more = grown.get(access.row, (0, 0))
                if access.version > current or (transaction in after and access.version == current):
                    access.version += more
        ordered = [transaction for transaction in group if transaction.status != ABORTED]
        self.order[at:at] = ordered
        self._tied.update(ordered[1:])

    def history(self) -> Transactions:
        """The history with all that was planted."""
        number = {transaction: place for place, transaction in enumerate(self.all)}
        accesses = [(number[t], a.row, a.write, a.version) for t in self.all for a in t.accesses]
        edges = [(number[source], number[target], kind, row) for source, target, kind, row in self.edges]
        txn, row, write, version = (np.array(column) for column in zip(*accesses, strict=True))
        source, target, kind, about = np.array(edges, dtype=np.int32).reshape(-1, 4).T
        return replace(
            self.base,
            status=np.array([t.status for t in self.all], dtype=np.int8),
            session=np.array([t.session for t in self.all], dtype=np.int32),
            invoke=np.array([t.invoke for t in self.all], dtype=np.int64),
            complete=np.array([t.complete for t in self.all], dtype=np.int64),
            txn=txn.astype(np.int32),
            row=row.astype(np.int32),
            write=write.astype(np.bool_),
            version=version.astype(np.int32),
            names=Renamed(names=self.base.names, original=tuple(t.original for t in self.all), rows=self.known),
            edges=Edges(source=source, target=target, kind=kind.astype(np.int8), row=about),
            predicates=self.base.predicates or PREDICATE_RW in kind,
        )

    def numbers(self, group: Iterable[Transaction]) -> frozenset[int]:
        """The numbers of transactions in the history as it is now."""
        return frozenset(self.all.index(transaction) for transaction in group)

    def _spread(self) -> None:
        """Replace times by their ranks, with room between two of them."""
        times = sorted({time for t in self.all for time in (t.invoke, t.complete) if abs(time) < NEVER})
        rank = {time: place for place, time in enumerate(times)}
        for t in self.all:
            t.invoke = _ROOM * rank[t.invoke] if t.invoke in rank else t.invoke
            # A transaction that begins at the moment in which another completes doesn't come after it.
            t.complete = _ROOM * rank[t.complete] + _ROOM // 2 if t.complete in rank else t.complete


class Place:
    """A spot in the serial order, and the transactions that are planted there together."""

    def __init__(self, ground: Ground, at: int) -> None:
        self.ground = ground
        self.random = ground.random
        self.group: list[Transaction] = []
        self._at = at
        self._current = highest(ground.order[:at])
        #: Rows of which whatever comes later sees newer versions.
        self._growing: set[int] = set()
        earliest = max((t.invoke for t in ground.order[:at]), default=-NEVER)
        latest = min((t.complete for t in ground.order[at:]), default=NEVER)
        times = [time for t in ground.all for time in (t.invoke, t.complete) if abs(time) < NEVER] or [0]
        self._first, self._last = min(times) - _ROOM, max(times) + _ROOM
        #: Everything planted here is under way at this moment and the next.
        self._moment = self.random.randint(max(earliest, self._first), min(latest, self._last) - 1)

    def row(self, *, last: bool = False, still: bool = False, clear: bool = False) -> int:
        """A row on which nothing is planted yet, of the history or fresh.

        With `last`, nobody has more versions of it than there are here; with `still`, whoever comes later doesn't see
        those that are planted; with `clear`, all its versions are known.
        """
        rows = self.ground.free - (unknown_rows(self.ground.all) if clear else set())
        if last:
            top = highest(self.ground.all)
            rows = {row for row in rows if top[row] == self._current[row]}
        if not rows or self.random.random() < _FRESH:
            rows = {self.ground.rows}
            self.ground.rows += 1
        row = self._take(rows)
        if still:
            self._growing.discard(row)
        return row

    def _take(self, rows: Iterable[int]) -> int:
        row = self.random.choice(sorted(rows))
        self.ground.free.discard(row)
        self._growing.add(row)
        return row

    def written_row(self) -> tuple[int, Transaction] | None:
        """A row on which nothing is planted yet, and who surely installed its version here, if there is one."""
        authors: dict[tuple[int, int], list[Transaction]] = defaultdict(list)
        for t in self.ground.all:
            for row, version in {(a.row, a.version) for a in t.accesses if a.write}:
                authors[row, version].append(t)
        found = {row: authors[row, self._current[row]] for row in self.ground.free}
        sure = {row: some[0] for row, some in found.items() if [COMMITTED] == [t.status for t in some]}
        if not sure:
            return None
        row = self._take(sure)
        return row, sure[row]

    def session(self) -> int:
        """A session of the history in which no unknown transaction was, or a fresh one."""
        ended = {t.session for t in self.ground.all if t.status == UNKNOWN} | {t.session for t in self.group}
        sessions = {t.session for t in self.ground.all} - ended - {-1}
        fresh = max((t.session for t in self.ground.all), default=-1) + 1
        return self.random.choice([*sorted(sessions), fresh])

    def transaction(self, *, session: int | None = None, status: int = COMMITTED) -> Transaction:
        """A fresh transaction; in the session that is asked for it follows those planted before it."""
        if session is None:
            session = self.random.choice([-1, self.session()]) if status == COMMITTED else -1
        ends = status == COMMITTED and self.random.random() < _ENDS
        planted = Transaction(
            status=status,
            session=session,
            invoke=self.random.randint(self._first, self._moment),
            complete=self.random.randint(self._moment + 1, self._last + 1) if ends else NEVER,
        )
        self.ground.all.insert(self._number(session), planted)
        self.group.append(planted)
        return planted

    def _number(self, session: int) -> int:
        """A number between those of the session's transactions before this place and after it."""
        everybody = self.ground.all
        mine = {t for t in everybody if t.session == session >= 0}
        before = mine & {*self.ground.order[: self._at], *self.group}
        after = mine & set(self.ground.order[self._at :])
        low = max((number + 1 for number, t in enumerate(everybody) if t in before), default=0)
        high = min((number for number, t in enumerate(everybody) if t in after), default=len(everybody))
        return self.random.randint(low, high)

    def in_time(self, first: Transaction, second: Transaction) -> None:
        """Let one complete before the other begins, while all others that are planted here overlap both."""
        first.complete, second.invoke = self._moment, self._moment + 1

    def read(self, transaction: Transaction, row: int, ahead: int | None = 0) -> None:
        """Read the version that the row has here, or the one so many ahead of it; None: nobody knows which."""
        transaction.accesses.append(self._access(row, ahead, write=False))

    def write(self, transaction: Transaction, row: int, ahead: int | None = 1) -> None:
        """Install the version so many ahead of the one that the row has here."""
        transaction.accesses.append(self._access(row, ahead, write=True))

    def _access(self, row: int, ahead: int | None, *, write: bool) -> Access:
        return Access(row=row, write=write, version=NO_VERSION if ahead is None else self._current[row] + ahead)

    def dress(self) -> None:
        """Let planted transactions also do what anybody does: read rows, and overwrite what they read."""
        for transaction in self.group:
            for _ in range(self.random.randint(0, 2) if transaction.status != ABORTED else 0):
                row = self.row()
                at = self.random.randint(0, len(transaction.accesses))
                wear = [self._access(row, 0, write=False), self._access(row, 1, write=True)]
                transaction.accesses[at:at] = wear[: self.random.randint(1, 2)]

    def finish(self) -> None:
        """Give all that comes later its new versions."""
        top = highest(t for t in self.group)
        grown = {row: (self._current[row], top[row] - self._current[row]) for row in self._growing}
        self.ground.put(self._at, self.group, {row: both for row, both in grown.items() if both[1] > 0})


def highest(transactions: Iterable[Transaction]) -> defaultdict[int, int]:
    """Of each row the highest version that one of them read or wrote."""
    top: defaultdict[int, int] = defaultdict(int)
    for transaction in transactions:
        for access in transaction.accesses:
            top[access.row] = max(top[access.row], access.version)
    return top


def unknown_rows(transactions: Iterable[Transaction]) -> set[int]:
    """Rows that somebody wrote without a known version."""
    return {a.row for t in transactions for a in t.accesses if a.write and a.version == NO_VERSION}


def _tuples(*columns: npt.NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)
