"""A run's profile: one frozen value, from a TOML file and flags, that reproduces the run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from worker.contract import Isolation, Retry

Count = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 7)]


class Mode(StrEnum):
    """Where the race runs."""

    DISTRIBUTED = "distributed"
    EAGER = "eager"
    #: The highest rung that stands: given services, embedded services, eager on SQLite.
    AUTO = "auto"


class Workers(StrEnum):
    """Whose workers take the messages."""

    SPAWN = "spawn"
    EXTERNAL = "external"


class Pool(StrEnum):
    """Celery's pool in spawned workers."""

    PREFORK = "prefork"
    THREADS = "threads"
    SOLO = "solo"


class Expect(StrEnum):
    """What the exit code compares verdicts to."""

    #: The published table: naive INVALID, the others VALID.
    TABLE = "table"
    VALID = "valid"
    INVALID = "invalid"


class Think(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pause between read and write, uniform, milliseconds."""

    min_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 0.0
    max_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 5.0


class Gates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What VALID must be earned with, and what fails the run beside the verdict."""

    #: Overlapping attempts needed per group; None: 10, or 1 in eager mode.
    min_overlaps: Count | None = None
    #: Share of the operations that business rules allow, that must be ok.
    min_done: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    #: Exit 1 where a group's p99 latency is above this, milliseconds.
    max_p99_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    #: Exit 1 where more operations than this gave up after their last attempt.
    max_give_ups: Count | None = None
    #: Exit 1 where a group's conflict rate is above this.
    max_conflict_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a run does; services' URLs are not part of it."""

    scenarios: tuple[str, ...] = ("credits",)
    strategies: tuple[str, ...] = ("optimistic",)
    isolation: tuple[Isolation, ...] = (Isolation.READ_COMMITTED,)
    #: Operations per group.
    operations: Count = 400
    #: Rows per group.
    rows: Positive = 8
    #: Zipf exponent of row popularity; 0 is uniform.
    skew: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**63)] = 1
    #: Operations in one message: a transaction each, one acknowledgement.
    per_message: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    think: Think = Think()
    retry: Retry = Retry()
    #: Longest wait for a row lock, milliseconds; 0 waits for ever.
    lock_timeout_ms: Count = 0
    #: A guard keeps an operation from being applied twice.
    idempotency: bool = True
    #: False for benchmarks only; the verdict is then UNKNOWN.
    recording: bool = True
    #: Durability of the run's commits; False asks for synchronous_commit=off, and the report says so.
    synchronous_commit: bool = True
    mode: Mode = Mode.DISTRIBUTED
    workers: Workers = Workers.SPAWN
    #: Worker nodes: spawned, or expected of an external fleet.
    nodes: Positive = 2
    #: Hosts that an external fleet must span.
    hosts: Positive = 1
    #: Worker slots per node (processes in prefork, threads in threads); logical workers in eager mode are nodes x this.
    concurrency: Positive = 2
    pool: Pool = Pool.PREFORK
    #: Messages a slot takes ahead.
    prefetch: Positive = 1
    #: Broker returns unacknowledged messages after this long, seconds.
    visibility_timeout: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0
    #: Workers send task events, for Flower.
    events: bool = False
    #: With queue and unacknowledged set empty, wait this long for stragglers, seconds.
    grace: Seconds = 3.0
    #: A group ends after this long, settled or not, seconds.
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86_400 * 7)] = 600.0
    expect: Expect = Expect.TABLE
    gates: Gates = Gates()
