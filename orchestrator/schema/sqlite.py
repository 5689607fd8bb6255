"""A group's tables and triggers on SQLite; columns and meaning as on Postgres."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from typing import Any

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


class Relation(NamedTuple):
    """A scenario's table as the triggers need it."""

    name: str
    #: The column that holds the row's value, and whether that is JSON.
    column: str
    json: bool


#: Scenario to its table.
RELATIONS: Final = {
    "credits": Relation("users", "credits", json=False),
    "config": Relation("configs", "config", json=True),
}


def create(
    connection: sqlite3.Connection,
    scenario: str,
    rows: Iterable[dict[str, Any]],
    *,
    idempotency: bool,
    recording: bool,
) -> None:
    """Create the scenario's table with its initial rows (columns by name), then the triggers that watch it."""
    statements = _statements()
    relation = RELATIONS[scenario]
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN")
    for name in (relation.name, "effects", "applied"):
        connection.execute(statements[name])
    connection.executemany(f"INSERT INTO {relation.name} VALUES (:id, :{relation.column}, 0, 0, 0)", rows)  # noqa: S608 - names from the table above
    for statement in _triggers(statements, relation, idempotency=idempotency, recording=recording):
        connection.execute(statement)
    connection.execute("COMMIT")


def value(relation: Relation, row: str = "") -> str:
    """Write the SQL that gives a row without version, seq and writer, as JSON; `row` is "old." or "new."."""
    column = f"{row}{relation.column}"
    return f"json_object('id', {row}id, '{relation.column}', {f'json({column})' if relation.json else column})"


def _triggers(statements: dict[str, str], relation: Relation, *, idempotency: bool, recording: bool) -> Iterator[str]:
    """Give the triggers that the run asks for; none where recording is off."""
    events = {"insert": "INSERT", "update": f"UPDATE OF id, {relation.column}, version", "delete": "DELETE"}
    for kind, event in events.items():
        for name in (["guard"] if idempotency and recording else []) + ([f"record_{kind}"] if recording else []):
            yield statements[name].format(
                trigger=f"{relation.name}_{name}_{kind}",
                event=event,
                relation=relation.name,
                before=value(relation, "old."),
                after=value(relation, "new."),
            )


def _statements() -> dict[str, str]:
    """Read the statements by name."""
    text = (files("orchestrator.schema") / "sqlite.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))
