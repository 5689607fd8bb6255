"""The rival: a Celery app as one would write it by hand, or one that does nothing.

Same messages, same read and checked update, same retry on conflict, same acknowledgement after execution; bare
psycopg, no access layer, no record.  Started with `celery -A benchmarks.baseline_app worker`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import psycopg
from celery import Celery

app = Celery("baseline", broker=os.environ.get("BASELINE_BROKER_URL"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    # Where the benchmark looks for what was taken and not acknowledged.
    broker_transport_options={"unacked_key": "rowrace:unacked", "unacked_index_key": "rowrace:unacked_index"},
)

#: Task names as messages give them, so that rivals can be published to exactly as a race publishes.
NAME = "rowrace.race"


@cache
def _connection(_process: int) -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["BASELINE_DATABASE_URL"])


def noop(settings: dict[str, Any], operations: list[Any]) -> None:
    """Take the same message, and do nothing."""


def apply(settings: dict[str, Any], operations: list[Any]) -> None:
    """Apply the message's operations, each again and again until no other transaction was quicker."""
    connection = _connection(os.getpid())
    for _, kind, params in operations:
        changes = _changes(kind, params)
        while not _once(connection, settings["schema"], changes):
            connection.rollback()


def _changes(kind: str, params: dict[str, Any]) -> dict[int, int]:
    """Key to amount, in key order, so that transfers don't deadlock."""
    amount = params["amount"]
    if kind == "transfer":
        return dict(sorted({params["source"]: -amount, params["target"]: amount}.items()))
    return {params["user"]: amount if kind == "grant" else -amount}


@cache
def _statements(schema: str) -> tuple[bytes, bytes]:
    """Write the two statements once; the schema's name is the benchmark's own."""
    read = f"SELECT credits, version FROM {schema}.users WHERE id = %s"  # noqa: S608 - no input from outside
    write = f"UPDATE {schema}.users SET credits = %s, version = version + 1 WHERE id = %s AND version = %s"  # noqa: S608 - as above
    return read.encode(), write.encode()


def _once(connection: psycopg.Connection[Any], schema: str, changes: dict[int, int]) -> bool:
    """Read the rows, then write each where its version is still the one read; False asks for another try."""
    read, write = _statements(schema)
    seen = {key: connection.execute(read, (key,)).fetchone() or (0, 0) for key in changes}
    if any(seen[key][0] + amount < 0 for key, amount in changes.items()):
        connection.rollback()  # insufficient: a clean end
        return True
    for key, amount in changes.items():
        credits_, version = seen[key]
        if connection.execute(write, (credits_ + amount, key, version)).rowcount == 0:
            return False
    connection.commit()
    return True


race = app.task(name=NAME)({"apply": apply, "noop": noop}[os.environ.get("BASELINE_TASK", "apply")])
