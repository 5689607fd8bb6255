"""How acceptance tests run races: in this process, watched, and with a look at what stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
import psycopg
import redis
from psycopg import sql

from orchestrator import schema
from orchestrator.history import files
from orchestrator.interrupt import Interrupt
from orchestrator.profile import Profile, Workers
from orchestrator.run import run
from worker.contract import UNACKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.config import Config
    from orchestrator.groups import Group
    from orchestrator.history.model import History
    from orchestrator.progress import Counts
    from orchestrator.reports.result import Report, Row

HOME = Path(__file__).resolve().parents[2]

#: A quick race: no think time, little patience.
QUICK = Profile(scenarios=("credits",), strategies=("atomic",), operations=200, grace=1.0, timeout=120.0)


class Spectator:
    """Watches a run, and does something when a group begins or goes on."""

    def __init__(
        self,
        begin: Callable[[Group], None] = lambda _group: None,
        progress: Callable[[int, Counts], None] = lambda _published, _counts: None,
    ) -> None:
        self._begin = begin
        self._progress = progress
        self.last: Counts | None = None

    def begin(self, group: Group, _operations: int) -> None:
        """Hear that a group begins."""
        self._begin(group)

    def progress(self, published: int, counts: Counts, _seconds: float) -> None:
        """Hear how far it is."""
        self.last = counts
        self._progress(published, counts)

    def end(self) -> None:
        """Hear that the group's operations have ended."""


@dataclass(frozen=True)
class Racing:
    """Runs on given services."""

    config: Config
    workers: Workers = Workers.SPAWN

    def on_a_fleet(self) -> Racing:
        """Use workers that listen already."""
        return replace(self, workers=Workers.EXTERNAL)

    def race(
        self, profile: Profile = QUICK, watch: Spectator | None = None, interrupt: Interrupt | None = None
    ) -> Report:
        """Run a profile in this process."""
        profile = msgspec.structs.replace(profile, workers=self.workers)
        return run(profile, self.config, watch or Spectator(), interrupt or Interrupt())

    def row(self, profile: Profile = QUICK, watch: Spectator | None = None) -> tuple[Row, Report]:
        """Run a profile of one group."""
        report = self.race(profile, watch)
        (row,) = report.rows
        return row, report

    @property
    def environment(self) -> dict[str, str]:
        """What the command needs to use the same services."""
        return {
            **os.environ,
            "PYTHONPATH": str(HOME),
            "ROWRACE_DATABASE_URL": self.config.database_url or "",
            "ROWRACE_BROKER_URL": self.config.broker_url or "",
            "ROWRACE_RUNS_DIR": str(self.config.runs_dir),
            "XDG_STATE_HOME": str(self.config.state_dir),
        }

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `rowrace` as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )

    def database(self) -> psycopg.Connection[Any]:
        """Connect to the database."""
        return psycopg.connect(self.config.database_url or "", autocommit=True)

    def broker(self) -> redis.Redis:
        """Connect to the broker."""
        return redis.Redis.from_url(self.config.broker_url or "")

    def left(self, run_: str) -> list[str]:
        """List what a run has left: schemas, keys on the broker, sessions, processes."""
        with self.database() as connection, self.broker() as client:
            found = [name for name in schema.schemas(connection) if run_ in name]
            found += [key.decode() for key in client.scan_iter(f"*{run_}*")]
            found += [entry.decode() for entry in client.hvals(UNACKED) if run_ in entry.decode()]
        return found + [command for command in map(_command, psutil.process_iter()) if run_ in command]

    def effects(self, run_: str) -> int:
        """Count what the run's first group has changed so far."""
        with self.database() as connection:
            if f"rowrace_{run_}_1" not in schema.schemas(connection):
                return 0
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(f"rowrace_{run_}_1", "effects"))
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def histories(report: Report) -> list[History]:
    """Read what a run has written down, group by group."""
    return [files.read(Path(report.folder) / row.name) for row in report.rows]


quick: Callable[..., Profile] = partial(msgspec.structs.replace, QUICK)
