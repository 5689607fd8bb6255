"""The contract between orchestrator and worker: what a message says, and what a journal line says.

Both sides import this module and nothing else of each other's insides.  Everything here is JSON on
the wire (never pickle) and frozen in memory.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

#: Name of the one task that workers run; published by name, so a publisher needs no worker code.
TASK: Final = "rowrace.race"

#: Bits of a token that count the attempts of one process; the bits above name the process.
COUNTER_BITS: Final = 32

#: SQLSTATE raised by the guard when an operation would be applied a second time.
DUPLICATE: Final = "RR001"

#: Setting (Postgres `set_config`, local to the transaction) that carries "token:operation" to the triggers.
WRITER_SETTING: Final = "rowrace.writer"


#: Hash on the broker that keeps what workers took and did not acknowledge.  Kombu's own name for it is every Celery
#: app's: messages there would be given again after *our* visibility timeout, other apps' too.
UNACKED: Final = "rowrace:unacked"


class Isolation(StrEnum):
    """Isolation level of an attempt's transaction (SQL:1992 names, PostgreSQL semantics)."""

    READ_COMMITTED = "read committed"
    REPEATABLE_READ = "repeatable read"
    SERIALIZABLE = "serializable"


class Jitter(StrEnum):
    """How the pause before a retry is spread (Brooker, "Exponential Backoff And Jitter", 2015)."""

    NONE = "none"
    FULL = "full"
    DECORRELATED = "decorrelated"


class Via(StrEnum):
    """Who retries: the task itself, in place, or Celery, with a new message."""

    INLINE = "inline"
    CELERY = "celery"


class Outcome(StrEnum):
    """How an attempt ended: `ok` took effect, `fail` surely did not, `info` is unknown."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Reason(StrEnum):
    """Why an attempt did not end ok; conflicts are retried, the others are final."""

    INSUFFICIENT = "insufficient"  #: a business rule refused it
    MISSING = "missing"  #: the row it should change is not there
    VERSION = "version"  #: the version check found another version than the one read
    SERIALIZATION = "serialization"  #: SQLSTATE 40001
    DEADLOCK = "deadlock"  #: SQLSTATE 40P01
    LOCK_TIMEOUT = "lock-timeout"  #: SQLSTATE 55P03
    DUPLICATE = "duplicate"  #: the guard refused a second application
    LOST_CONNECTION = "lost-connection"  #: fail before COMMIT was sent, info after
    ERROR = "error"  #: any other exception; the transaction was rolled back
    NO_REQUEST = "no-request"  #: the request that it should fulfil is not there
    POISON = "poison"  #: its message took down as many workers as it may; given up without another try


#: Reasons that count as conflicts: these aborts, over all attempts, are the conflict rate.
CONFLICTS: Final = frozenset({Reason.VERSION, Reason.SERIALIZATION, Reason.DEADLOCK, Reason.LOCK_TIMEOUT})


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an attempt aborted by a conflict is tried again."""

    #: Attempts in all, the first one included; 1 never retries.
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 50
    #: Pause before the second attempt, in milliseconds.
    base_ms: Annotated[float, msgspec.Meta(ge=0, le=3_600_000)] = 1.0
    #: Longest pause, in milliseconds.
    cap_ms: Annotated[float, msgspec.Meta(ge=0, le=3_600_000)] = 100.0
    jitter: Jitter = Jitter.FULL
    via: Via = Via.INLINE


class Where(StrEnum):
    """A point within an attempt at which a failpoint can strike."""

    AFTER_READ = "after-read"  #: a row was read, nothing more of the attempt has happened
    BEFORE_COMMIT = "before-commit"  #: everything is written, COMMIT is not sent
    IN_COMMIT = "in-commit"  #: COMMIT is sent, its answer is not read
    AFTER_COMMIT = "after-commit"  #: COMMIT is answered, the end is not in the journal
    BEFORE_ACK = "before-ack"  #: the end is in the journal, the message is not acknowledged
    WHILE_LOGGING = "while-logging"  #: half of the end's line is in the journal


class Action(StrEnum):
    """What a failpoint does where it strikes."""

    KILL = "kill"  #: SIGKILL to its own process
    STOP = "stop"  #: SIGSTOP to its own process, until something continues or kills it
    RAISE = "raise"  #: an exception that no body expects
    DISCONNECT = "disconnect"  #: the database connection's socket is shut down, both ways
    DELAY = "delay"  #: nothing happens for a while


class Failpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A failure inside the worker, at a named point: of these operations, or of as many as the probability says."""

    where: Where
    action: Action
    operations: tuple[int, ...] = ()
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    #: Strike operations that were delivered before, too.
    always: bool = False
    delay_ms: Annotated[float, msgspec.Meta(ge=0, le=3_600_000)] = 0.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every message of a group carries, so that one fleet serves any run; never a credential."""

    run: str
    #: The group's schema: tables, effects, journal.  Matches `SCHEMA_PATTERN`.
    schema: str
    scenario: str
    strategy: str
    isolation: Isolation
    retry: Retry
    #: Shortest and longest think time between read and write, in milliseconds.
    think_ms: tuple[float, float]
    #: Longest wait for a lock, in milliseconds; 0 waits for ever.
    lock_timeout_ms: int
    #: False in benchmarks only: no journal, no accesses (the schema then has no triggers either).
    recording: bool
    #: Seeds think times, retry pauses and failpoints' probabilities, with the attempt's token.
    seed: int
    #: They strike where `recording` is on, in real worker processes.
    failpoints: tuple[Failpoint, ...] = ()
    #: Names of `worker.mistakes.Mistake`: deviations that people write, to be found by the checks.
    mistakes: tuple[str, ...] = ()


#: A group's schema, on Postgres; nothing outside such a schema is ever touched.
SCHEMA_PATTERN: Final = r"rowrace_[a-z0-9]{4,32}_[0-9]{1,4}"


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """One intended mutation, enqueued once; on the wire `[operation, kind, params]`."""

    #: Dense number within the group, from 0.
    operation: int
    kind: str
    #: The kind's parameters, as its scenario defines them.
    params: dict[str, Any]


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message's keyword arguments; its operations run one after another, a transaction each."""

    settings: Settings
    operations: list[Operation]
    #: Number of the first attempt that is made of them, where Celery brings a conflict's operation again.
    attempt: Annotated[int, msgspec.Meta(ge=1)] = 1


# ---- journal lines: one JSON array a line, the tag first -------------------------------------------------


class ProcessLine(msgspec.Struct, frozen=True, array_like=True, tag="process"):
    """First line of a journal file: who writes it."""

    process: int
    node: str
    host: str
    pid: int
    pool: str


class ClockLine(msgspec.Struct, frozen=True, array_like=True, tag="clock"):
    """One reading of the database clock: local `mono_ns` plus `offset_ns`, give or take `error_ns`."""

    mono_ns: int
    offset_ns: int
    error_ns: int


class StartLine(msgspec.Struct, frozen=True, array_like=True, tag="start"):
    """Written before the attempt's first statement."""

    token: int
    operation: int
    #: Attempt number within one delivery, from 1.
    attempt: int
    #: Worker slot within the process (thread, greenlet), from 0.
    slot: int
    mono_ns: int
    backend_pid: int
    #: The backend's start, microseconds since 1970 by the database clock; with the pid it names a backend for ever.
    backend_start_us: int
    redelivered: bool


class Access(msgspec.Struct, frozen=True, array_like=True):
    """One row that an attempt read or wrote, as the access layer saw it."""

    #: "r" read, "w" write, "l" asked for the row's advisory lock.
    mode: str
    relation: str
    key: str
    #: seq, version and writer seen by a read; None for a write that did not return them, or a row not there.
    seq: int | None
    version: int | None
    writer: int | None
    #: Local monotonic clock just before the statement was sent.
    mono_ns: int
    #: Rows matched.
    rows: int


class EndLine(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """Written when the attempt has ended; `final` says that no retry follows."""

    token: int
    outcome: Outcome
    reason: Reason | None
    final: bool
    #: Receipt of COMMIT's (or the error's) answer.
    mono_ns: int
    accesses: list[Access]
    #: For reason `error`: the exception's class, never its text.
    detail: str | None = None


class FaultLine(msgspec.Struct, frozen=True, array_like=True, tag="fault"):
    """Written before a failpoint strikes."""

    #: The failpoint, "where:action".
    name: str
    #: The attempt it strikes.
    token: int
    mono_ns: int
    #: What is about to happen.
    detail: str


Line = ProcessLine | ClockLine | StartLine | EndLine | FaultLine
