"""Embedded services: what they are set to, whom they let in, and that nothing of them stays."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis

from orchestrator.errors import ServiceError
from orchestrator.services import Embedding, Origin, PostgresSettings, boot, open_services, postgres_bin
from orchestrator.services.binaries import BrokerBinary, PostgresBinaries, wheel_postgres, wheel_valkey
from orchestrator.services.rights import Rights

if TYPE_CHECKING:
    from orchestrator.services import Services


def test_the_sessions_pair_is_embedded(services: Services) -> None:
    """Without URLs both services are embedded, and the rung says so."""
    versions = services.versions
    expected = f"embedded PostgreSQL {versions['postgresql']}, embedded Valkey {versions['valkey']}"
    assert expected == services.rung


def test_a_distributions_servers_are_started_the_same_way(old_services: Services) -> None:
    """PostgreSQL 15 and Redis 7 take the same settings."""
    majors = {name: version.split(".")[0] for name, version in old_services.versions.items()}
    assert majors == {"postgresql": "15", "redis": "7"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("track_commit_timestamp", "on"),
        ("max_connections", "200"),
        ("deadlock_timeout", "20ms"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
    ],
)
def test_postgres_settings(database: psycopg.Connection, name: str, expected: str) -> None:
    """Durability is on, loopback is all it listens on, and a race's needs are met."""
    row = database.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row == (expected,)


@pytest.mark.parametrize(("name", "expected"), [("maxmemory-policy", "noeviction"), ("appendonly", "yes")])
def test_valkey_settings(broker_url: str, name: str, expected: str) -> None:
    """No message is dropped for want of memory, and messages are on disk."""
    with redis.Redis.from_url(broker_url, decode_responses=True) as client:
        assert client.config_get(name) == {name: expected}


def test_settings_can_be_given() -> None:
    """A search for deadlocks needs a long deadlock_timeout, which only the server can be set to."""
    embedding = Embedding(settings=PostgresSettings(deadlock_timeout_ms=60_000))
    with open_services(embedding=embedding) as opened, psycopg.connect(opened.database_url) as connection:
        assert connection.execute("SHOW deadlock_timeout").fetchone() == ("1min",)


@pytest.mark.parametrize("rights", list(Rights))
def test_nothing_stays_and_nothing_is_open(rights: Rights, tmp_path: Path) -> None:
    """Under every account: private folders, no password in an argument, logs where asked; afterwards all is gone."""
    _skip_impossible(rights)
    temporary = Path(tempfile.gettempdir())
    before, children = _modes(temporary), set(psutil.Process().children())
    with open_services(log_dir=tmp_path / "logs", embedding=Embedding(rights=rights)) as opened:
        servers = set(psutil.Process().children()) - children
        words = [word for server in servers for word in server.cmdline()]
        root = Path(words[words.index("-D") + 1]).parents[1]
        assert all(password not in word for password in _passwords(opened) for word in words)
        assert {stat.S_IMODE((root / name).stat().st_mode) for name in ("postgres", "valkey")} == {0o700}
        assert not stat.S_IMODE(root.stat().st_mode) & 0o066
        assert all(os.getsid(server.pid) == server.pid for server in servers)
    assert not any(server.is_running() for server in servers)
    assert not root.exists()
    assert before == _modes(temporary)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"postgresql.log", "valkey.log"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_programs_in_roots_own_folders_are_copied(tmp_path: Path) -> None:
    """An account that doesn't reach the programs gets copies, and no folder is opened up for it."""
    (tmp_path / "pginstall").symlink_to(wheel_postgres().bin.parent)
    (tmp_path / "valkey-server").symlink_to(wheel_valkey().path)
    embedding = Embedding(
        postgres=PostgresBinaries(tmp_path / "pginstall" / "bin"),
        broker=BrokerBinary(tmp_path / "valkey-server"),
        rights=Rights.DROP,
    )
    before = _modes(tmp_path)
    with open_services(embedding=embedding) as opened:
        assert (opened.database, opened.broker) == (Origin.EMBEDDED, Origin.EMBEDDED)
    assert before == _modes(tmp_path)


def test_an_unusable_log_folder_is_one_sentence(tmp_path: Path) -> None:
    """What the system refuses is told without a traceback."""
    (tmp_path / "logs").write_text("a file")
    with (
        pytest.raises(ServiceError, match=r"\Aembedded services can't be started: [^\n]+\Z"),
        open_services(log_dir=tmp_path / "logs"),
    ):
        pytest.fail("it must not start")


def test_an_exception_stops_them_too() -> None:
    """Whatever ends the block, the servers end with it."""
    children = set(psutil.Process().children())

    def fail() -> None:
        with open_services():
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert children == set(psutil.Process().children())


def test_a_server_that_cannot_start_is_one_sentence(tmp_path: Path) -> None:
    """What PostgreSQL says is passed on, and the log named; Valkey, which was up already, is stopped."""
    children = set(psutil.Process().children())
    embedding = Embedding(settings=PostgresSettings(shared_buffers_mb=0))
    with (
        pytest.raises(ServiceError, match=r"\APostgreSQL failed to start: [^\n]+ \(in [^\n]+postgresql\.log\)\Z"),
        open_services(log_dir=tmp_path, embedding=embedding),
    ):
        pytest.fail("it must not start")
    assert children == set(psutil.Process().children())


def test_a_taken_port_is_tried_no_second_time(monkeypatch: pytest.MonkeyPatch, services: Services) -> None:
    """Where another process was quicker, the server starts again on the next free port."""
    ports = iter([urlsplit(services.database_url).port] * 2)
    real = boot._free_port
    monkeypatch.setattr(boot, "_free_port", lambda: next(ports, None) or real())
    with open_services() as opened:
        assert services.database_url != opened.database_url


def test_pgbench_runs() -> None:
    """Benchmarks find pgbench beside the embedded server."""
    done = subprocess.run([postgres_bin() / "pgbench", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("pgbench (PostgreSQL)")


def _skip_impossible(rights: Rights) -> None:
    root = os.geteuid() == 0
    if rights is Rights.SAME and root:
        pytest.skip("PostgreSQL refuses root")
    if rights is Rights.DROP and not root:
        pytest.skip("only root can become another account")


def _passwords(services: Services) -> list[str]:
    return [urlsplit(url).password or "none" for url in (services.database_url, services.broker_url)]


def _modes(folder: Path) -> list[int]:
    return [path.stat().st_mode for path in (folder, *folder.parents)]
