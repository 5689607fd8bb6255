"""Ships journal files to the groups' `journal` tables, on a connection of its own, outside every task's transaction.

A chunk starts where the table's last chunk of that file ends, so a restart, a dead process's leftovers and two
shippers at once are all harmless: the second copy of a chunk meets the primary key and is dropped.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import re
import select
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from worker import config
from worker.contract import SCHEMA_PATTERN
from worker.journal import node_of, safe
from worker.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker.config import Config

    Connect = Callable[[], psycopg.Connection[Any]]

logger = logging.getLogger(__name__)

#: Pause between two looks at the files, seconds; and after a failure.
EVERY_S: Final = 0.1
AFTER_FAILURE_S: Final = 1.0
#: Files of groups that are gone are looked for this often, seconds.
SWEEP_S: Final = 30.0

#: Longest chunk, bytes, unless one line alone is longer.
CHUNK: Final = 1 << 18

_GONE: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)


class Shipper:
    """Ships the files of one node, or of every node, below a folder."""

    def __init__(self, folder: Path, connect: Connect, node: str | None = None) -> None:
        self._folder = folder
        self._connect = connect
        self._node = None if node is None else safe(node)
        self._connection: psycopg.Connection[Any] | None = None
        #: Bytes of each file that the table is known to hold.
        self._shipped: dict[Path, int] = {}

    def ship(self) -> int:
        """Ship every new whole line and give the bytes' number; after a psycopg.Error it may be called again."""
        try:
            self._notice()
            return sum(self._file(path) for path in list(self._files()))
        except psycopg.Error:
            self.close()
            raise

    def sweep(self) -> None:
        """Remove the files of groups whose schema is gone."""
        kept = list(self._files())
        names = list({path.parent.name for path in kept})
        if names:
            found = self._live().execute("SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)", (names,))
            living = {name for (name,) in found}
            for path in kept:
                if path.parent.name not in living:
                    self._forget(path)

    def close(self) -> None:
        """Close the connection, and trust the table again more than one's memory."""
        self._shipped.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _notice(self) -> None:
        """Trust the table again where the server has something to say unasked: its end, and a crash forgets chunks."""
        if self._connection is None:
            return
        said = select.poll()
        said.register(self._connection.fileno(), select.POLLIN)
        if said.poll(0):
            self.close()

    def _files(self) -> Iterator[Path]:
        for path in self._folder.glob("rowrace_*/*.jsonl"):
            node = node_of(path.name)
            if re.fullmatch(SCHEMA_PATTERN, path.parent.name) and node is not None and self._node in (None, node):
                yield path

    def _file(self, path: Path) -> int:
        try:
            return self._lines(path) if path.stat().st_size > self._shipped.get(path, 0) else 0
        except _GONE:
            self._forget(path)
            return 0
        except FileNotFoundError:  # another shipper forgot it
            self._shipped.pop(path, None)
            return 0

    def _forget(self, path: Path) -> None:
        """Remove a file whose group is gone, and the folder with its last file."""
        self._shipped.pop(path, None)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds other files, or another shipper was quicker
            path.parent.rmdir()

    def _lines(self, path: Path) -> int:
        shipped = 0
        while chunk := _chunk(path, position := self._position(path)):
            if not self._insert(path, position, chunk):
                del self._shipped[path]  # another shipper was quicker: ask the table how far it is
                continue
            self._shipped[path] = position + len(chunk)
            shipped += len(chunk)
        return shipped

    def _position(self, path: Path) -> int:
        if path not in self._shipped:
            statement = sql.SQL("SELECT coalesce(max(pos + octet_length(chunk)), 0) FROM {} WHERE file = %s")
            row = self._live().execute(statement.format(_table(path)), (path.name,)).fetchone()
            self._shipped[path] = row[0] if row else 0
        return self._shipped[path]

    def _insert(self, path: Path, position: int, chunk: bytes) -> bool:
        statement = sql.SQL("INSERT INTO {} (file, pos, chunk) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING")
        cursor = self._live().execute(statement.format(_table(path)), (path.name, position, chunk.decode()))
        return cursor.rowcount == 1

    def _live(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection


def _chunk(path: Path, position: int) -> bytes:
    """Read whole lines from a position; a line longer than a chunk is read whole."""
    size = CHUNK
    with path.open("rb") as file:
        while True:
            file.seek(position)
            data = file.read(size)
            whole = data[: data.rfind(b"\n") + 1]
            if whole or len(data) < size:
                return whole
            size *= 2


def _table(path: Path) -> sql.Identifier:
    return sql.Identifier(path.parent.name, "journal")


class ShipperThread(threading.Thread):
    """Ships every now and then; a failure disturbs nobody, is logged once, and is tried again."""

    def __init__(self, shipper: Shipper) -> None:
        super().__init__(name="rowrace shipper", daemon=True)
        self._shipper = shipper
        self._ended = threading.Event()
        self._failing = False
        self._swept = time.monotonic()

    def run(self) -> None:
        """Ship until told to end."""
        while not self._ended.wait(AFTER_FAILURE_S if self._failing else EVERY_S):
            self.once()
        self._shipper.close()

    def once(self) -> None:
        """Ship what there is; a failure is logged where the last time went well."""
        try:
            self._shipper.ship()
            if time.monotonic() - self._swept > SWEEP_S:
                self._swept = time.monotonic()
                self._shipper.sweep()
        except (psycopg.Error, OSError) as error:
            if not self._failing:
                logger.warning("Journals can't be shipped, and will be tried again: %s", type(error).__name__)
            self._failing = True
        else:
            self._failing = False

    def finish(self) -> None:
        """End the thread, ship the rest, and leave no files of groups that are gone."""
        self._ended.set()
        self.join()
        self._swept = -SWEEP_S
        self.once()
        self._shipper.close()


_running: ShipperThread | None = None


def start(settings: Config, node: str) -> None:
    """Start this node's shipper."""
    global _running  # noqa: PLW0603 - a node has one
    url, recovery = settings.database_url or "", settings.recovery
    _running = ShipperThread(Shipper(settings.journal_dir, lambda: _own(url, node, recovery=recovery), node))
    _running.start()
    atexit.register(stop)  # a cold shutdown tells nobody


def stop() -> None:
    """Stop this node's shipper after a last look at the files."""
    global _running  # noqa: PLW0603 - as above
    if _running is not None:
        _running.finish()
        _running = None


def ship_all(folder: Path, connection_factory: Connect) -> int:
    """Ship the journals of every node below a folder, dead ones' too, and give the number of bytes."""
    shipper = Shipper(folder, connection_factory)
    try:
        return shipper.ship()
    finally:
        shipper.close()


def _own(url: str, node: str, *, recovery: bool = True) -> psycopg.Connection[Any]:
    # Should the server forget the last chunks in a crash, the connection breaks, and the files still have them.
    return connect(url, f"rowrace {node} shipper", "-c synchronous_commit=off", recovery=recovery)


def main(arguments: list[str]) -> int:
    """Ship a folder's journals once: `python -m worker.shipper FOLDER`."""
    url = config.read().database_url
    if len(arguments) != 1 or url is None:
        sys.stderr.write("Usage: python -m worker.shipper FOLDER, with ROWRACE_DATABASE_URL set.\n")
        return 2
    try:
        ship_all(Path(arguments[0]), lambda: _own(url, config.host()))
    except psycopg.Error as error:
        sys.stderr.write(f"The database can't be reached: {type(error).__name__}.\n")
        return 4
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
