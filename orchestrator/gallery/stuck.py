"""Work that does not get done in time: stuck, starved, given up, or tried over and over."""

from __future__ import annotations

from typing import Final

from orchestrator.gallery.model import Failure, race

_BOUND: Final = {"max_settle_s": 10}

STUCK: Final = (
    Failure(
        name="poison-loop",
        story="One message kills each process that runs it; with rejection on a lost worker it comes back for ever.",
        provoked="an operation that kills its process each time",
        caught={"progress": "poison"},
        prevention="cap the deliveries: task_retry_on_worker_lost with max_retries, then give up in the open",
        # Each process that dies is forked anew, which takes long on a machine that is busy.
        profile=race(faults=["poison:operation=20"], timeout=12, gates={"max_settle_s": 30}),
        prevented={"worker": {"max_deliveries": 3}},
    ),
    Failure(
        name="pool-exhaustion",
        story="More slots than connections: tasks wait for one until the pool's time limit, and fail.",
        provoked="8 threads on a pool of 1 connection, with a time limit of 0.1 s",
        caught={"progress": "gave-up"},
        prevention="as many connections as slots",
        profile=race(
            pool="threads",
            concurrency=8,
            think={"min_ms": 40, "max_ms": 60},
            worker={"pool_size": 1, "pool_timeout": 0.1},
            gates=_BOUND,
        ),
        prevented={"worker": {"pool_size": 0}},
    ),
    Failure(
        name="stuck-lock",
        story="A session keeps a row locked while it is idle in its transaction; every task on that row waits for it.",
        provoked="a session that locks a row and then does nothing for 8 s",
        caught={"progress": "starved"},
        prevention="idle_in_transaction_session_timeout",
        profile=race(faults=["long-transaction:key=0:for=8s:at=0s"], gates={"max_settle_s": 4}),
        prevented={"faults": ["long-transaction:key=0:for=8s:at=0s:idle-timeout=500ms"]},
    ),
    Failure(
        name="retry-storm",
        story="Retries without a pause conflict with each other: on a hot row most work is in vain, and some starves.",
        provoked="32 slots on one row, retries at once",
        caught={"progress": "retry-storm"},
        prevention="exponential backoff with jitter",
        profile=race(
            pool="threads",
            concurrency=16,
            rows=1,
            operations=100,
            think={"min_ms": 5, "max_ms": 10},
            retry={"attempts": 1000, "base_ms": 20, "cap_ms": 2000},
            mistakes=["no-backoff"],
            gates={"max_attempts": 30},
        ),
        prevented={"mistakes": []},
    ),
    Failure(
        name="deadlock-lock-order",
        story="Tasks lock the same rows in different orders; the server ends one of them, and its work is not done.",
        provoked="transfers that lock the source before the target, and no retry after a deadlock",
        caught={"progress": "gave-up"},
        prevention="lock rows in one order (by key), and retry 40P01",
        profile=race(
            strategies=["pessimistic"],
            kinds=["transfer"],
            rows=2,
            mistakes=["unordered-keys", "no-deadlock-retry"],
            gates=_BOUND,
        ),
        prevented={"mistakes": []},
    ),
)
