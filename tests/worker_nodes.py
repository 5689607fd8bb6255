"""Worker nodes for integration tests: a queue, a group, a real Celery worker, and what it wrote."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
from celery import Celery

import worker
from worker.contract import TASK, Batch, EndLine, Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from worker.contract import Operation, Settings

#: Where the package `worker` is found.
ROOT = str(Path(worker.__file__).resolve().parent.parent)


def ask(connection: psycopg.Connection[Any], schema: str, text: str, *params: object) -> psycopg.Cursor[Any]:
    """Run a statement in which {} stands for the schema."""
    return connection.execute(text.replace("{}", schema), params or None)


class Node:
    """A worker node with a queue and a group of its own."""

    def __init__(self, database: psycopg.Connection[Any], schema: str, broker_url: str) -> None:
        self.queue = f"test.{secrets.token_hex(4)}"
        self.schema = schema
        self._database = database
        self._app = Celery(broker=broker_url, set_as_current=False)

    def send(self, settings: Settings, *operations: Operation) -> None:
        """Send one message."""
        self.send_raw(kwargs=msgspec.to_builtins(Batch(settings=settings, operations=list(operations))))

    def send_raw(self, **options: Any) -> None:  # noqa: ANN401 - send_task's
        """Send anything."""
        self._app.send_task(TASK, queue=self.queue, **options)

    def lines(self) -> list[Line]:
        """Read the group's journal."""
        chunks = ask(self._database, self.schema, "SELECT chunk FROM {}.journal ORDER BY file, pos").fetchall()
        return [msgspec.json.decode(line, type=Line) for (chunk,) in chunks for line in chunk.splitlines()]

    def wait(self, operations: int) -> list[EndLine]:
        """Wait until so many operations have ended."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            ends = [line for line in self.lines() if isinstance(line, EndLine) and line.final]
            if len(ends) >= operations:
                return ends
        raise TimeoutError(f"{len(ends)} of {operations} operations ended")

    def close(self) -> None:
        """Leave nothing on the broker."""
        with self._app.connection_for_write() as connection, connection.channel() as opened:
            channel: Any = opened  # its types are the base class's
            channel.queue_purge(self.queue)
            channel.queue_delete(self.queue)


@contextlib.contextmanager
def running(node: Node, folder: Path, urls: dict[str, str], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker for the block, and stop it warmly."""
    command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "-Q", node.queue, "-n", f"{node.queue}@test"]
    quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    environment = {**os.environ, "PYTHONPATH": ROOT, "ROWRACE_JOURNAL_DIR": str(folder / "journals"), **urls}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *quiet, *options], env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and its pool's processes, whatever they are doing."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
