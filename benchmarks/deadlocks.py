"""How long a deadlock cascade takes to recover (twelve tasks, four orders, three rows), by deadlock_timeout."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import psycopg

from orchestrator import schema
from orchestrator.services import Embedding, PostgresSettings, open_services
from tests.cascade import TASKS, cascade

#: Runs of each setting.
_TIMES = 5


def main() -> None:
    """Print the seconds until the last of the tasks was done."""
    for patience in (20, 200, 1000):
        embedding = Embedding(settings=PostgresSettings(deadlock_timeout_ms=patience))
        with open_services(embedding=embedding) as services, tempfile.TemporaryDirectory() as folder:
            seconds = [_one(services.database_url, Path(folder), number) for number in range(_TIMES)]
        print(
            f"deadlock_timeout {patience} ms: median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s,"
            f" of {_TIMES} cascades, {TASKS} of {TASKS} tasks done in each"
        )


def _one(url: str, folder: Path, number: int) -> float:
    name = f"rowrace_cascade{number}_1"
    with psycopg.connect(url, autocommit=True) as connection:
        schema.create(connection, name, "credits", 3, idempotency=True, recording=True)
        recovered = cascade(url, name, folder)
        schema.drop(connection, name)
    if any(outcome.value != "ok" for outcome in recovered.outcomes):
        sys.exit(f"not every task was done: {recovered.outcomes}")
    return recovered.seconds


if __name__ == "__main__":
    main()
