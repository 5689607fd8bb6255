"""The explorer's own connection to PostgreSQL: who needs what is under way waits until it is there."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from psycopg.pq import ExecStatus

from orchestrator.controlled.postgres_waits import Monitor


class _Server:
    """Takes whatever it is sent, and answers it when told."""

    def __init__(self) -> None:
        self.pgconn = self
        self.asked, self.answers = threading.Event(), threading.Event()
        self._results = [SimpleNamespace(status=ExecStatus.TUPLES_OK), None]

    def prepare(self, *_: object) -> SimpleNamespace:
        """Prepare."""
        return SimpleNamespace(status=ExecStatus.COMMAND_OK)

    def send_query_prepared(self, *_: object) -> None:
        """Send."""

    def get_result(self) -> SimpleNamespace | None:
        """Wait for the answer."""
        self.asked.set()
        self.answers.wait()
        return self._results.pop(0)


def test_whoever_settles_goes_on_when_it_is_settled() -> None:
    """A worker does not overtake what a pool's thread is waiting for already."""
    server: Any = _Server()
    monitor, log = Monitor(server), list[str]()
    monitor.start(b"reset", failed=lambda error: error)

    def settles() -> None:
        monitor.settle()
        log.append("goes on")

    pool, worker = threading.Thread(target=settles), threading.Thread(target=settles)
    pool.start()
    server.asked.wait()
    worker.start()
    worker.join(timeout=0.2)  # it would be over by then
    log.append("answered")
    server.answers.set()
    pool.join()
    worker.join()
    assert ["answered", "goes on", "goes on"] == log
