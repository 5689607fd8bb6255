"""A run's profile: one frozen value, from a TOML file and flags, that reproduces the run.

Each field's description is also the flag's help and the line in docs/profile.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from worker.contract import Isolation, Retry

_MOST = 100_000_000
_WEEK = 86_400 * 7


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

    min_ms: Annotated[float, Meta(ge=0, le=60_000, description="shortest think time between read and write, ms")] = 0.0
    max_ms: Annotated[float, Meta(ge=0, le=60_000, description="longest think time between read and write, ms")] = 5.0


class Gates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What VALID must be earned with, and what fails the run beside the verdict."""

    min_overlaps: (
        Annotated[
            int,
            Meta(ge=0, le=_MOST, description="overlapping attempts a group must show to be VALID (10, or 1 in eager)"),
        ]
        | None
    ) = None
    min_done: Annotated[
        float, Meta(ge=0, le=1, description="share of the operations that business rules allow, that must be done")
    ] = 0.5
    max_settle_s: (
        Annotated[
            float,
            Meta(gt=0, description="INVALID where an operation needs longer from its first attempt to its settling, s"),
        ]
        | None
    ) = None
    max_attempts: (
        Annotated[int, Meta(ge=1, le=_MOST, description="INVALID where an operation needs more attempts")] | None
    ) = None
    max_p99_ms: Annotated[float, Meta(gt=0, description="exit 1 where a group's p99 latency is above this")] | None = (
        None
    )
    max_give_ups: (
        Annotated[int, Meta(ge=0, le=_MOST, description="exit 1 where more operations of a group gave up")] | None
    ) = None
    max_conflict_rate: (
        Annotated[float, Meta(ge=0, le=1, description="exit 1 where a group's conflict rate is above this")] | None
    ) = None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How spawned workers are set; every other value than the default is a known way to lose or double work."""

    acks_late: Annotated[bool, Meta(description="a message is acknowledged after its execution, not before")] = True
    reject_on_worker_lost: Annotated[
        bool, Meta(description="a message whose process was killed goes back to the queue")
    ] = True
    max_deliveries: Annotated[
        int,
        Meta(
            ge=0, le=1_000, description="executions that may kill their process before a message is given up; 0: no cap"
        ),
    ] = 0
    pool_size: Annotated[
        int, Meta(ge=0, le=10_000, description="database connections in a process; 0: one per slot")
    ] = 0
    pool_timeout: Annotated[float, Meta(gt=0, le=3_600, description="longest wait for one of them, seconds")] = 30.0
    engine_before_fork: Annotated[
        bool, Meta(description="connections are opened in the main process, and its children use them")
    ] = False
    recovery: Annotated[
        bool, Meta(description="cut connections are noticed in seconds; off leaves the libraries' own defaults")
    ] = True


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a run does; services' URLs are not part of it."""

    scenarios: Annotated[
        tuple[str, ...], Meta(min_length=1, description="scenarios to race: credits, config, requests")
    ] = ("credits",)
    strategies: Annotated[tuple[str, ...], Meta(min_length=1, description="strategies to race, or `all`")] = (
        "optimistic",
    )
    isolation: Annotated[tuple[Isolation, ...], Meta(min_length=1, description="isolation levels to race at")] = (
        Isolation.READ_COMMITTED,
    )
    operations: Annotated[int, Meta(ge=0, le=_MOST, description="operations per group")] = 400
    rows: Annotated[int, Meta(ge=1, le=1_000_000, description="rows per group")] = 8
    skew: Annotated[float, Meta(ge=0, le=10, description="Zipf exponent of row popularity; 0 is uniform")] = 0.0
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="seed of the plan and of think times")] = 1
    kinds: Annotated[
        tuple[str, ...], Meta(description="kinds of operations to draw; none: the scenario's own mix")
    ] = ()
    per_message: Annotated[
        int, Meta(ge=1, le=10_000, description="operations in one message: a transaction each, one acknowledgement")
    ] = 1
    think: Think = Think()
    retry: Retry = Retry()
    lock_timeout_ms: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="longest wait for a row lock, ms; 0 waits for ever")
    ] = 0
    idempotency: Annotated[bool, Meta(description="a guard keeps an operation from being applied twice")] = True
    mistakes: Annotated[tuple[str, ...], Meta(description="mistakes for the bodies to make, see docs/faults.md")] = ()
    faults: Annotated[tuple[str, ...], Meta(description="what is broken on purpose, see docs/faults.md")] = ()
    republish: Annotated[
        bool, Meta(description="publish again what was lost; counted, shown, and safe with idempotency only")
    ] = False
    recording: Annotated[bool, Meta(description="off for benchmarks only; the verdict is then UNKNOWN")] = True
    synchronous_commit: Annotated[
        bool, Meta(description="durable commits; off asks for synchronous_commit=off, and the report says so")
    ] = True
    mode: Annotated[Mode, Meta(description="where the race runs; auto takes the highest rung that stands")] = (
        Mode.DISTRIBUTED
    )
    workers: Annotated[Workers, Meta(description="spawn a fleet, or use workers that already listen")] = Workers.SPAWN
    nodes: Annotated[int, Meta(ge=1, le=64, description="worker nodes: spawned, or expected of external workers")] = 2
    hosts: Annotated[int, Meta(ge=1, le=1_000, description="hosts that external workers must span")] = 1
    concurrency: Annotated[int, Meta(ge=1, le=10_000, description="worker slots per node")] = 2
    pool: Annotated[Pool, Meta(description="Celery's pool in spawned workers")] = Pool.PREFORK
    prefetch: Annotated[int, Meta(ge=1, le=10_000, description="messages a slot takes ahead")] = 1
    visibility_timeout: Annotated[
        float, Meta(ge=1, le=86_400, description="seconds after which the broker gives an unacknowledged message again")
    ] = 60.0
    events: Annotated[bool, Meta(description="workers send task events, for Flower")] = False
    grace: Annotated[
        float,
        Meta(ge=0, le=_WEEK, description="seconds to wait for stragglers once queue and unacknowledged are empty"),
    ] = 3.0
    timeout: Annotated[float, Meta(gt=0, le=_WEEK, description="seconds after which a group ends, settled or not")] = (
        3600.0
    )
    expect: Annotated[Expect, Meta(description="what the exit code compares verdicts to")] = Expect.TABLE
    worker: Settings = Settings()
    gates: Gates = Gates()
