"""A race as a benchmark runs it, and the bare table that its rivals work on."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from orchestrator import schema
from orchestrator.config import Config
from orchestrator.interrupt import Interrupt
from orchestrator.profile import Profile, Think
from orchestrator.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Options
    from orchestrator.groups import Group
    from orchestrator.progress import Counts
    from orchestrator.services import Services

ROWS = 100


class _Clock:
    """Hears how long the race took: from the first publication until nothing was left to do."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def begin(self, group: Group, operations: int) -> None:
        """Nothing to note: the race counts its own seconds."""

    def progress(self, published: int, counts: Counts, seconds: float) -> None:  # noqa: ARG002 -- Watch's signature
        """Note the time; the last call is the race's end."""
        self.seconds = seconds

    def end(self) -> None:
        """Nothing to note: gathering and judging are not measured."""


def profile(asked: Options, *, per_message: int = 1, recording: bool = True) -> Profile:
    """Optimistic updates of 100 rows, all equally popular, without think time."""
    return Profile(
        scenarios=("credits",),
        strategies=("optimistic",),
        operations=asked.operations,
        rows=ROWS,
        nodes=asked.nodes,
        concurrency=asked.concurrency,
        per_message=per_message,
        think=Think(min_ms=0, max_ms=0),
        recording=recording,
        # Without a journal the end is seen by the empty queue only; waiting for stragglers is not work.
        grace=3.0 if recording else 0.0,
    )


def rate(services: Services, raced: Profile) -> float:
    """Operations per second of a whole run on these services."""
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            database_url=services.database_url,
            broker_url=services.broker_url,
            runs_dir=Path(folder),
            state_dir=Path(folder),
        )
        report = run(raced, config, clock, Interrupt())
    for finding in report.findings:
        done = finding.row.ok + finding.row.fail
        if raced.recording and done != raced.operations:
            raise RuntimeError(f"{done} of {raced.operations} operations were settled")
    return raced.operations / clock.seconds


@contextmanager
def bare_table(services: Services) -> Iterator[str]:
    """A schema with the scenario's own table, without triggers and without records."""
    name = f"rowrace_{secrets.token_hex(6)}_1"
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        schema.create(connection, name, "credits", ROWS, idempotency=False, recording=False)
        try:
            yield name
        finally:
            schema.drop(connection, name)
