"""The history of one group: everything the verifier may know, as columns.

Each table is a `pyarrow.Table` of the schema below, in one Parquet file of that name in the group's
folder; `Meta` is group.json beside them.  Times are nanoseconds of the writing process's monotonic clock unless a
column says otherwise; `clocks` maps them to the database clock.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pyarrow as pa

_text = pa.dictionary(pa.int32(), pa.string())

OPERATIONS: Final = pa.schema(
    [
        pa.field("operation", pa.int64(), nullable=False),  # dense, from 0
        pa.field("kind", _text, nullable=False),
        pa.field("params", pa.string(), nullable=False),  # JSON object
        pa.field("confirmed", pa.bool_(), nullable=False),  # the broker confirmed its publication
        pa.field("requested", pa.bool_()),  # its request row is committed; null: it needs none
        pa.field("republished", pa.int32(), nullable=False),  # how often it was published again, thought to be lost
    ]
)

ATTEMPTS: Final = pa.schema(
    [
        pa.field("token", pa.int64(), nullable=False),  # unique; effects and accesses name it as writer
        pa.field("operation", pa.int64(), nullable=False),
        pa.field("process", pa.int64(), nullable=False),
        pa.field("slot", pa.int32(), nullable=False),  # with process: the worker (a session)
        pa.field("attempt", pa.int32(), nullable=False),  # within one delivery, from 1
        pa.field("redelivered", pa.bool_(), nullable=False),
        pa.field("start_ns", pa.int64(), nullable=False),
        pa.field("end_ns", pa.int64()),  # null: no end recorded
        pa.field("outcome", _text, nullable=False),  # ok, fail, info; info where no end was recorded
        pa.field("reason", _text),
        pa.field("final", pa.bool_(), nullable=False),  # false: a retry was to follow, or no end recorded
        pa.field("backend_pid", pa.int32(), nullable=False),
        pa.field("backend_start_us", pa.int64(), nullable=False),
        pa.field("backend_ended", pa.bool_()),  # asked for attempts that are info; null otherwise
        pa.field("detail", pa.string()),
    ]
)

ACCESSES: Final = pa.schema(
    [
        pa.field("token", pa.int64(), nullable=False),
        pa.field(
            "mode", _text, nullable=False
        ),  # r read, w write, l asked for the row's lock by a statement of its own
        pa.field("relation", _text, nullable=False),
        pa.field("key", _text, nullable=False),
        pa.field("seq", pa.int64()),
        pa.field("version", pa.int64()),
        pa.field("writer", pa.int64()),
        pa.field("at_ns", pa.int64(), nullable=False),  # just before the statement was sent
        pa.field("rows", pa.int32(), nullable=False),
    ]
)

EFFECTS: Final = pa.schema(
    [
        pa.field("relation", _text, nullable=False),
        pa.field("key", _text, nullable=False),
        pa.field("seq", pa.int64(), nullable=False),  # after the change; the first change of a row has 1
        pa.field("version_before", pa.int64()),
        pa.field("version_after", pa.int64()),
        pa.field("before", pa.string()),  # JSON object without version, seq, writer; null for an INSERT
        pa.field("after", pa.string()),  # null for a DELETE
        pa.field("writer", pa.int64(), nullable=False),  # token of the attempt; 0: nobody known
        pa.field("operation", pa.int64(), nullable=False),  # as the session carried it; -1: nobody known
        pa.field("txid", pa.int64(), nullable=False),
        pa.field("at_us", pa.int64(), nullable=False),  # database clock, before the commit was visible
    ]
)

ROWS: Final = pa.schema(
    [
        pa.field("relation", _text, nullable=False),
        pa.field("key", _text, nullable=False),
        pa.field("initial", pa.string(), nullable=False),  # JSON object; at seq 0
        pa.field("initial_version", pa.int64(), nullable=False),
        pa.field("final", pa.string()),  # null: the row is gone
        pa.field("final_version", pa.int64()),
        pa.field("final_seq", pa.int64()),
        pa.field("final_writer", pa.int64()),
    ]
)

PROCESSES: Final = pa.schema(
    [
        pa.field("process", pa.int64(), nullable=False),
        pa.field("node", pa.string(), nullable=False),
        pa.field("host", pa.string(), nullable=False),
        pa.field("pid", pa.int64(), nullable=False),
        pa.field("pool", pa.string(), nullable=False),
    ]
)

CLOCKS: Final = pa.schema(
    [
        pa.field("process", pa.int64(), nullable=False),
        pa.field("mono_ns", pa.int64(), nullable=False),
        pa.field("offset_ns", pa.int64(), nullable=False),  # database clock minus local clock
        pa.field("error_ns", pa.int64(), nullable=False),  # half the round trip
    ]
)

FAULTS: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("struck_us", pa.int64(), nullable=False),  # database clock
        pa.field("healed_us", pa.int64()),
        pa.field("detail", pa.string()),
    ]
)

TABLES: Final = {
    "operations": OPERATIONS,
    "attempts": ATTEMPTS,
    "accesses": ACCESSES,
    "effects": EFFECTS,
    "rows": ROWS,
    "processes": PROCESSES,
    "clocks": CLOCKS,
    "faults": FAULTS,
}

#: Columns that histories written before they were thought of lack, with what those would have said.
LATER: Final[dict[str, dict[str, Any]]] = {"operations": {"requested": None, "republished": 0}}


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the group, and how its gathering ended."""

    run: str
    scenario: str
    strategy: str
    isolation: str
    #: "distributed" or "eager".
    mode: str
    #: The rung of the ladder it stood on, in words, for the verdict.
    rung: str = ""
    planned: int
    #: sha256 of the plan, hexadecimal.
    plan_digest: str = ""
    idempotency: bool = True
    recording: bool = True
    #: Every attempt could be awaited: queue and unacknowledged set were empty when gathering ended.
    drained: bool = True
    interrupted: bool = False
    timed_out: bool = False
    #: Asked for: nodes, hosts, processes that must have run at least one attempt.
    min_nodes: int = 0
    min_hosts: int = 0
    min_processes: int = 0
    min_overlaps: int = 10
    #: Share of the operations that business rules allow, that must be ok.
    min_done: float = 0.5
    #: Bounds of the check `progress`: seconds from an operation's first attempt to its settling, and attempts that
    #: it may need; None asks for none.
    max_settle_s: float | None = None
    max_attempts: int | None = None
    #: The fault plan's entries, as given.
    faults: tuple[str, ...] = ()
    #: What had not ended once nothing was queued was published again.
    republish: bool = False
    #: Wall time from first publication to the last settling, seconds.
    seconds: float = 0.0
    #: First publication per operation is not recorded; this is the run's begin on the database clock, microseconds.
    began_us: int = 0
    #: What the run could not gather, one sentence each ("effects: 12 journal lines of a dead host are missing").
    gaps: tuple[str, ...] = ()
    #: Faults of the plan that never struck, one sentence each: they have shown nothing, though all was gathered.
    unmet: tuple[str, ...] = ()
    #: The group's key in the folder, e.g. "1-credits-naive-read-committed".
    name: str = ""
    #: Versions of database, broker, celery, python, for the report.
    versions: dict[str, str] = {}
    profile: dict[str, Any] = {}


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One group's history; the verifier's only input."""

    meta: Meta
    operations: pa.Table
    attempts: pa.Table
    accesses: pa.Table
    effects: pa.Table
    rows: pa.Table
    processes: pa.Table
    clocks: pa.Table
    faults: pa.Table
