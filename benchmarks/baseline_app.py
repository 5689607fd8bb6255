"""The rival: a Celery app as one would write it by hand, and a task that does nothing.

Same read and checked update, same retry on conflict, same acknowledgement after execution; bare psycopg, no access
layer, no record.  Started with `celery -A benchmarks.baseline_app worker`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import psycopg
from celery import Celery
from psycopg import sql

app = Celery("baseline", broker=os.environ.get("BASELINE_BROKER_URL"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@cache
def _connection(_process: int) -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["BASELINE_DATABASE_URL"])


@app.task(name="baseline.noop")
def noop(schema: str, kind: str, params: dict[str, Any]) -> None:
    """Take the same message, and do nothing."""


@app.task(name="baseline.apply")
def apply(schema: str, kind: str, params: dict[str, Any]) -> None:
    """Apply one operation of the plan, again and again until no other transaction was quicker."""
    connection = _connection(os.getpid())
    changes = _changes(kind, params)
    while not _once(connection, schema, changes):
        connection.rollback()


def _changes(kind: str, params: dict[str, Any]) -> dict[int, int]:
    """Key to amount, in key order, so that transfers don't deadlock."""
    amount = params["amount"]
    if kind == "transfer":
        return dict(sorted({params["source"]: -amount, params["target"]: amount}.items()))
    return {params["user"]: amount if kind == "grant" else -amount}


def _once(connection: psycopg.Connection[Any], schema: str, changes: dict[int, int]) -> bool:
    """Read the rows, then write each where its version is still the one read; False asks for another try."""
    users = sql.Identifier(schema, "users")
    read = sql.SQL("SELECT credits, version FROM {} WHERE id = %s").format(users)
    write = sql.SQL("UPDATE {} SET credits = %s, version = version + 1 WHERE id = %s AND version = %s").format(users)
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
