"""A PostgreSQL server for an exploration alone: up for the block's time, and tuned for schedules, not for safety."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.driver import need_driver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def embedded(log_dir: Path | None = None) -> Iterator[str]:
    """Give the URL of an embedded server's fresh database; both are gone after the block."""
    need_driver()
    # Who explores SQLite only needs neither a driver nor a server's wheel.
    from orchestrator.controlled.postgres_scratch import scratch, tuned  # noqa: PLC0415
    from orchestrator.services.embedded import Want  # noqa: PLC0415
    from orchestrator.services.embedded import embedded as servers  # noqa: PLC0415

    with servers(Want(broker=False), log_dir) as (pair, _):
        if pair.database_url is None:
            raise AssertionError("a database was wanted, and none came")
        tuned(pair.database_url)
        with scratch(pair.database_url) as url:
            yield url
