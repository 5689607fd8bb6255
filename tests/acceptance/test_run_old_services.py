"""A whole run on the oldest services that are promised: PostgreSQL 15 and Redis 7 of a distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.config import Config
from tests.acceptance.racing import Racing, quick
from worker.contract import Isolation

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.services import Services


def test_every_strategy_on_old_services(old_services: Services, tmp_path: Path) -> None:
    """They give the table's verdicts too, and nothing is left behind."""
    config = Config(
        database_url=old_services.database_url,
        broker_url=old_services.broker_url,
        runs_dir=tmp_path / "runs",
        state_dir=tmp_path / "state",
    )
    racing = Racing(config)
    levels = (Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ)
    report = racing.race(quick(strategies=("naive", "optimistic", "advisory"), isolation=levels, operations=200))
    assert {row.name: row.expected for row in report.rows} == {row.name: row.verdict for row in report.rows}
    assert 6 == len(report.rows)
    assert [] == racing.left(report.run)
