"""A race ends only when every line that was written is read, whoever was yet to ship it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from orchestrator import schema
from orchestrator.ending import End
from orchestrator.interrupt import Interrupt
from orchestrator.patience import Line
from orchestrator.progress import Progress
from orchestrator.race import Limits, Race
from worker.contract import COUNTER_BITS, EndLine, Outcome, ProcessLine, Reason, StartLine
from worker.journal import FileJournal
from worker.postgres import connect
from worker.shipper import ship_all

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import psycopg

    from orchestrator.publish import Message


class Idle:
    """A broker that holds nothing and a publisher that has published everything."""

    error = None
    published = settled = 1

    def __init__(self) -> None:
        self.stop = Interrupt().asked

    def run(self, stream: Iterable[Message]) -> None:
        """Have nothing left to publish."""
        assert [] == list(stream)

    def empty(self) -> bool:
        """Hold nothing."""
        return True


class Nodes:
    """A fleet whose files are still to be shipped when the broker is empty."""

    nodes = hosts = processes = 1
    remote = False

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url

    def missing(self) -> list[str]:
        """Be all there."""
        return []

    def none_left(self) -> bool:
        """Be all there."""
        return False

    def save(self) -> list[str]:
        """Ship what is in the files."""
        ship_all(self._folder, lambda: connect(self._url, "rowrace", ""))
        return []


def _journal(folder: Path, group: str, process: int, attempt: int, outcome: Outcome) -> None:
    """Write one attempt of operation 0, as a process of its own would."""
    journal = FileJournal(folder / group, ProcessLine(process, f"node{process}", "here", process, "prefork"))
    token = process << COUNTER_BITS | 1
    journal.write(StartLine(token, 0, attempt, 0, 10, 1, 1, redelivered=False))
    ok = outcome is Outcome.OK
    journal.write(EndLine(token, outcome, None if ok else Reason.VERSION, ok, 20, []))


def test_lines_that_nobody_has_shipped_are_read(
    database: psycopg.Connection[Any], database_url: str, fresh_schema: str, tmp_path: Path
) -> None:
    """One node's retry settles the operation while another node's lines still lie in its file."""
    schema.create(database, fresh_schema, "credits", 1, idempotency=True, recording=True)
    nodes, progress, idle = Nodes(tmp_path, database_url), Progress(1, lambda _table, _data: None), Idle()
    _journal(tmp_path, fresh_schema, 2, 2, Outcome.OK)
    nodes.save()
    _journal(tmp_path, fresh_schema, 1, 1, Outcome.FAIL)
    race = Race(Line(lambda: database), fresh_schema, idle, idle, progress)  # type: ignore[arg-type]  # stands in for both
    watch = SimpleNamespace(progress=lambda *_: None)
    ending = race.run([], Limits(timeout=60.0, grace=60.0), nodes, watch, Interrupt())
    assert (End.SETTLED, 2, 1) == (ending.why, progress.attempts, progress.conflicts)
