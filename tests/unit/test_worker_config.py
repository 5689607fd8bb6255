"""What a worker is told by its environment: good defaults, and the known ways to do worse."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict

from worker import config, postgres
from worker.app import create
from worker.runtime import Identity, ProcessRuntime

if TYPE_CHECKING:
    from pathlib import Path

_BROKER = {"ROWRACE_BROKER_URL": "redis://localhost/0"}


def test_nothing_said_is_fit_for_faults() -> None:
    """Every setting has the good value by default."""
    found = config.read({})
    assert (True, True, 0, 0, 30.0) == (
        found.acks_late,
        found.reject_on_worker_lost,
        found.max_deliveries,
        found.pool_size,
        found.pool_timeout,
    )
    assert (False, True, 0.0, 0.0) == (
        found.engine_before_fork,
        found.recovery,
        found.clock_skew_ms,
        found.clock_drift_ppm,
    )


def test_every_setting_is_read() -> None:
    """Each variable sets the field that bears its name."""
    found = config.read(
        {
            "ROWRACE_ACKS_LATE": "0",
            "ROWRACE_REJECT_ON_WORKER_LOST": "0",
            "ROWRACE_MAX_DELIVERIES": "3",
            "ROWRACE_POOL_SIZE": "2",
            "ROWRACE_POOL_TIMEOUT": "0.5",
            "ROWRACE_ENGINE_BEFORE_FORK": "1",
            "ROWRACE_RECOVERY": "0",
            "ROWRACE_CLOCK_SKEW_MS": "-250.5",
            "ROWRACE_CLOCK_DRIFT_PPM": "200",
        }
    )
    assert (False, False, 3, 2, 0.5) == (
        found.acks_late,
        found.reject_on_worker_lost,
        found.max_deliveries,
        found.pool_size,
        found.pool_timeout,
    )
    assert (True, False, -250.5, 200.0) == (
        found.engine_before_fork,
        found.recovery,
        found.clock_skew_ms,
        found.clock_drift_ppm,
    )


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("ROWRACE_ACKS_LATE", "maybe", "ROWRACE_ACKS_LATE must be 0 or 1."),
        ("ROWRACE_RECOVERY", "2", "ROWRACE_RECOVERY must be 0 or 1."),
        ("ROWRACE_MAX_DELIVERIES", "-1", "ROWRACE_MAX_DELIVERIES must be a number from 0 to 1000."),
        ("ROWRACE_POOL_TIMEOUT", "nan", "ROWRACE_POOL_TIMEOUT must be a number from 0 to 3600."),
        ("ROWRACE_CLOCK_DRIFT_PPM", "1e9", "ROWRACE_CLOCK_DRIFT_PPM must be a number from -100000 to 100000."),
    ],
)
def test_a_malformed_setting_is_named(name: str, text: str, sentence: str) -> None:
    """The sentence says which variable, and what it may be."""
    with pytest.raises(config.ConfigError) as caught:
        config.read({name: text})
    assert sentence == str(caught.value)


def test_acknowledgement_is_as_told() -> None:
    """Early acknowledgement, no return of lost messages, and a cap that needs them published again."""
    environment = {"ROWRACE_ACKS_LATE": "0", "ROWRACE_REJECT_ON_WORKER_LOST": "0", "ROWRACE_MAX_DELIVERIES": "2"}
    conf = create(config.read({**_BROKER, **environment})).conf
    assert (False, False, True) == (
        conf.task_acks_late,
        conf.task_reject_on_worker_lost,
        conf.task_retry_on_worker_lost,
    )
    assert create(config.read(_BROKER)).conf.task_retry_on_worker_lost is False


def test_without_recovery_the_broker_s_options_are_kombu_s_own() -> None:
    """What is left is ours by need: names and keys, and when messages come again."""
    options = create(config.read({**_BROKER, "ROWRACE_RECOVERY": "0"})).conf.broker_transport_options
    own = {"unacked_key", "unacked_index_key", "unacked_mutex_key", "visibility_timeout", "client_name"}
    assert own == set(options)


@pytest.mark.parametrize(("recovery", "expected"), [(True, {"tcp_user_timeout", "keepalives"}), (False, set())])
def test_without_recovery_the_database_s_options_are_libpq_s_own(
    monkeypatch: pytest.MonkeyPatch, expected: set[str], *, recovery: bool
) -> None:
    """Neither keepalive nor a time limit of TCP is asked for."""
    asked: dict[str, object] = {}
    monkeypatch.setattr("psycopg.connect", lambda **arguments: asked.update(arguments))
    postgres.connect("postgresql://me@here/x", "n", recovery=recovery)
    assert expected == {"tcp_user_timeout", "keepalives"} & set(asked)
    assert "here" == asked["host"] == conninfo_to_dict("postgresql://me@here/x")["host"]


@pytest.mark.parametrize(("size", "limit"), [(0, -1), (3, 0)])
def test_a_pool_has_no_more_connections_than_it_may(size: int, limit: int) -> None:
    """SQLAlchemy's overflow is not the bound's back door."""
    made = postgres.engine("postgresql://127.0.0.1:1/x", "n", size=size, timeout=0.5)
    assert limit == made.pool._max_overflow  # type: ignore[attr-defined]  # a queue pool's
    made.dispose()


@pytest.mark.parametrize(("skew", "drift"), [(0.0, 0.0), (3_600_000.0, 0.0), (-250.0, 0.0), (0.0, 100_000.0)])
def test_a_clock_is_off_as_told(tmp_path: Path, skew: float, drift: float) -> None:
    """What it shows is ahead by the skew, and by the drift's share of the time since the process began."""
    began = time.monotonic_ns()
    settings = config.Config(journal_dir=tmp_path, clock_skew_ms=skew, clock_drift_ppm=drift)
    process = ProcessRuntime(settings, Identity("n", "threads"))
    before = time.monotonic_ns()
    shown = process.now() - int(skew * 1_000_000)
    after = time.monotonic_ns()
    assert before <= shown <= after + (after - began) * drift / 1_000_000
