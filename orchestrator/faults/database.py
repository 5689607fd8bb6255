"""Faults of the database: sessions cut, slots used up, a table or row locked, the server restarted, stopped, paused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from orchestrator import schema
from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults import outages
from orchestrator.faults.choosing import number, share, some, word
from orchestrator.faults.durations import seconds
from orchestrator.faults.model import Kind, Struck
from orchestrator.faults.outages import Outage
from orchestrator.faults.sessions import NAME, Sessions

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    import psycopg
    from psycopg import sql

    from orchestrator.faults.model import Fault, Planned, Reach

    Connection = psycopg.Connection[Any]

#: What the names of the workers' sessions begin with, those of their shippers too: "rowrace node1", and
#: "rowrace celery@host" where nobody has named the node; and who of us is called like that.
_WORKERS: Final = "rowrace "
_OURS: Final = [NAME, "rowrace producer"]

#: Connections that are opened at most where the plan gives no number.
_CONNECTIONS: Final = 500

#: How long the database may take to notice that connections were given back, seconds.
_NOTICE_S: Final = 5.0
_TICK: Final = 0.02

#: Tries to lock a row that others change all the time: REPEATABLE READ refuses one that changed since its snapshot.
_TRIES: Final = 20

_MODES: Final[tuple[Literal["fast", "immediate"], ...]] = ("fast", "immediate")

_FIND: Final = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, %s) AND application_name <> ALL(%s)
    ORDER BY pid
"""
_TERMINATE: Final = """
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE pid = ANY(%s) AND starts_with(application_name, %s) AND application_name <> ALL(%s)
"""


class TerminateBackends(msgspec.Struct, frozen=True, kw_only=True):
    """Cuts sessions of the run's workers; they connect again by themselves."""

    sessions: Sessions
    schema: str
    share: float
    random: random.Random

    def strike(self) -> Struck | None:
        """Cut them."""
        return self.sessions.use(self._terminate)

    def _terminate(self, connection: Connection) -> Struck | None:
        self.check(connection)
        found = [pid for (pid,) in connection.execute(_FIND, (_WORKERS, _OURS))]
        chosen = some(found, self.share, self.random)
        row = connection.execute(_TERMINATE, (chosen, _WORKERS, _OURS)).fetchone()
        ended = row[0] if row else 0
        return Struck(f"{ended} of {len(found)} sessions of workers were terminated") if ended else None

    def check(self, connection: Connection) -> None:
        """Refuse where another run lives in this database: its workers' sessions have the same names."""
        left = {schema.run_of(name) for name in schema.abandoned(connection)}
        others = {schema.run_of(name) for name in schema.schemas(connection)} - left - {schema.run_of(self.schema)}
        if others:
            raise ServiceError(
                f"Fault «{self.sessions.text}» can't tell this run's sessions from those of run {min(others)}, "
                "which uses the same database: wait for its end, or leave the fault out."
            )


class LockTable(msgspec.Struct, frozen=True, kw_only=True):
    """Locks the group's table against every use."""

    sessions: Sessions
    schema: str
    table: str

    def strike(self) -> Struck | None:
        """Lock it, once who uses it just now has ended."""
        return self.sessions.use(self._lock)

    def _lock(self, connection: Connection) -> Struck:
        connection.execute("BEGIN")
        connection.execute(_named("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", self.schema, self.table))
        return Struck(f"table {self.table} was locked (ACCESS EXCLUSIVE)", connection.close)


class LongTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """Leaves a REPEATABLE READ transaction open, with a row's lock or with its snapshot only."""

    sessions: Sessions
    schema: str
    table: str
    key: int | None
    #: The server ends the session once it was idle for so long (idle_in_transaction_session_timeout), ms; 0: never.
    idle_ms: int = 0

    def strike(self) -> Struck | None:
        """Open it."""
        return self.sessions.use(self._hold_snapshot if self.key is None else self._hold_row)

    def check(self, connection: Connection) -> None:
        """Refuse a row that is not there."""
        query = _named("SELECT FROM {} WHERE id = %s", self.schema, self.table)
        if self.key is not None and connection.execute(query, (self.key,)).fetchone() is None:
            raise UsageError(f"Fault «{self.sessions.text}»: table {self.table} has no row with key {self.key}.")

    def _limit(self, connection: Connection) -> None:
        query = "SELECT set_config('idle_in_transaction_session_timeout', %s, false)"
        connection.execute(query, (str(self.idle_ms),))

    def _hold_snapshot(self, connection: Connection) -> Struck:
        self._limit(connection)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT pg_current_snapshot()")  # takes one, and locks nothing
        return Struck("a REPEATABLE READ transaction was left open with its snapshot", connection.close)

    def _hold_row(self, connection: Connection) -> Struck | None:
        from psycopg.errors import SerializationFailure  # noqa: PLC0415 - as in sessions.py

        query = _named("SELECT FROM {} WHERE id = %s FOR UPDATE", self.schema, self.table)
        self._limit(connection)
        for _ in range(_TRIES):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try:
                connection.execute(query, (self.key,))
            except SerializationFailure:
                connection.execute("ROLLBACK")
                continue
            what = f"a REPEATABLE READ transaction was left open with a lock on {self.table}/{self.key}"
            return Struck(what, connection.close)
        return None


class ExhaustConnections(msgspec.Struct, frozen=True, kw_only=True):
    """Opens connections until one is refused, and holds them."""

    sessions: Sessions
    #: Never more than so many.
    most: int

    def strike(self) -> Struck | None:
        """Open them."""
        held: list[Connection] = []
        try:
            while len(held) < self.most and (connection := self.sessions.open()) is not None:
                held.append(connection)
        except BaseException:
            _close(held)
            raise
        if not held:
            return None
        rest = "the next was refused" if len(held) < self.most else "more would be against the plan"
        return Struck(f"{len(held)} connections were opened and held, {rest}", lambda: self._give_back(held))

    def _give_back(self, held: list[Connection]) -> None:
        """Close them; returns when the database takes connections again."""
        _close(held)
        deadline = time.monotonic() + _NOTICE_S
        while time.monotonic() < deadline:
            connection = self.sessions.open()
            if connection is not None:
                connection.close()
                return
            time.sleep(_TICK)


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()


def _named(query: str, schema_name: str, table: str) -> sql.Composed:
    from psycopg import sql  # noqa: PLC0415 - as in sessions.py

    return sql.SQL(query).format(sql.Identifier(schema_name, table))


def _sessions(planned: Planned, reach: Reach) -> Sessions:
    return Sessions(text=planned.text, url=reach.database_url)


def _terminate(planned: Planned, reach: Reach) -> Fault:
    made = TerminateBackends(
        sessions=_sessions(planned, reach), schema=reach.schema, share=share(planned), random=reach.random
    )
    made.sessions.use(made.check)
    return made


def _lock_table(planned: Planned, reach: Reach) -> Fault:
    return LockTable(sessions=_sessions(planned, reach), schema=reach.schema, table=reach.table)


def _long_transaction(planned: Planned, reach: Reach) -> Fault:
    made = LongTransaction(
        sessions=_sessions(planned, reach),
        schema=reach.schema,
        table=reach.table,
        key=number(planned, "key"),
        idle_ms=_idle(planned),
    )
    made.sessions.use(made.check)
    return made


def _idle(planned: Planned) -> int:
    given = planned.options.get("idle-timeout")
    return 0 if given is None else round(seconds(given, "idle-timeout", planned.text) * 1_000)


def _exhaust(planned: Planned, reach: Reach) -> Fault:
    most = _most(planned)
    if most is None:
        try:
            outages.database(planned, reach)
        except UsageError:
            raise UsageError(
                f"Fault «{planned.text}» would keep others out of a database that is not the run's own: say how many "
                "connections it may open (connections=50), or leave it out."
            ) from None
    return ExhaustConnections(sessions=_sessions(planned, reach), most=most or min(_CONNECTIONS, _files() // 2))


def _most(planned: Planned) -> int | None:
    """The plan's number, which leaves this process enough files for itself."""
    most, possible = number(planned, "connections"), _files() // 2
    if most is not None and not 1 <= most <= possible:
        raise UsageError(
            f"Fault «{planned.text}»: connections must be from 1 to {possible}, half of the files that this process "
            "may open (ulimit -n)."
        )
    return most


def _files() -> int:
    import resource  # noqa: PLC0415 -- not on Windows, where no fault plan can run

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


def _stop(planned: Planned, reach: Reach) -> Fault:
    mode = word(planned, "mode", _MODES)
    servers = outages.database(planned, reach)
    return Outage(
        detail=f"the database was stopped ({mode})",
        runs=servers.database_runs,
        take=lambda: servers.stop_database(mode),
        give=servers.start_database,
    )


def _pause(planned: Planned, reach: Reach) -> Fault:
    servers = outages.database(planned, reach)
    return Outage(
        detail="every process of the database got SIGSTOP",
        runs=servers.database_runs,
        take=servers.pause_database,
        give=servers.resume_database,
    )


def _mode(planned: Planned) -> object:
    return word(planned, "mode", _MODES)


FAULTS: Final[Mapping[str, Kind]] = {
    "terminate-backends": Kind(
        build=_terminate,
        options={"share": "1"},
        check=share,
        help="Terminate the workers' database sessions, all or a share of them.",
    ),
    "restart-database": Kind(
        build=_stop,
        # Given back at once: its healing is the start, which ends when the database has recovered.
        default_duration=0.0,
        options={"mode": "fast"},
        own="database",
        check=_mode,
        help="Stop the embedded database (mode=fast, or immediate as in a crash) and start it again.",
    ),
    "stop-database": Kind(
        build=_stop,
        default_duration=2.0,
        options={"mode": "fast"},
        own="database",
        check=_mode,
        help="Stop the embedded database for some seconds.",
    ),
    "pause-database": Kind(
        build=_pause,
        default_duration=2.0,
        own="database",
        help="SIGSTOP every process of the embedded database for some seconds: it neither answers nor refuses.",
    ),
    "lock-table": Kind(
        build=_lock_table, default_duration=2.0, help="Lock the table that is raced on (ACCESS EXCLUSIVE)."
    ),
    "exhaust-connections": Kind(
        build=_exhaust,
        default_duration=3.0,
        options={"connections": f"(as many as there are, {_CONNECTIONS} at most)"},
        own="database",
        unless="connections",
        check=_most,
        help="Open connections until the database refuses one (at most connections=N), and hold them.",
    ),
    "long-transaction": Kind(
        build=_long_transaction,
        default_duration=5.0,
        options={"key": "(no row, the snapshot only)", "idle-timeout": "(never)"},
        check=lambda planned: (number(planned, "key"), _idle(planned)),
        help="Leave a REPEATABLE READ transaction open, with the row lock of key=K or only its snapshot.",
    ),
}
