"""A deadlock cascade recovers by itself: every task is done, although tasks were ended for others' sake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator import schema
from tests.cascade import TASKS, cascade
from worker.contract import EndLine, Line, Outcome, Reason

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg


def test_a_cascade_of_deadlocks_recovers(
    database: psycopg.Connection[Any], database_url: str, fresh_schema: str, tmp_path: Path
) -> None:
    """Twelve tasks, four orders, three rows: each is applied once, after deadlocks that really happened."""
    schema.create(database, fresh_schema, "credits", 3, idempotency=True, recording=True)
    recovered = cascade(database_url, fresh_schema, tmp_path)
    assert [Outcome.OK] * TASKS == recovered.outcomes
    rows = database.execute(f"SELECT credits FROM {fresh_schema}.users ORDER BY id").fetchall()  # noqa: S608 - a group's schema
    assert [(100 + TASKS,)] * 3 == rows
    lines = [
        msgspec.json.decode(line, type=Line)
        for path in tmp_path.glob("*/*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    assert any(isinstance(line, EndLine) and line.reason is Reason.DEADLOCK for line in lines)
