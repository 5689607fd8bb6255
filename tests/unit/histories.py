"""Histories written by hand: `race(deduct(0, 5), grant(1, 3))` is a valid one, and a test changes one thing in it.

A `Draft` holds every table as a list of dicts.  `race` plays operations one after another on a correct store, as
workers under row locks would: windows overlap, because the next attempt waits for the row while the last one commits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from orchestrator.history.model import TABLES, History, Meta
from orchestrator.verifier import verify

if TYPE_CHECKING:
    from orchestrator.verifier import Check

Row: TypeAlias = dict[str, Any]
Planned: TypeAlias = tuple[str, Row]

#: Offset of each process's clock to the database's, nanoseconds.
OFFSETS = {1: 1_000_000_000_000, 2: 5_000_000_000_000}

#: Length of one turn on the simulated database clock.
TURN_NS = 1_000_000

CONFIG = {
    "model": "small",
    "preset": "balanced",
    "temperature": 0.5,
    "max_tokens": 1024,
    "tools": ["search"],
    "enabled": True,
    "calls": 0,
}


def deduct(user: int, amount: int) -> Planned:
    """Take credits."""
    return "deduct", {"user": user, "amount": amount}


def grant(user: int, amount: int) -> Planned:
    """Give credits."""
    return "grant", {"user": user, "amount": amount}


def transfer(source: int, target: int, amount: int) -> Planned:
    """Move credits."""
    return "transfer", {"source": source, "target": target, "amount": amount}


def set_field(agent: int, name: str, value: object) -> Planned:
    """Set one field of a configuration."""
    return "set_field", {"agent": agent, "field": name, "value": value}


def set_fields(agent: int, **fields: object) -> Planned:
    """Set several fields of a configuration."""
    return "set_fields", {"agent": agent, "fields": fields}


def increment(agent: int, by: int) -> Planned:
    """Count calls."""
    return "increment", {"agent": agent, "field": "calls", "by": by}


@dataclass(kw_only=True)
class Draft:
    """A history in the making."""

    meta: Row = field(default_factory=dict)
    operations: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    accesses: list[Row] = field(default_factory=list)
    effects: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    processes: list[Row] = field(default_factory=list)
    clocks: list[Row] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)

    def history(self) -> History:
        """Freeze it."""
        tables = {name: pa.Table.from_pylist(getattr(self, name), schema=schema) for name, schema in TABLES.items()}
        return History(meta=Meta(**self.meta), **tables)

    def attempt_of(self, operation: int) -> Row:
        """The operation's last attempt."""
        return [attempt for attempt in self.attempts if attempt["operation"] == operation][-1]

    def effects_of(self, operation: int) -> list[Row]:
        """The operation's effects."""
        return [effect for effect in self.effects if effect["operation"] == operation]

    def read_of(self, operation: int) -> Row:
        """The operation's first read."""
        token = self.attempt_of(operation)["token"]
        return next(access for access in self.accesses if access["token"] == token and access["mode"] == "r")

    def refuse(self, operation: int, reason: str) -> Row:
        """Let the operation's last attempt have failed, finally, for this reason."""
        attempt = self.attempt_of(operation)
        attempt.update(outcome="fail", reason=reason, final=True)
        return attempt

    def crash(self, operation: int, *, backend_ended: bool | None = None) -> Row:
        """Let the operation's last attempt have left no end, and nothing that it read."""
        attempt = self.attempt_of(operation)
        attempt.update(end_ns=None, outcome="info", reason=None, final=False, backend_ended=backend_ended)
        self.accesses = [access for access in self.accesses if access["token"] != attempt["token"]]
        return attempt

    def add_operation(self, planned: Planned, *, confirmed: bool = True) -> int:
        """Plan one more operation, which nobody attempts."""
        number = len(self.operations)
        kind, params = planned
        self.operations.append(
            {"operation": number, "kind": kind, "params": json.dumps(params), "confirmed": confirmed, "republished": 0}
        )
        self.meta["planned"] = number + 1
        return number

    def add_attempt(self, operation: int, **changes: Any) -> Row:  # noqa: ANN401  # a column's value
        """Attempt the operation once more, after its last attempt, with these changes."""
        last = (
            self.attempt_of(operation) if any(a["operation"] == operation for a in self.attempts) else self.attempts[-1]
        )
        token = max(attempt["token"] for attempt in self.attempts) + 1
        later = {"start_ns": last["start_ns"] + 10 * TURN_NS, "end_ns": (last["end_ns"] or 0) + 10 * TURN_NS}
        attempt = {**last, **later, "token": token, "operation": operation, "attempt": last["attempt"] + 1, **changes}
        self.attempts.append(attempt)
        return attempt

    def drop(self, operation: int) -> None:
        """Forget that the operation was ever attempted, and what it read."""
        tokens = {attempt["token"] for attempt in self.attempts if attempt["operation"] == operation}
        self.attempts = [attempt for attempt in self.attempts if attempt["token"] not in tokens]
        self.accesses = [access for access in self.accesses if access["token"] not in tokens]


def credits_meta(**changes: object) -> Row:
    """What a run of credits asked for."""
    asked = {"run": "test", "scenario": "credits", "strategy": "pessimistic", "isolation": "read committed"}
    return {**asked, "mode": "distributed", "planned": 0, "min_overlaps": 1, "seconds": 1.0, **changes}


def race(*planned: Planned, rows: int = 3, start: int = 100, **meta: object) -> Draft:
    """Play the operations on users with `start` credits each (or on configurations), alternating two workers."""
    config = any("agent" in params for _, params in planned)
    draft = Draft(meta=credits_meta(scenario="config" if config else "credits", **meta))
    draft.meta["planned"] = meta.get("planned", len(planned))
    for process in (1, 2):
        draft.processes.append(
            {"process": process, "node": f"node-{process}", "host": "here", "pid": 100 + process, "pool": "prefork"}
        )
        mono = -OFFSETS[process] + 10**15
        draft.clocks.append({"process": process, "mono_ns": mono, "offset_ns": OFFSETS[process], "error_ns": 1000})
    store = _Store(draft, relation="configs" if config else "users")
    for key in range(rows):
        value = {"config": dict(CONFIG)} if config else {"credits": start}
        store.add(str(key), {"id": key, **value})
    for number, operation in enumerate(planned):
        store.play(number, *operation)
    store.finish()
    return draft


@dataclass
class _Store:
    """A correct store: rows, and the turn that the race has come to."""

    draft: Draft
    relation: str
    values: dict[str, Row] = field(default_factory=dict)
    stamps: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # seq, version, writer

    def add(self, key: str, value: Row) -> None:
        self.values[key] = value
        self.stamps[key] = (0, 1, 0)
        self.draft.rows.append(
            {"relation": self.relation, "key": key, "initial": json.dumps(value), "initial_version": 1}
        )

    def play(self, number: int, kind: str, params: Row) -> None:
        """One operation in one attempt: wait for the row, read, write, commit; or be refused."""
        process = 1 + number % 2
        token = (process << 32) + number + 1
        began = 10**15 + number * TURN_NS - OFFSETS[process]
        keys = keys_of(params)
        operation = {"operation": number, "kind": kind, "params": json.dumps(params), "confirmed": True}
        self.draft.operations.append({**operation, "republished": 0})
        missing = any(key not in self.values for key in keys)
        short = not missing and kind in ("deduct", "transfer") and self._credits(keys[0]) < params["amount"]
        reason = "missing" if missing else "insufficient" if short else None
        self._attempt(number, token, process, began, reason)
        for key in keys:
            self._access(token, "r", key, began + TURN_NS // 10, self.stamps.get(key))
        for key in keys if reason is None else ():
            self._access(token, "w", key, began + TURN_NS, None)
            self._apply(number, token, key, kind, params)

    def finish(self) -> None:
        """Write the final rows down."""
        for row in self.draft.rows:
            seq, version, writer = self.stamps[row["key"]]
            final = json.dumps(self.values[row["key"]])
            row.update(final=final, final_version=version, final_seq=seq, final_writer=writer)

    def _credits(self, key: str) -> int:
        return int(self.values[key]["credits"])

    def _attempt(self, number: int, token: int, process: int, began: int, reason: str | None) -> None:
        self.draft.attempts.append(
            {
                "token": token,
                "operation": number,
                "process": process,
                "slot": 0,
                "attempt": 1,
                "redelivered": False,
                "start_ns": began,
                # The next turn begins before this one ends: the next attempt waits for the row meanwhile.
                "end_ns": began + TURN_NS + TURN_NS // 2,
                "outcome": "fail" if reason else "ok",
                "reason": reason,
                "final": True,
                "backend_pid": process,
                "backend_start_us": 1,
            }
        )

    def _access(self, token: int, mode: str, key: str, at: int, stamp: tuple[int, int, int] | None) -> None:
        seq, version, writer = stamp or (None, None, None)
        access = {"token": token, "mode": mode, "relation": self.relation, "key": key, "seq": seq, "version": version}
        self.draft.accesses.append({**access, "writer": writer, "at_ns": at, "rows": int(key in self.values)})

    def _apply(self, number: int, token: int, key: str, kind: str, params: Row) -> None:
        seq, version, _ = self.stamps[key]
        before = self.values[key]
        after = changed(before, key, kind, params)
        self.draft.effects.append(
            {
                "relation": self.relation,
                "key": key,
                "seq": seq + 1,
                "version_before": version,
                "version_after": version + 1,
                "before": json.dumps(before),
                "after": json.dumps(after),
                "writer": token,
                "operation": number,
                "txid": 1000 + number,
                "at_us": (10**15 + number * TURN_NS + TURN_NS + 1000) // 1000,
            }
        )
        self.values[key] = after
        self.stamps[key] = (seq + 1, version + 1, token)


def keys_of(params: Row) -> list[str]:
    """The rows that an operation names."""
    return [str(params[name]) for name in ("user", "agent", "source", "target") if name in params]


def changed(before: Row, key: str, kind: str, params: Row) -> Row:
    """The row after the operation, told independently of the verifier."""
    if kind in ("deduct", "grant", "transfer"):
        gives = kind == "deduct" or (kind == "transfer" and key == str(params["source"]))
        return {**before, "credits": before["credits"] + params["amount"] * (-1 if gives else 1)}
    config = dict(before["config"])
    if kind == "increment":
        config[params["field"]] += params["by"]
    elif kind == "set_field":
        config[params["field"]] = params["value"]
    else:
        config.update(params["fields"])
    return {**before, "config": config}


def check(draft: Draft, name: str) -> Check:
    """The named check's finding on a history."""
    verdict = verify(draft.history())
    return next(check for check in (*verdict.checks, verdict.isolation) if check.name == name)


def anomalies(draft: Draft, name: str) -> set[str]:
    """Which anomalies the named check's witnesses tell of."""
    return {witness.anomaly for witness in check(draft, name).witnesses}
