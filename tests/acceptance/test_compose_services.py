"""Each service of docker-compose.yml runs from its own command line, and a race comes out of them together."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
import redis

from tests.stand_ins import stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stand_ins import Stack


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Database and broker as declared, and one worker container to be started."""
    with stack(tmp_path_factory.mktemp("composed"), ROWRACE_WORKERS="1", ROWRACE_CONCURRENCY="4") as opened:
        yield opened


@pytest.fixture(scope="module")
def worker(composed: Stack) -> Iterator[subprocess.Popen[bytes]]:
    """One worker, started by its declared command and healthy by its declared check."""
    with composed.started("worker") as process:
        yield process


def test_postgres_has_the_declared_settings(composed: Stack) -> None:
    """The database's command line is one that PostgreSQL accepts, and its settings hold."""
    url = composed.environment("worker")["ROWRACE_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT current_setting('max_connections'), current_setting('track_commit_timestamp')"
        ).fetchone()
    assert ("300", "on") == row


def test_redis_has_the_declared_settings(composed: Stack) -> None:
    """The broker's configuration came through standard input: no eviction, append-only, a password."""
    with redis.Redis.from_url(composed.environment("worker")["ROWRACE_BROKER_URL"]) as client:
        found = [next(iter(client.config_get(name).values())) for name in ("maxmemory-policy", "appendonly")]
    assert ["noeviction", "yes"] == found
    with redis.Redis(port=composed.redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_an_unfit_redis_password_is_refused(composed: Stack) -> None:
    """A password that would break the configuration ends the service with a sentence."""
    _, *arguments = composed.declared["redis"]["command"]
    env = {"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": "two words"}
    done = subprocess.run(["/bin/sh", *arguments], env=env, capture_output=True, text=True, check=False, timeout=30)
    assert (1, "ROWRACE_REDIS_PASSWORD: letters, digits, - and _ only\n") == (done.returncode, done.stderr)


@pytest.mark.timeout(400)
def test_the_orchestrator_races_over_the_worker(composed: Stack, worker: subprocess.Popen[bytes]) -> None:
    """The orchestrator's command finishes a run on workers that the worker's command started."""
    small = ["--operations", "160", "--rows", "2"]
    done = subprocess.run(
        [*composed.command("orchestrator"), *small],
        env=composed.environment("orchestrator"),
        cwd=composed.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert worker.poll() is None
    assert list(composed.folder.glob("runs/*/*/effects.parquet"))


def test_health_checks_see_a_service_that_is_up(composed: Stack) -> None:
    """The orchestrator's health check holds while database and broker answer."""
    assert composed.healthy("orchestrator")


def test_no_password_is_in_the_process_list(composed: Stack, worker: subprocess.Popen[bytes]) -> None:
    """No process of the stack shows a password among its arguments."""
    env = composed.environment("worker")
    secrets = [
        env[name].partition("@")[0].rpartition(":")[2] for name in ("ROWRACE_DATABASE_URL", "ROWRACE_BROKER_URL")
    ]
    lines = []
    for process in [psutil.Process(worker.pid), *psutil.Process().children(recursive=True)]:
        try:
            lines += process.cmdline()
        except psutil.NoSuchProcess:
            continue  # it ended meanwhile
    assert [] == [line for line in lines for secret in secrets if secret in line]
