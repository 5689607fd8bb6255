"""A correct store under a storm: workers race on it, are killed, lose COMMIT's answer, and get messages twice.

`storm(seed)` plays it on a simulated database clock, and writes down what worker and database would have: nothing that
happens here may be held against the store.
"""

from __future__ import annotations

import heapq
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.unit.histories import CONFIG, Draft, changed, credits_meta, keys_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tests.unit.histories import Planned, Row

    #: A worker's steps; each yields the microseconds until its next.
    Steps = Generator[int, None, str | None]

#: Where each process's monotonic clock stands against the database's, nanoseconds.
_OFFSETS = {1: 10**12, 2: -(10**14), 3: 5 * 10**11}

#: Attempts in one delivery before it gives up.
_TRIES = 4


class Chances(NamedTuple):
    """How often what happens."""

    #: A process is killed, per step.
    kill: float = 0.01
    #: COMMIT's answer is lost, per COMMIT.
    cut: float = 0.05
    #: A message is delivered twice.
    twice: float = 0.1


class _Killed(Exception):
    """The process is gone."""


class _Ended(Exception):
    """The attempt failed, surely without effect."""


@dataclass(kw_only=True)
class _Transaction:
    """One attempt's transaction."""

    txid: int
    token: int
    operation: int
    #: What a transaction above read committed sees: the commits counted when it began.
    seen: int | None
    written: dict[str, Row] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    accesses: list[Row] = field(default_factory=list)


@dataclass(kw_only=True)
class _Version:
    """A committed state of a row."""

    value: Row
    seq: int = 0
    version: int = 1
    writer: int = 0
    #: Which commit, in their order, made it.
    commit: int = 0


class Storm:
    """One race; `draft` is what was written down."""

    def __init__(self, planned: Sequence[Planned], seed: int, chances: Chances, **meta: object) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.chances = chances
        config = any("agent" in params for _, params in planned)
        self.relation = "configs" if config else "users"
        self.draft = Draft(meta=credits_meta(scenario="config" if config else "credits", **meta))
        self.repeatable = self.draft.meta["isolation"] == "repeatable read"
        self.time = 10**9  # of the database's clock, microseconds
        self.commits = 0
        self.txids = 100
        self.counters = dict.fromkeys(_OFFSETS, 0)
        self.rows = {
            str(key): [_Version(value={"id": key, **({"config": dict(CONFIG)} if config else {"credits": 100})})]
            for key in range(3)
        }
        self.locks: dict[str, _Transaction] = {}
        self.applied: dict[int, _Transaction] = {}
        self.queue: list[int] = []
        self._plan(planned)
        self._clocks()

    def run(self) -> Draft:
        """Let every worker work until no message is left."""
        heap: list[tuple[int, int, Steps]] = []
        for number, process in enumerate(_OFFSETS):
            heapq.heappush(heap, (self.time + number, number, self._work(process)))
        while heap:
            self.time, number, steps = heapq.heappop(heap)
            pause = next(steps, None)
            if pause is not None:
                heapq.heappush(heap, (self.time + pause, number, steps))
        self._clocks()
        for row in self.draft.rows:
            last = self.rows[row["key"]][-1]
            stamp = {"final_version": last.version, "final_seq": last.seq, "final_writer": last.writer}
            row.update(final=json.dumps(last.value), **stamp)
        return self.draft

    def _plan(self, planned: Sequence[Planned]) -> None:
        for operation in planned:
            self.queue.append(self.draft.add_operation(operation))
            if self.random.random() < self.chances.twice:
                self.queue.append(self.queue[-1])
        self.random.shuffle(self.queue)
        for process in _OFFSETS:
            about = {"node": f"node-{process}", "host": "here", "pid": 100 + process, "pool": "prefork"}
            self.draft.processes.append({"process": process, **about})
        for key, (version,) in self.rows.items():
            row = {"relation": self.relation, "key": key, "initial": json.dumps(version.value), "initial_version": 1}
            self.draft.rows.append(row)

    def _clocks(self) -> None:
        """Read the database's clock in every process, off by less than the error."""
        for process, offset in _OFFSETS.items():
            off = self.random.randint(-900, 900)
            reading = {"mono_ns": self._mono(process), "offset_ns": offset + off, "error_ns": 1000}
            self.draft.clocks.append({"process": process, **reading})

    def _mono(self, process: int) -> int:
        return self.time * 1000 - _OFFSETS[process]

    def _work(self, process: int) -> Steps:
        while self.queue:
            operation = self.queue.pop(0)
            try:
                yield from self._deliver(process, operation)
            except _Killed:
                self.queue.insert(self.random.randint(0, len(self.queue)), operation)
                yield 50
        return None

    def _deliver(self, process: int, operation: int) -> Steps:
        for attempt in range(1, _TRIES + 1):
            again = yield from self._attempt(process, operation, attempt)
            if again is None:
                return None
            yield self.random.randint(0, 300)
        return None

    def _attempt(self, process: int, operation: int, number: int) -> Steps:
        """One attempt; what it returns is why there must be another."""
        self.counters[process] += 1
        self.txids += 1
        token = (process << 32) + self.counters[process]
        transaction = _Transaction(txid=self.txids, token=token, operation=operation, seen=None)
        attempt: Row = {"token": token, "operation": operation, "process": process, "slot": 0, "attempt": number}
        attempt |= {"redelivered": False, "start_ns": self._mono(process), "end_ns": None, "outcome": "info"}
        attempt |= {"reason": None, "final": False, "backend_pid": process, "backend_start_us": 1}
        self.draft.attempts.append({**attempt, "backend_ended": True})
        row = self.draft.attempts[-1]
        try:
            outcome, reason = yield from self._transact(process, transaction)
        except _Ended as end:
            outcome, reason = "fail", str(end)
        finally:
            self._rollback(transaction)
        retried = outcome == "fail" and reason in ("version", "serialization")
        final = not retried or number == _TRIES
        ended = True if outcome == "info" else None
        row.update(end_ns=self._mono(process), outcome=outcome, reason=reason, final=final, backend_ended=ended)
        self.draft.accesses += transaction.accesses
        return reason if retried else None

    def _transact(self, process: int, transaction: _Transaction) -> Generator[int, None, tuple[str, str | None]]:
        style = self.random.choice(("lock", "check", "atomic", *(("plain",) if self.repeatable else ())))
        kind, params = self._planned(transaction.operation)
        keys = sorted(keys_of(params))
        yield from self._step()
        if style == "atomic":
            yield from self._atomic(process, transaction, kind, params)
        else:
            if style == "lock":
                for key in keys:
                    yield from self._lock(transaction, key)
            read = {}
            for key in keys:
                read[key] = self._read(process, transaction, key)
                yield from self._step()
            self._refuse(kind, params, {key: version.value for key, version in read.items()})
            for key in keys:
                seen = read[key].version if style == "check" else None
                yield from self._write(process, transaction, key, changed(read[key].value, key, kind, params), seen)
                yield from self._step()
        return (yield from self._commit(transaction))

    def _atomic(self, process: int, transaction: _Transaction, kind: str, params: Row) -> Steps:
        """Decide under the rows' locks, without telling what was seen; where it matched nothing, read why."""
        at = self._mono(process)
        for key in sorted(keys_of(params)):
            yield from self._lock(transaction, key)
        held = {key: self._current(transaction, key).value for key in keys_of(params)}
        try:
            self._refuse(kind, params, held)
        except _Ended:
            for key in held:
                self._access(transaction, "w", key, at, None, 0)
            yield from self._step()
            self._refuse(kind, params, {key: self._read(process, transaction, key).value for key in held})
            raise _Ended("version") from None
        for key, value in sorted(held.items()):
            yield from self._write(process, transaction, key, changed(value, key, kind, params), None)
        return None

    def _step(self) -> Generator[int]:
        """Take a while; sometimes it is the last thing that the process does."""
        yield self.random.randint(5, 400)
        if self.random.random() < self.chances.kill:
            raise _Killed

    def _planned(self, operation: int) -> tuple[str, Row]:
        row = self.draft.operations[operation]
        return row["kind"], json.loads(row["params"])

    def _refuse(self, kind: str, params: Row, values: dict[str, Row]) -> None:
        source = params.get("user", params.get("source"))
        if kind in ("deduct", "transfer") and values[str(source)]["credits"] < params["amount"]:
            raise _Ended("insufficient")

    def _current(self, transaction: _Transaction, key: str) -> _Version:
        """The newest state that the transaction may see."""
        if self.repeatable and transaction.seen is None:
            transaction.seen = self.commits
        seen = self.commits if transaction.seen is None else transaction.seen
        return next(version for version in reversed(self.rows[key]) if version.commit <= seen)

    def _read(self, process: int, transaction: _Transaction, key: str) -> _Version:
        version = self._current(transaction, key)
        self._access(transaction, "r", key, self._mono(process), version, 1)
        return version

    def _access(
        self, transaction: _Transaction, mode: str, key: str, at: int, version: _Version | None, rows: int
    ) -> None:
        stamp = (version.seq, version.version, version.writer) if version else (None, None, None)
        seen = dict(zip(("seq", "version", "writer"), stamp, strict=True))
        row = {"token": transaction.token, "mode": mode, "relation": self.relation, "key": key, "at_ns": at}
        transaction.accesses.append({**row, **seen, "rows": rows})

    def _lock(self, transaction: _Transaction, key: str) -> Steps:
        """Wait for the row; above read committed, fail where it has changed since."""
        while self.locks.get(key, transaction) is not transaction:
            yield 20
            if self.random.random() < self.chances.kill / 5:
                raise _Killed
        if self.repeatable and self._current(transaction, key) is not self.rows[key][-1]:
            raise _Ended("serialization")
        self.locks[key] = transaction
        transaction.locked.add(key)
        return None

    def _guard(self, transaction: _Transaction) -> None:
        """One application an operation; above read committed, one that the snapshot can't see is a conflict."""
        other = self.applied.setdefault(transaction.operation, transaction)
        if other is not transaction:
            raise _Ended("serialization" if self.repeatable and self.random.random() < 1 / 2 else "duplicate")

    def _write(self, process: int, transaction: _Transaction, key: str, value: Row, seen: int | None) -> Steps:
        at = self._mono(process)
        yield from self._lock(transaction, key)
        while not transaction.written and self._guarded_by_another(transaction):
            yield 20  # for the other application's end
        matched = seen is None or self.rows[key][-1].version == seen
        self._access(transaction, "w", key, at, None, int(matched))
        if not matched:
            raise _Ended("version")
        self._guard(transaction)
        last = self.rows[key][-1]
        before = transaction.written.get(key)
        assert before is None
        transaction.written[key] = {
            "relation": self.relation,
            "key": key,
            "seq": last.seq + 1,
            "version_before": last.version,
            "version_after": last.version + 1,
            "before": json.dumps(last.value),
            "after": json.dumps(value),
            "writer": transaction.token,
            "operation": transaction.operation,
            "txid": transaction.txid,
            "at_us": self.time,
        }
        return None

    def _guarded_by_another(self, transaction: _Transaction) -> bool:
        other = self.applied.get(transaction.operation)
        return other is not None and other is not transaction and bool(other.locked)

    def _commit(self, transaction: _Transaction) -> Generator[int, None, tuple[str, str | None]]:
        yield self.random.randint(5, 50)
        cut = self.random.random() < self.chances.cut
        if cut and self.random.random() < 1 / 2:
            return "info", "lost-connection"
        self.commits += 1
        for key, effect in transaction.written.items():
            self.draft.effects.append(effect)
            stamp = {"seq": effect["seq"], "version": effect["version_after"], "writer": transaction.token}
            self.rows[key].append(_Version(value=json.loads(effect["after"]), commit=self.commits, **stamp))
        self._release(transaction)
        yield from self._step()
        return ("info", "lost-connection") if cut else ("ok", None)

    def _rollback(self, transaction: _Transaction) -> None:
        """End a transaction that did not commit; one that did has nothing locked."""
        if transaction.locked and self.applied.get(transaction.operation) is transaction:
            del self.applied[transaction.operation]
        self._release(transaction)

    def _release(self, transaction: _Transaction) -> None:
        for key in transaction.locked:
            del self.locks[key]
        transaction.locked.clear()


def storm(planned: Sequence[Planned], seed: int, chances: Chances | None = None, **meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """Play the operations through a storm."""
    return Storm(planned, seed, chances or Chances(), **meta).run()
