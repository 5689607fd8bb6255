"""A group's tables and triggers on SQLite; columns and meaning as on Postgres."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from worker.scenarios import SCENARIOS
from worker.sqlite import DIALECT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from worker.scenarios.model import Scenario

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def create(connection: sqlite3.Connection, scenario: str, rows: int, *, idempotency: bool, recording: bool) -> None:
    """Create the scenario's table with its initial rows, then the triggers that watch it."""
    model, statements = SCENARIOS[scenario], _statements()
    table = CreateTable(model.table(schema=None)).compile(dialect=DIALECT)
    initial = json.dumps(model.initial) if isinstance(model.type, sa.JSON) else model.initial
    # Rows are few and small: a commit writes four pages or so, and smaller ones are written faster.
    connection.execute("PRAGMA page_size = 1024")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN")
    for statement in (str(table), statements["effects"], statements["applied"]):
        connection.execute(statement)
    insert = f"INSERT INTO {model.relation} VALUES (?, ?, 0, 0, 0)"  # noqa: S608 - the scenario's own name
    connection.executemany(insert, ((key, initial) for key in range(rows)))
    for statement in _triggers(statements, model, idempotency=idempotency, recording=recording):
        connection.execute(statement)
    connection.execute("COMMIT")


def value(scenario: Scenario, row: str = "") -> str:
    """Write the SQL that gives a row without version, seq and writer, as JSON; `row` is "old." or "new."."""
    column = f"{row}{scenario.column}"
    if isinstance(scenario.type, sa.JSON):
        column = f"json({column})"
    return f"json_object('id', {row}id, '{scenario.column}', {column})"


def _triggers(statements: dict[str, str], model: Scenario, *, idempotency: bool, recording: bool) -> Iterator[str]:
    """Give the triggers that the run asks for; none where recording is off."""
    events = {"insert": "INSERT", "update": f"UPDATE OF id, {model.column}, version", "delete": "DELETE"}
    for kind, event in events.items():
        for name in (["guard"] if idempotency and recording else []) + ([f"record_{kind}"] if recording else []):
            yield statements[name].format(
                trigger=f"{model.relation}_{name}_{kind}",
                event=event,
                relation=model.relation,
                before=value(model, "old."),
                after=value(model, "new."),
            )


def _statements() -> dict[str, str]:
    """Read the statements by name."""
    text = (files("orchestrator.schema") / "sqlite.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))
