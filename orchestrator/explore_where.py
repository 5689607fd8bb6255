"""Where bodies run: from an engine, a factory, a path, a URL or a word to a database under control."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from orchestrator.controlled.sqlite import SqliteDatabase
from orchestrator.driver import need_driver
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.controlled.database import Database

#: A database in memory is as fast as the disk lets one be; files of an exploration live where there is such a place.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a private folder is made in it

#: What a URL says without parameters.
_PLACE: Final = frozenset({"user", "host", "hostaddr", "port", "dbname"})

LEVELS: Final = ("read committed", "repeatable read", "serializable")


@contextmanager
def place(engine: object, database: str, isolation: str | None) -> Iterator[Database]:
    """Open the database that the bodies use, or a scratch one; closed, and an engine's pool emptied, at the end."""
    if isolation is not None and isolation not in LEVELS:
        raise UsageError(f"There is no isolation level {isolation!r}: use one of {', '.join(LEVELS)}.")
    with ExitStack() as stack:
        if engine is None:
            yield stack.enter_context(_scratch(database, isolation))
            return
        dispose = getattr(engine, "dispose", None)
        if dispose is not None:  # connections made before are not under control
            dispose()
        opened = stack.enter_context(_closing(_of(engine, isolation)))
        if dispose is not None:  # and those of the exploration not after it; SQLite's would keep the file in WAL mode
            stack.callback(dispose)
        yield opened


@contextmanager
def _closing(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _scratch(database: str, isolation: str | None) -> Iterator[Database]:
    """Make a database for the exploration alone, or connect to the one that a URL names."""
    if database == "sqlite":
        if isolation is not None:
            raise UsageError("SQLite has one isolation of its own: leave isolation out, or use database='postgres'.")
        folder = _MEMORY if _MEMORY.is_dir() else None
        with (
            TemporaryDirectory(prefix="rowrace-", dir=folder) as path,
            _closing(SqliteDatabase(Path(path) / "explored.db")) as made,
        ):
            yield made
    elif database == "postgres":
        from orchestrator.controlled.embedded import embedded  # noqa: PLC0415 - only those who ask need the server

        with embedded() as url, _closing(_postgres(url, isolation)) as made:
            yield made
    elif database.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        with _closing(_postgres(database, isolation)) as made:
            yield made
    else:
        raise UsageError(f"database is {database!r}: use 'sqlite', 'postgres' or a postgresql:// URL.")


def _of(engine: object, isolation: str | None) -> Database:
    """Find out what a user's engine, connection factory or path leads to."""
    if isinstance(engine, (str, Path)):
        if isinstance(engine, str) and "://" in engine:
            return _postgres(engine, isolation)
        return _sqlite(str(engine), isolation)
    url = getattr(engine, "url", None)
    if url is not None:
        return _of_engine(engine, url, isolation)
    if callable(engine):
        return _of_factory(engine, isolation)
    raise UsageError("engine is neither a SQLAlchemy engine, nor a connection factory, nor the path of a SQLite file.")


def _of_engine(engine: Any, url: Any, isolation: str | None) -> Database:  # noqa: ANN401 - SQLAlchemy's, not imported here
    driver = f"{engine.dialect.name}+{engine.dialect.driver}"
    if driver == "sqlite+pysqlite":
        return _sqlite(url.database, isolation)
    if driver == "postgresql+psycopg":
        return _postgres(_url_of(engine), isolation)
    raise UsageError(f"The engine uses {driver}; what can be controlled is postgresql+psycopg and sqlite+pysqlite.")


def _url_of(engine: Any) -> str:  # noqa: ANN401 - SQLAlchemy's, not imported here
    """Write where an engine's connections lead, which its URL may not say; that URL where there is no connection."""
    try:
        connection = engine.raw_connection()
    except engine.dialect.dbapi.Error:
        text: str = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return text
    try:
        return _url(connection.dbapi_connection.info)
    finally:
        connection.close()
        engine.dispose()


def _of_factory(factory: Any, isolation: str | None) -> Database:  # noqa: ANN401 - any callable
    """Open one connection to see where the factory leads."""
    connection = factory()
    try:
        if isinstance(connection, sqlite3.Connection):
            return _sqlite(connection.execute("PRAGMA database_list").fetchone()[2], isolation)
        info = getattr(connection, "info", None)
        if info is None or not hasattr(connection, "pgconn"):
            kind = f"{type(connection).__module__}.{type(connection).__name__}"
            raise UsageError(f"The factory gives a {kind}; what can be controlled is psycopg 3 and sqlite3.")
        return _postgres(_url(info), isolation)
    finally:
        connection.close()


def _url(info: Any) -> str:  # noqa: ANN401 - psycopg's, not imported here
    """Write where a connection leads, with all else that it was given: TLS, the search path."""
    secret = f":{quote(info.password, safe='')}" if info.password else ""
    given = {name: value for name, value in info.get_parameters().items() if name not in _PLACE}
    place = f"{quote(info.host, safe='')}:{info.port}/{quote(info.dbname, safe='')}"
    return f"postgresql://{quote(info.user, safe='')}{secret}@{place}?{urlencode(given, quote_via=quote)}"


def _sqlite(path: str | None, isolation: str | None) -> Database:
    if isolation is not None:
        raise UsageError("SQLite has one isolation of its own: leave isolation out.")
    if not path or path == ":memory:" or path.startswith("file::memory:") or "mode=memory" in path:
        raise UsageError("A SQLite database in memory has one connection only: use a file.")
    return SqliteDatabase(Path(path))


def _postgres(url: str, isolation: str | None) -> Database:
    need_driver()
    from orchestrator.controlled.postgres import PostgresDatabase  # noqa: PLC0415 - SQLite's users may have no psycopg
    from orchestrator.services import check  # noqa: PLC0415 - as above

    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    check.database(plain, "the URL")
    return PostgresDatabase(plain, isolation, everywhere=True)
