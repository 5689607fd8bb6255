"""A history as dense arrays, made once: rows, operations and attempts become numbers that index each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from orchestrator.verifier.arrays import NONE, coded, encoded, flags, ints, locate, texts

if TYPE_CHECKING:
    from orchestrator.history.model import History, Meta
    from orchestrator.verifier.arrays import Flags, Ints

#: Outcomes of an attempt; their places here are the codes in `Attempts.outcome`.
OUTCOMES: Final = ("ok", "fail", "info")
OK, FAIL, INFO = range(3)

#: Reasons of an attempt's end (the journal's vocabulary); places are codes.
REASONS: Final = (
    "insufficient",
    "missing",
    "version",
    "serialization",
    "deadlock",
    "lock-timeout",
    "duplicate",
    "lost-connection",
    "error",
    "poison",
    "no-request",
)
INSUFFICIENT, MISSING, VERSION, SERIALIZATION, DEADLOCK, LOCK_TIMEOUT = range(6)
DUPLICATE, LOST_CONNECTION, ERROR, POISON, NO_REQUEST = range(6, 11)

#: Aborts by another attempt: these, over all attempts, are the conflict rate.
CONFLICTS: Final = (VERSION, SERIALIZATION, DEADLOCK, LOCK_TIMEOUT)
#: What a business rule refused, or nobody had asked for.
REFUSALS: Final = (INSUFFICIENT, MISSING, NO_REQUEST)


@dataclass(frozen=True, kw_only=True, eq=False)
class Operations:
    """Planned operations, by number."""

    number: Ints
    kind: Ints
    kinds: list[str]
    params: pa.Array
    confirmed: Flags
    #: 1: its request is committed, 0: it is not, -1: it needs none.
    requested: Ints
    #: How often it was published again.
    republished: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempts:
    """Attempts, by token."""

    token: Ints
    #: Place of the operation; -1 where nobody planned it.
    operation: Ints
    process: Ints
    slot: Ints
    #: Number within one delivery, from 1.
    ordinal: Ints
    redelivered: Flags
    start: Ints
    #: -1 where no end was recorded.
    end: Ints
    outcome: Ints
    reason: Ints
    final: Flags
    backend_ended: Flags
    detail: pa.Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Accesses:
    """Reads and writes as the access layer saw them."""

    attempt: Ints
    write: Flags
    row: Ints
    #: -1 where the statement returned none.
    seq: Ints
    writer: Ints
    at: Ints
    rows: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Effects:
    """Committed row changes, by (row, seq); the texts stay in the file's order, `order` leads to them."""

    row: Ints
    seq: Ints
    version_before: Ints
    version_after: Ints
    #: Place of the attempt that wrote it; -1 where nobody knows the token.
    attempt: Ints
    token: Ints
    #: Place of the operation that the session carried.
    operation: Ints
    txid: Ints
    at_us: Ints
    order: Ints
    before: pa.Array
    after: pa.Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Rows: the planned ones first, then those that only accesses or effects name."""

    relations: list[str]
    keys: list[str]
    numbers: dict[tuple[str, str], int]
    #: How many were planned; only these have the columns below.
    planned: int
    initial: pa.Array
    initial_version: Ints
    final: pa.Array
    final_version: Ints
    final_seq: Ints
    final_writer: Ints

    def name(self, row: int) -> str:
        """The row as people write it: "users/7"."""
        return f"{self.relations[row]}/{self.keys[row]}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Faults:
    """What was broken on purpose, by the time of the strike; microseconds of the database clock."""

    names: list[str]
    struck: Ints
    #: -1 where it was not healed, or nothing was to be.
    healed: Ints
    details: list[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """All of a history that checks look at."""

    meta: Meta
    operations: Operations
    attempts: Attempts
    accesses: Accesses
    effects: Effects
    rows: Rows
    clocks: tuple[Ints, Ints, Ints, Ints]  # process, mono, offset, error; by (process, mono)
    #: Node, host, pid and pool per process.
    processes: dict[int, tuple[str, str, int, str]]
    faults: Faults


def prepare(history: History) -> Columns:
    """Make the arrays; ValueError where the history contradicts itself so far that nothing can be said."""
    numbers: dict[tuple[str, str], int] = {}
    _number_rows(numbers, history.rows)
    planned = len(numbers)
    if planned != history.rows.num_rows:
        raise ValueError("a row is listed twice")
    operations = _operations(history.operations)
    attempts = _attempts(history.attempts, operations.number)
    accesses = _accesses(history.accesses, attempts.token, numbers)
    effects = _effects(history.effects, attempts.token, operations.number, numbers)
    return Columns(
        meta=history.meta,
        operations=operations,
        attempts=attempts,
        accesses=accesses,
        effects=effects,
        rows=_rows(history.rows, numbers, planned),
        clocks=_clocks(history.clocks),
        processes=_processes(history.processes),
        faults=_faults(history.faults),
    )


def _number_rows(numbers: dict[tuple[str, str], int], table: pa.Table) -> Ints:
    relation, relations = encoded(table["relation"])
    key, keys = encoded(table["key"])
    distinct, places = np.unique(relation * np.int64(len(keys) + 1) + key, return_inverse=True)
    found = np.full(len(distinct), NONE, dtype=np.int64)
    # In the table's order, so that planned rows keep their places.
    first = np.full(len(distinct), len(places), dtype=np.int64)
    np.minimum.at(first, places, np.arange(len(places)))
    for place in np.argsort(first):
        name = relations[distinct[place] // (len(keys) + 1)], keys[distinct[place] % (len(keys) + 1)]
        found[place] = numbers.setdefault(name, len(numbers))
    return found[places]


def _operations(table: pa.Table) -> Operations:
    number = ints(table["operation"])
    if len(number) > 1 and np.any(np.diff(number) < 0):
        table = table.take(np.argsort(number, kind="stable"))
    kind, kinds = encoded(table["kind"])
    return Operations(
        number=ints(table["operation"]),
        kind=kind,
        kinds=kinds,
        params=texts(table["params"]),
        confirmed=flags(table["confirmed"]),
        requested=ints(table["requested"].cast(pa.int8())),
        republished=ints(table["republished"], null=0),
    )


def _attempts(table: pa.Table, operations: Ints) -> Attempts:
    order = np.argsort(ints(table["token"]), kind="stable")
    outcome = coded(table["outcome"], OUTCOMES)
    return Attempts(
        token=ints(table["token"])[order],
        operation=locate(operations, ints(table["operation"])[order]),
        process=ints(table["process"])[order],
        slot=ints(table["slot"])[order],
        ordinal=ints(table["attempt"])[order],
        redelivered=flags(table["redelivered"])[order],
        start=ints(table["start_ns"])[order],
        end=ints(table["end_ns"])[order],
        outcome=np.where(outcome == NONE, INFO, outcome)[order],  # a word that nobody knows says nothing
        reason=coded(table["reason"], REASONS)[order],
        final=flags(table["final"])[order],
        backend_ended=flags(table["backend_ended"])[order],
        detail=texts(table["detail"]).take(order),
    )


def _accesses(table: pa.Table, tokens: Ints, numbers: dict[tuple[str, str], int]) -> Accesses:
    return Accesses(
        attempt=locate(tokens, ints(table["token"])),
        write=coded(table["mode"], ("r", "w")) == 1,
        row=_number_rows(numbers, table),
        seq=ints(table["seq"]),
        writer=ints(table["writer"]),
        at=ints(table["at_ns"]),
        rows=ints(table["rows"]),
    )


def _effects(table: pa.Table, tokens: Ints, operations: Ints, numbers: dict[tuple[str, str], int]) -> Effects:
    row, seq, token = _number_rows(numbers, table), ints(table["seq"]), ints(table["writer"])
    order = np.lexsort((seq, row))
    return Effects(
        row=row[order],
        seq=seq[order],
        version_before=ints(table["version_before"])[order],
        version_after=ints(table["version_after"])[order],
        attempt=locate(tokens, token)[order],
        token=token[order],
        operation=locate(operations, ints(table["operation"]))[order],
        txid=ints(table["txid"])[order],
        at_us=ints(table["at_us"])[order],
        order=order,
        before=texts(table["before"]),
        after=texts(table["after"]),
    )


def _rows(table: pa.Table, numbers: dict[tuple[str, str], int], planned: int) -> Rows:
    return Rows(
        relations=[relation for relation, _ in numbers],
        keys=[key for _, key in numbers],
        numbers=numbers,
        planned=planned,
        initial=texts(table["initial"]),
        initial_version=ints(table["initial_version"]),
        final=texts(table["final"]),
        final_version=ints(table["final_version"]),
        final_seq=ints(table["final_seq"]),
        final_writer=ints(table["final_writer"]),
    )


def _clocks(table: pa.Table) -> tuple[Ints, Ints, Ints, Ints]:
    process, mono = ints(table["process"]), ints(table["mono_ns"])
    order = np.lexsort((mono, process))
    return process[order], mono[order], ints(table["offset_ns"])[order], ints(table["error_ns"])[order]


def _faults(table: pa.Table) -> Faults:
    table = table.take(np.argsort(ints(table["struck_us"]), kind="stable"))
    return Faults(
        names=table["name"].to_pylist(),
        struck=ints(table["struck_us"]),
        healed=ints(table["healed_us"]),
        details=[detail or "" for detail in table["detail"].to_pylist()],
    )


def _processes(table: pa.Table) -> dict[int, tuple[str, str, int, str]]:
    columns = (table[name].to_pylist() for name in ("process", "node", "host", "pid", "pool"))
    return {process: (node, host, pid, pool) for process, node, host, pid, pool in zip(*columns, strict=True)}
