"""Services that integration and acceptance tests share: one embedded pair per session, a fresh schema per test."""

from __future__ import annotations

import secrets
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from orchestrator.services import Embedding, open_services
from orchestrator.services.binaries import BrokerBinary, PostgresBinaries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services

#: Of the tests that need services, those that may run beside others: they explore in their own process.
_BESIDE = ("test_explore", "test_examples", "test_eager")
_POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


def pytest_configure() -> None:
    """Hear signals that our starter ignored (`nohup`, a shell's `&`), or all that a test starts would ignore them.

    SIGQUIT ends servers, SIGHUP makes them read their files.
    """
    for name, heard in (
        ("SIGINT", signal.default_int_handler),
        ("SIGQUIT", signal.SIG_DFL),
        ("SIGHUP", signal.SIG_DFL),
    ):
        number = getattr(signal, name, None)  # Windows has only the first
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heard)


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what races on fleets or on servers of its own: its files are dealt out whole, the rest test by test."""
    for item in items:
        needs_fleets = item.path.parent.name in ("integration", "acceptance")
        if needs_fleets and not item.path.name.startswith(_BESIDE):
            item.add_marker("fleets")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Embedded PostgreSQL and Valkey, one pair for the whole session."""
    with open_services(log_dir=tmp_path_factory.mktemp("services")) as opened:
        yield opened


@pytest.fixture(scope="session")
def old_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """PostgreSQL 15 and Redis of a distribution, where both are installed."""
    redis = shutil.which("redis-server")
    if redis is None or not (_POSTGRES_15 / "postgres").exists():
        pytest.skip("PostgreSQL 15 (postgresql-15) and redis-server are not both installed")
    embedding = Embedding(postgres=PostgresBinaries(_POSTGRES_15), broker=BrokerBinary(Path(redis)))
    with open_services(log_dir=tmp_path_factory.mktemp("old-services"), embedding=embedding) as opened:
        yield opened


@pytest.fixture
def database_url(services: Services) -> str:
    """URL of the embedded PostgreSQL."""
    return services.database_url


@pytest.fixture
def broker_url(services: Services) -> str:
    """URL of the embedded Valkey; database 0, which tests share: use queues of your own."""
    return services.broker_url


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def fresh_schema(database_url: str) -> Iterator[str]:
    """A schema name of a group that nobody else has; whatever is made under it is dropped afterwards."""
    name = f"rowrace_{secrets.token_hex(6)}_1"
    yield name
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
