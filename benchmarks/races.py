"""A race as a benchmark runs it, and the bare table that its rivals work on."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from orchestrator import schema
from orchestrator.api import Silent
from orchestrator.config import Config
from orchestrator.history import read_meta
from orchestrator.interrupt import Interrupt
from orchestrator.profile import Profile, Think
from orchestrator.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Options
    from orchestrator.services import Services

ROWS = 100


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
    """Operations per second: from the first publication until the last was settled, or, unrecorded, the queue empty."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            database_url=services.database_url,
            broker_url=services.broker_url,
            runs_dir=Path(folder),
            state_dir=Path(folder),
        )
        report = run(raced, config, Silent(), Interrupt())
        (row,) = report.rows
        seconds = read_meta(Path(report.folder, row.name)).seconds
    if raced.recording and row.ok + row.fail != raced.operations:
        raise RuntimeError(f"{row.ok + row.fail} of {raced.operations} operations were settled")
    return raced.operations / seconds


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
