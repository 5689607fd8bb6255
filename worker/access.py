"""What a body gets: transactions, reads and writes of rows; every one is recorded, bodies can't forget it."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from worker import contract
from worker.contract import Isolation, Reason, Where
from worker.errors import Conflict, Refused, RolledBack
from worker.failpoints import Injected
from worker.link import Answer, Begin
from worker.mistakes import Mistake
from worker.statements import LOCK_SESSION, LOCK_TRANSACTION, UNLOCK_SESSION, lock_number, request_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sqlalchemy.sql.expression import ClauseElement

    from worker.contract import Settings
    from worker.failpoints import Trap
    from worker.link import Link
    from worker.runtime import Runtime
    from worker.scenarios.model import Step
    from worker.statements import Statements


class Row(NamedTuple):
    """A row as a read saw it."""

    value: Any
    version: int
    seq: int
    writer: int


class Access:
    """One attempt's access to the scenario's rows, over one link."""

    __slots__ = ("_link", "_runtime", "_settings", "_statements", "_token", "_writer", "accesses", "ended_ns", "trap")

    def __init__(
        self, link: Link, runtime: Runtime, settings: Settings, words: Statements, token: int, operation: int
    ) -> None:
        #: The delivery's failpoints, where it has any.
        self.trap: Trap | None = None
        self._link = link
        self._runtime = runtime
        self._settings = settings
        self._statements = words
        self._token = token
        self._writer = f"{token}:{operation}" if settings.recording else None
        #: Every row read or written, in order; stays empty where recording is off.
        self.accesses: list[contract.Access] = []
        #: When COMMIT's, or an error's, answer had come; 0 before.
        self.ended_ns = 0

    @property
    def dialect(self) -> str:
        """Name of the link's dialect."""
        return self._link.dialect

    @property
    def isolation(self) -> Isolation:
        """The level that the run asked for."""
        return self._settings.isolation

    def transaction(self, isolation: Isolation | None = None) -> _Transaction:
        """Open a transaction for a `with` block: COMMIT at its end, ROLLBACK where it raises."""
        begin = Begin(isolation or self._settings.isolation, self._writer, self._settings.lock_timeout_ms)
        return _Transaction(self, self._link, begin)

    def read(self, key: int, *, lock: bool = False) -> Row:
        """Read a row, locking it if asked; a row not there refuses the operation."""
        statement = self._statements.read_locking if lock else self._statements.read
        at = self._runtime.now()
        try:
            rows = self._link.execute(statement, {"key": key}).rows
        except Exception:
            self._record("r", key, at, 0)
            raise
        if not rows:
            self._record("r", key, at, 0)
            raise Refused(Reason.MISSING)
        row = Row._make(rows[0])
        self._record("r", key, at, 1, row)
        if self.trap is not None:
            self.reach(Where.AFTER_READ)
        return row

    def request(self, number: int) -> None:
        """Look a request up, in autocommit outside a transaction; one that is not there refuses the operation."""
        if not self._link.execute(request_of(self._statements.schema), {"request": number}).rows:
            raise Refused(Reason.NO_REQUEST)

    def update(self, key: int, value: Any, *, seen: int | None = None) -> None:  # noqa: ANN401 - a scenario's value
        """Write a row's value; with `seen`, only where the version is still that one, else it is a conflict."""
        if seen is None:
            matched = self._write(self._statements.write, {"key": key, "new": value}, (key,)).count
            if not matched:
                raise Refused(Reason.MISSING)
        else:
            params = {"key": key, "new": value, "seen": seen}
            matched = self._write(self._statements.write_checked, params, (key,)).count
            if not matched and Mistake.UNCHECKED_ROWCOUNT not in self._settings.mistakes:
                raise Conflict(Reason.VERSION)

    def apply(self, step: Step) -> bool:
        """Run an atomic statement; False where it did not match every row that it should."""
        answer = self._write(self._statements.atomic[step.statement], step.params, step.keys)
        return answer.count == len(step.keys)

    def advisory(self, keys: tuple[int, ...]) -> None:
        """Take the rows' advisory locks, a statement each, until the transaction ends."""
        for key in keys:
            self._lock(LOCK_TRANSACTION, key)

    def advisory_session(self, keys: tuple[int, ...]) -> _SessionLocks:
        """Hold the rows' advisory locks for a `with` block around a transaction."""
        return _SessionLocks(self, self._link, keys, self._settings.lock_timeout_ms)

    def think(self) -> None:
        """Pause as a body would that computes between read and write."""
        low, high = self._settings.think_ms
        if high > 0:
            # Mixed so that neighbours differ, and neither seed nor token alone decides.
            seeded = random.Random(self._settings.seed * 0x9E3779B97F4A7C15 ^ self._token)  # noqa: S311 - no secret
            self._runtime.pause(seeded.uniform(low, high) / 1000)

    def reach(self, where: Where) -> None:
        """Let the failpoints of a point strike."""
        if self.trap is not None:
            self.trap.reach(where, self._token, self._link)

    def commit(self) -> None:
        """COMMIT, with the failpoints around it."""
        if self.trap is None:
            self._link.commit()
        else:
            self.reach(Where.BEFORE_COMMIT)
            self._link.commit(partial(self.reach, Where.IN_COMMIT))

    def swallows(self) -> bool:
        """Tell whether a transaction's errors are caught and lost."""
        return Mistake.SWALLOWED_ERROR in self._settings.mistakes

    def mark(self) -> None:
        """Note that the transaction's last answer has come."""
        self.ended_ns = self._runtime.now()

    def lock_session(self, key: int) -> None:
        """Take a row's advisory lock for the session."""
        self._lock(LOCK_SESSION, key)

    def unlock_session(self, key: int) -> None:
        """Give a row's advisory lock back."""
        self._link.execute(UNLOCK_SESSION, {"lock": self._number(key)})

    def _lock(self, statement: ClauseElement, key: int) -> None:
        """Ask for a row's advisory lock; the wait for it is recorded as the first touch of the row."""
        self._record("l", key, self._runtime.now(), 0)
        self._link.execute(statement, {"lock": self._number(key)})

    def _number(self, key: int) -> int:
        return lock_number(self._statements.schema, self._statements.scenario.relation, key)

    def _write(self, statement: ClauseElement, params: Mapping[str, Any], keys: tuple[int, ...]) -> Answer:
        at = self._runtime.now()
        matched = 0
        try:
            answer = self._link.execute(statement, params)
            matched = answer.count
        except Exception:
            if not self.swallows():
                raise
            answer = Answer((), len(keys))
        finally:
            for key in keys:
                self._record("w", key, at, min(matched, 1))
        return answer

    def _record(self, mode: str, key: int, at: int, rows: int, row: Row | None = None) -> None:
        if not self._settings.recording:
            return
        seq, version, writer = (None, None, None) if row is None else (row.seq, row.version, row.writer)
        if sent := self._link.sent_ns:
            at = max(at, sent)
        relation = self._statements.scenario.relation
        self.accesses.append(contract.Access(mode, relation, str(key), seq, version, writer, at, rows))


class _Transaction:
    """COMMIT at the end of the block, ROLLBACK where it raises; either way the answer's time is noted."""

    __slots__ = ("_access", "_begin", "_link")

    def __init__(self, access: Access, link: Link, begin: Begin) -> None:
        self._access = access
        self._link = link
        self._begin = begin

    def __enter__(self) -> None:
        self._link.begin(self._begin)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            try:
                self._access.commit()
            except RolledBack:
                if not self._access.swallows():
                    raise
            except Injected:  # before COMMIT was sent
                self._link.rollback()
                raise
            finally:
                self._access.mark()
        else:
            self._access.mark()
            self._link.rollback()


class _SessionLocks:
    """Advisory locks of the session: taken in order, given back in any case."""

    __slots__ = ("_access", "_held", "_keys", "_link", "_timeout")

    def __init__(self, access: Access, link: Link, keys: tuple[int, ...], timeout: int) -> None:
        self._access = access
        self._link = link
        self._keys = keys
        self._timeout = timeout
        self._held: list[int] = []

    def __enter__(self) -> None:
        try:
            if self._timeout:
                # A lock timeout is local to a transaction; the lock itself outlives it.
                self._link.begin(Begin(Isolation.READ_COMMITTED, None, self._timeout))
            for key in self._keys:
                self._access.lock_session(key)
                self._held.append(key)
            if self._timeout:
                self._link.commit()
        except BaseException:
            self._link.rollback()
            self._release()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._release()

    def _release(self) -> None:
        try:
            for key in self._held:
                self._access.unlock_session(key)
        except Exception:  # noqa: BLE001 - the transaction's outcome is settled, and must not be overwritten by this
            return  # the link throws a session away that still holds locks, and the server gives them back with it
