"""Pairs a list-append history's invocations with their completions, and folds the lists that were read together.

A list that begins another takes no room of its own: both are one trunk, cut at different lengths.  In a history without
anomalies each key has one trunk, so that reads cost as little as their lengths.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, TypeAlias

from orchestrator.history.lines import MalformedError
from orchestrator.history.list_append.events import FAIL, INVOKE, OK, Append, Read
from orchestrator.history.list_append.text import listed, shown
from orchestrator.history.list_append.within import first_broken, first_foretold
from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.history.list_append.events import Event, Word
    from orchestrator.history.list_append.within import Broken, Foretold

#: The length of what is no read.
NO_READ: Final = -1

#: Trunks of a key that a new list is compared with, beside the longest; in broken histories a key may have thousands.
_RECENT: Final = 4

#: Cases of an anomaly that are kept; the rest is counted.
KEPT: Final = 10

_STATUS: Final = {OK: COMMITTED, FAIL: ABORTED}

#: An open invocation: its line, its position, its index and its micro-operations.
_Begun: TypeAlias = tuple[int, int, int | None, "Sequence[Append | Read]"]


class Trunk:
    """A list that was read, which others begin like."""

    __slots__ = ("elements", "number")

    def __init__(self, number: int, elements: list[Word]) -> None:
        self.number = number
        self.elements = elements


class Key:
    """A key with what is known of its list."""

    __slots__ = ("longest", "row", "trunks", "word", "writers")

    def __init__(self, row: int, word: Word) -> None:
        self.row = row
        self.word = word
        self.trunks: list[Trunk] = []
        #: The trunk that reached its length first among the longest; None until anything was read.
        self.longest: Trunk | None = None
        #: The micro-operation that appended each element.
        self.writers: dict[Word, int] = {}

    def trunk(self, elements: list[Word]) -> Trunk | None:
        """The trunk that this list begins, which grows if it is shorter."""
        length = len(elements)
        for trunk in (self.longest, *self.trunks[-_RECENT:]):
            if trunk is None:
                continue
            held = trunk.elements
            if length <= len(held):
                if held[:length] == elements:
                    return trunk
            elif elements[: len(held)] == held:
                trunk.elements = elements
                return trunk
        return None


class Gathered:
    """Transactions, numbered as they completed, and their micro-operations, in columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # One a transaction.
        self.status = array("b")
        self.session = array("i")
        self.invoke = array("q")
        self.complete = array("q")
        self.first_line = array("q")
        self.last_line = array("q")
        self.last_position = array("q")
        self.process: list[int] = []
        self.index: list[int | None] = []
        # One a micro-operation: appends, and reads of transactions that are ok.
        self.txn = array("i")
        self.row = array("i")
        #: A read's trunk, and how much of it was read; NO_READ for an append.
        self.trunk = array("i")
        self.length = array("i")
        #: What was appended; None for a read.
        self.element: list[Word | None] = []
        self.keys: dict[Word, Key] = {}
        self.trunks: list[Trunk] = []
        #: Appends that their transaction followed by a later one to the same key.
        self.intermediate = array("i")
        #: Reads that are their transaction's first of the key, which it appended to only afterwards.
        self.updated = array("i")
        self.broken: list[tuple[int, Broken]] = []
        self.foretold: list[tuple[int, Foretold]] = []
        self.broken_count = 0
        self.foretold_count = 0
        #: Each event has a line of its own.
        self.lined = True
        self._line = 0
        self._position = 0
        self._index = -1
        self._open: dict[int, _Begun] = {}
        self._sessions: dict[int, int] = {}
        self._named_sessions = 0

    @property
    def words(self) -> list[Word]:
        """The keys, by row."""
        return list(self.keys)

    def take(self, line: int, event: Event | None) -> None:
        """Take the next event of the file; MalformedError where it contradicts what came before."""
        position, self._position = self._position, self._position + 1
        if line == self._line:
            self.lined = False
        self._line = line
        if event is None:
            return
        if event.index is not None:
            if event.index <= self._index:
                raise self._fault(f"index {event.index} comes after index {self._index}; events must stand in order")
            self._index = event.index
        process = event.process
        begun = self._open.pop(process, None)
        if event.type == INVOKE:
            if begun is not None:
                where = self._where(begun[0], begun[1])
                raise self._fault(f"process {process} invokes again, though its invocation ({where}) is still open")
            self._open[process] = (line, position, event.index, event.value)
            return
        self._end(event, line, position, begun)

    def close(self) -> None:
        """Take invocations that never completed as unknown ones."""
        for process, (line, position, index, value) in self._open.items():
            self._transaction(process, UNKNOWN, (line, line), (position, position), index)
            self._operations(value, reads=False)
        self._open.clear()

    def _where(self, line: int, position: int) -> str:
        """How people find an event: by its line, or by its number where lines hold more than one."""
        return f"line {line}" if self.lined else f"event {position + 1}"

    def _fault(self, fault: str) -> MalformedError:
        return MalformedError(self.path, self._line, fault if self.lined else f"event {self._position}: {fault}")

    def _end(self, event: Event, line: int, position: int, begun: _Begun | None) -> None:
        status = _STATUS.get(event.type, UNKNOWN)
        value: Sequence[Append | Read] = event.value
        # Without an invocation nobody knows when it began: before everything, so that no real-time edge leads to it.
        first = (line, -1)
        if begun is not None:
            first = begun[:2]
            if status == COMMITTED:
                self._answered(begun, value)
            else:
                value = begun[3]
        self._transaction(event.process, status, (first[0], line), (first[1], position), event.index)
        self._operations(value, reads=status == COMMITTED)

    def _answered(self, begun: _Begun, value: Sequence[Append | Read]) -> None:
        """An ok must answer what was asked; only what was read is new."""
        asked = begun[3]
        if len(asked) != len(value):
            where = self._where(begun[0], begun[1])
            raise self._fault(f"has {len(value)} micro-operations, but its invocation ({where}) has {len(asked)}")
        for at, (one, other) in enumerate(zip(asked, value, strict=True), 1):
            if one.key == other.key:
                if isinstance(other, Append):
                    if isinstance(one, Append) and one.element == other.element:
                        continue
                elif isinstance(one, Read):
                    continue
            where = self._where(begun[0], begun[1])
            raise self._fault(f"micro-operation {at} is {_told(other)}, but its invocation ({where}) has {_told(one)}")

    def _transaction(
        self, process: int, status: int, lines: tuple[int, int], positions: tuple[int, int], index: int | None
    ) -> None:
        session = self._sessions.get(process)
        if session is None:
            session = self._sessions[process] = self._named_sessions
            self._named_sessions += 1
        if status == UNKNOWN:
            del self._sessions[process]
        self.status.append(status)
        self.session.append(session)
        self.invoke.append(positions[0])
        self.complete.append(NEVER if status == UNKNOWN else positions[1])
        self.last_position.append(positions[1])
        self.first_line.append(lines[0])
        self.last_line.append(lines[1])
        self.process.append(process)
        self.index.append(index)

    def _operations(self, value: Sequence[Append | Read], *, reads: bool) -> None:
        """The micro-operations of the last transaction; its reads count only if it is ok."""
        number = len(self.status) - 1
        base = len(self.txn)
        for operation in value:
            key = self.keys.get(operation.key) or self._key(operation.key)
            if isinstance(operation, Append):
                self._append(key, operation.element, number)
            elif reads:
                self._read(key, operation.elements or [], number)
        if len({operation.key for operation in value}) < len(value):
            self._repeated(value, base, reads=reads)
            if reads:
                self._within(value, number)

    def _key(self, word: Word) -> Key:
        key = self.keys[word] = Key(len(self.keys), word)
        return key

    def _append(self, key: Key, element: Word, number: int) -> None:
        at = len(self.txn)
        earlier = key.writers.setdefault(element, at)
        if earlier != at:
            writer = self.txn[earlier]
            begun = self.invoke[writer]
            where = self._where(self.first_line[writer], begun if begun >= 0 else self.last_position[writer])
            twice = "twice" if writer == number else f"again, which {where} appended already"
            raise self._fault(f"appends {shown(element)} to key {shown(key.word)} {twice}")
        self.txn.append(number)
        self.row.append(key.row)
        self.trunk.append(0)
        self.length.append(NO_READ)
        self.element.append(element)

    def _read(self, key: Key, elements: list[Word], number: int) -> None:
        trunk = 0
        if elements:
            found = key.trunk(elements)
            if found is None:
                found = Trunk(len(self.trunks), elements)
                self.trunks.append(found)
                key.trunks.append(found)
            if key.longest is None or len(found.elements) > len(key.longest.elements):
                key.longest = found
            trunk = found.number
        self.txn.append(number)
        self.row.append(key.row)
        self.trunk.append(trunk)
        self.length.append(len(elements))
        self.element.append(None)

    def _repeated(self, value: Sequence[Append | Read], base: int, *, reads: bool) -> None:
        """Note which of a transaction's appends it followed by others, and which of its reads by a first append."""
        read: dict[Word, int] = {}
        last: dict[Word, int] = {}
        at = base
        for operation in value:
            if isinstance(operation, Append):
                if operation.key in last:
                    self.intermediate.append(last[operation.key])
                elif operation.key in read:
                    self.updated.append(read[operation.key])
                last[operation.key] = at
                at += 1
            elif reads:
                read.setdefault(operation.key, at)
                at += 1

    def _within(self, value: Sequence[Append | Read], number: int) -> None:
        """Note what an ok transaction shows by itself."""
        if broken := first_broken(value):
            self.broken_count += 1
            if len(self.broken) < KEPT:
                self.broken.append((number, broken))
        if foretold := first_foretold(value):
            self.foretold_count += 1
            if len(self.foretold) < KEPT:
                self.foretold.append((number, foretold))


def _told(operation: Append | Read) -> str:
    if isinstance(operation, Append):
        return f"[append {shown(operation.key)} {shown(operation.element)}]"
    held = "nil" if operation.elements is None else listed(operation.elements)
    return f"[r {shown(operation.key)} {held}]"
