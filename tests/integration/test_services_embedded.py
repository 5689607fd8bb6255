"""Embedded services: what they are, and that nothing of them stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from orchestrator.services import Services


def test_both_services_answer(services: Services, database: psycopg.Connection, fresh_schema: str) -> None:
    """The session's pair is embedded and takes a schema."""
    database.execute(f"CREATE SCHEMA {fresh_schema}")
    assert ("embedded", "embedded") == (services.database, services.broker)
    assert ["postgresql", "valkey"] == list(services.versions)


def test_a_distributions_servers_answer(old_services: Services) -> None:
    """PostgreSQL 15 and Redis 7 are started and checked the same way."""
    assert ["postgresql", "redis"] == list(old_services.versions)
