"""A scenario's schema on Postgres, put back before each schedule, and its workers' links, which take steps."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestrator import schema
from orchestrator.controlled import catalog
from orchestrator.controlled.footprints import Footprints
from orchestrator.controlled.postgres import PostgresDatabase
from orchestrator.explored_slots import Slots
from orchestrator.explorer.model import Place
from worker.contract import EndLine
from worker.postgres import PostgresLink, connect, engine
from worker.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.engine import Engine

    from orchestrator.explorer.hub import Hub
    from orchestrator.explorer.model import Footprint
    from worker.contract import Settings
    from worker.link import Sending

#: Triggers that record and guard; what they write no statement asks for.
_OWN: Final = frozenset({"rowrace_stamp", "rowrace_record"})

_NAME: Final = "rowrace explore"

#: The history's table `effects`, but for the time, which is the clock's of who asks.
EFFECTS: Final = """
    SELECT relation, key, seq, version_before, version_after, before::text, after::text, writer, operation,
           txid::text::bigint, 0
    FROM effects ORDER BY relation, key, seq
"""

#: Each row as it stands, then what of it changes in the history's table `rows`.
_ROWS: Final = """
    SELECT id, {value}, version, seq, writer, id::text,
           (to_jsonb(r) - ARRAY['version', 'seq', 'writer'])::text
    FROM {relation} AS r ORDER BY r.id
"""

#: A row that is not there any more.
_GONE: Final[tuple[Any, ...]] = (None,) * 7


class PostgresWorkers:
    """A group's schema with the driver under control, and a connection of each worker's own."""

    def __init__(
        self, url: str, settings: Settings, rows: int, workers: int, *, idempotency: bool, keep: bool = False
    ) -> None:
        """Make the schema, which goes with the rest unless it is to be kept."""
        self.schema = settings.schema
        self.database: PostgresDatabase
        self._plain: dict[str, str] = {}
        self._engines: dict[int, Engine] = {}
        #: Workers whose connection the driver's control has not met.
        self._strange: set[int] = set()
        with ExitStack() as opening:
            self.control = opening.enter_context(connect(url, _NAME))
            if not keep:
                opening.callback(schema.drop, self.control, self.schema)
            options = {"idempotency": idempotency, "recording": settings.recording}
            schema.create(self.control, self.schema, settings.scenario, rows, **options)
            self.control.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema)))
            self._url = _within(url, self.schema)
            self.database = PostgresDatabase(self._url, settings.isolation, plan_by_index=True, harmless=_OWN)
            opening.callback(self.database.close)
            opening.enter_context(self.database.control())
            self._footprints = Footprints("postgres", catalog.of_postgres(self.control, _OWN))
            opening.callback(self._dispose)
            for worker in range(workers):
                self._connect(worker)
            self._stack = opening.pop_all()

    def link(self, worker: int, switch: Callable[[Sending], int]) -> PostgresLink:
        """Give a worker's connection; `switch` is told of everything before it is sent."""
        if worker in self._strange:
            # Control meets a connection when it is asked of it, and can't while a statement is under way.
            self._strange.discard(worker)
            with closing(self._engines[worker].raw_connection()) as pooled:
                self.database.point(pooled.driver_connection, "SELECT 1")  # type: ignore[arg-type]  # psycopg's, by URL
        return PostgresLink(self._engines[worker], switch)

    def read(self, text: str, params: Mapping[str, Any]) -> tuple[str, Footprint, bool]:
        """Give a statement without the schema's name, what it touches, and whether it writes."""
        plain = self._plain.get(text)
        if plain is None:
            plain = self._plain[text] = text.replace(f"{self.schema}.", "")
        reading = self._footprints.read(plain, params)
        return plain, reading.footprint, reading.writes

    def crash(self, worker: int) -> None:
        """End a worker's backend, and have another one ready."""
        self.database.end(worker)
        self._engines[worker].dispose()
        self._connect(worker)

    def close(self) -> None:
        """Close every connection, and drop the schema."""
        self._stack.close()

    def _connect(self, worker: int) -> None:
        """Make a worker's own pool, with its connection in it: to open one is no step."""
        made = self._engines[worker] = engine(self._url, _NAME)
        PostgresLink(made).close()
        self._strange.add(worker)

    def _dispose(self) -> None:
        for each in self._engines.values():
            each.dispose()


class PostgresGround:
    """A schema whose rows are put back; its links are the workers' own, kept over schedules."""

    backend = "postgres"

    def __init__(self, url: str, settings: Settings, rows: int, workers: int, *, idempotency: bool) -> None:
        model = SCENARIOS[settings.scenario]
        self.isolation = settings.isolation.value
        self._relation = model.relation
        self.columns: dict[str, tuple[str, ...]] = {
            model.relation: ("id", model.column, "version", "seq", "writer"),
        }
        value = sql.SQL("{}::text" if isinstance(model.type, sa.JSON) else "{}").format(sql.Identifier(model.column))
        rows_of = sql.SQL(_ROWS).format(value=value, relation=sql.Identifier(model.relation))
        self._workers = PostgresWorkers(url, settings, rows, workers, idempotency=idempotency)
        self._rows = rows_of.as_string(self._workers.control).encode()  # composed once; bytes as they are
        try:
            self._workers.database.keep()
            self._initial = {row[5]: (row[6], row[2]) for row in self._query_rows()}
        except BaseException:
            self._workers.close()
            raise
        self.slots = Slots(workers, self._link, self._read, self._workers.database.announce)

    def under(self, hub: Hub | None) -> None:
        """Make the links' statements this hub's steps."""
        self._workers.database.under(hub)

    def reset(self) -> None:
        """Put the rows back, and forget what was recorded."""
        self._workers.database.reset()

    def effects(self) -> list[tuple[Any, ...]]:
        """Give the history's table `effects`; the time is when the attempt's COMMIT was answered, on the one clock."""
        ends = {line.token: line.mono_ns for line in self.slots.lines if isinstance(line, EndLine)}
        ends |= self.slots.committed
        found = self._workers.control.execute(EFFECTS).fetchall()
        return [(*effect[:-1], ends.get(effect[7], 0) // 1_000) for effect in found]

    def rows(self) -> list[tuple[Any, ...]]:
        """Give the rows as they stand, each followed by its row of the history's table `rows`."""
        now = {row[5]: row for row in self._query_rows()}
        rows = []
        for key, (initial, version) in self._initial.items():
            row = now.get(key, _GONE)
            rows.append((*row[:5], self._relation, key, initial, version, row[6], *row[2:5]))
        return rows

    def crash(self, worker: int) -> None:
        """Cut a worker's connection; when it returns, what was open is rolled back."""
        self._workers.crash(worker)

    def close(self) -> None:
        """Leave nothing behind."""
        self._workers.close()

    def _link(self, worker: int) -> PostgresLink:
        return self._workers.link(worker, self.slots.sending)

    def _query_rows(self) -> list[tuple[Any, ...]]:
        return self._workers.control.execute(self._rows).fetchall()

    def _read(self, text: str, params: Mapping[str, Any]) -> tuple[str, Footprint]:
        plain, footprint, writes = self._workers.read(text, params)
        if writes:
            # What the triggers write is put back too, and is in nobody's way.
            own = {Place(table, ("of", self.slots.slot())) for table in ("effects", "applied")}
            footprint = footprint._replace(writes=footprint.writes | own)
        return plain, footprint


def _within(url: str, name: str) -> str:
    """Add to a URL that tables are looked up in a schema."""
    given = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    options = f"{given.pop('options', None) or ''} -c search_path={name}".strip()
    return make_conninfo("", **given, options=options)
