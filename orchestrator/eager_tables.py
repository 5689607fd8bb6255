"""A group's tables in eager mode, on SQLite or on Postgres: made, linked to, and gathered into the history."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final, Protocol

from orchestrator import gather
from orchestrator.history.model import TABLES
from orchestrator.logical import PostgresLinks, SqliteLinks
from orchestrator.schema import sqlite as sqlite_schema
from worker.scenarios import SCENARIOS
from worker.sqlite import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.history.files import Writer
    from orchestrator.logical import Links
    from orchestrator.profile import Profile
    from worker.contract import Settings

#: Rows of a table held at a time.
_PIECE: Final = 10_000

_ROWS: Final = """
    SELECT '{relation}', i.id::text, (to_jsonb(i) - ARRAY['version', 'seq', 'writer'])::text, i.version,
           (to_jsonb(f) - ARRAY['version', 'seq', 'writer'])::text, f.version, f.seq, f.writer
    FROM initial i LEFT JOIN {relation} f USING (id) ORDER BY i.id
"""


class Tables(Protocol):
    """One group's."""

    links: Links
    #: The database's version, by its name.
    versions: dict[str, str]

    def gather(self, writer: Writer, ends: Mapping[int, int]) -> None:
        """Write effects and rows down; `ends` are those of attempts, on everybody's clock."""

    def close(self) -> None:
        """Leave nothing behind."""


class SqliteTables:
    """In a file; the links' functions give the triggers the time."""

    def __init__(self, path: Path, profile: Profile, settings: Settings) -> None:
        self._scenario = SCENARIOS[settings.scenario]
        self.links: Links = SqliteLinks(path)
        self.versions = {"sqlite": sqlite3.sqlite_version}
        self._control = connect(path)
        options = {"idempotency": profile.idempotency, "recording": profile.recording}
        sqlite_schema.create(self._control, settings.scenario, profile.rows, **options)
        value, relation = sqlite_schema.value(self._scenario), self._scenario.relation
        self._control.execute(f"CREATE TABLE initial AS SELECT id, {value} AS value, version FROM {relation}")  # noqa: S608 - the scenario's own names

    def gather(self, writer: Writer, ends: Mapping[int, int]) -> None:  # noqa: ARG002 - effects have their times
        """Write effects and rows down."""
        relation, final = self._scenario.relation, sqlite_schema.value(self._scenario, "f.")
        queries = {
            "effects": "SELECT * FROM effects ORDER BY relation, key, seq",
            "rows": f"SELECT '{relation}', CAST(i.id AS TEXT), i.value, i.version,"  # noqa: S608 - as above
            f" CASE WHEN f.id IS NULL THEN NULL ELSE {final} END, f.version, f.seq, f.writer"
            f" FROM initial i LEFT JOIN {relation} f USING (id) ORDER BY i.id",
        }
        for table, query in queries.items():
            cursor = self._control.execute(query)
            while piece := cursor.fetchmany(_PIECE):
                _write(writer, table, piece)

    def close(self) -> None:
        """Close the file."""
        self._control.close()


class PostgresTables:
    """In a schema; an effect's time is its attempt's end, since the server knows nothing of the virtual clock."""

    def __init__(self, url: str, profile: Profile, settings: Settings, *, keep: bool) -> None:
        from orchestrator import gather_database, schema  # noqa: PLC0415 - on SQLite nobody needs the driver
        from orchestrator.explored_postgres import EFFECTS, PostgresWorkers  # noqa: PLC0415 - as above

        slots = profile.nodes * profile.concurrency
        self._effects = EFFECTS
        self._relation = SCENARIOS[settings.scenario].relation
        self._workers = PostgresWorkers(url, settings, profile.rows, slots, idempotency=profile.idempotency, keep=keep)
        self.links: Links = PostgresLinks(self._workers, slots)
        self._control = self._workers.control
        self.versions = {"postgresql": self._control.info.parameter_status("server_version") or ""}
        try:
            schema.hold(self._control, settings.run)  # so that nobody takes it for abandoned
            gather_database.snapshot(self._control, settings.schema, settings.scenario)
        except BaseException:
            self._workers.close()
            raise

    def gather(self, writer: Writer, ends: Mapping[int, int]) -> None:
        """Write effects and rows down."""
        last = max(ends.values(), default=0)

        def timed(effect: tuple[Any, ...]) -> tuple[Any, ...]:
            return (*effect[:-1], ends.get(effect[7], last) // 1_000)

        for piece in self._pieces(self._effects):
            _write(writer, "effects", [timed(effect) for effect in piece])
        for piece in self._pieces(_ROWS.format(relation=self._relation)):
            _write(writer, "rows", piece)

    def close(self) -> None:
        """Drop the schema, unless it is kept."""
        self._workers.close()

    def _pieces(self, query: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        with self._control.transaction(), self._control.cursor(name="rowrace_gathered") as cursor:
            cursor.execute(query.encode())
            while piece := cursor.fetchmany(_PIECE):
                yield piece


def _write(writer: Writer, table: str, piece: Sequence[tuple[Any, ...]]) -> None:
    columns = map(list, zip(*piece, strict=True))
    gather.columns(writer, table, dict(zip(TABLES[table].names, columns, strict=True)))
