"""The worker's settings, from the environment; the only module of `worker` that reads it."""

from __future__ import annotations

import getpass
import hashlib
import math
import os
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from worker.contract import UNACKED

if TYPE_CHECKING:
    from collections.abc import Mapping


_DAY_S = 86_400


class ConfigError(Exception):
    """A setting is missing or malformed: set the variable that the message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What a worker is told by its environment; credentials come from here and never from a message."""

    #: `ROWRACE_DATABASE_URL`: a libpq URI; None where unset.
    database_url: str | None = field(default=None, repr=False)
    #: `ROWRACE_BROKER_URL`; None where unset.
    broker_url: str | None = field(default=None, repr=False)
    #: `ROWRACE_JOURNAL_DIR`: journals lie in a folder per schema below it.
    journal_dir: Path
    #: `ROWRACE_NODE`: the node's name; None: Celery's own name for it.
    node: str | None = None
    #: `ROWRACE_VISIBILITY_TIMEOUT`, seconds: the broker returns unacknowledged messages after this long.
    visibility_timeout: float = 60.0
    #: `ROWRACE_PREFETCH`: messages that a slot takes ahead.
    prefetch: int = 1
    #: `ROWRACE_UNACKED`: the hash on the broker that keeps what these workers took and did not acknowledge.
    unacked: str = UNACKED
    #: `ROWRACE_ACKS_LATE`: acknowledge a message after its execution; 0 loses it with the process that runs it.
    acks_late: bool = True
    #: `ROWRACE_REJECT_ON_WORKER_LOST`: a killed process's message goes back to the queue; 0 acknowledges it as failed.
    reject_on_worker_lost: bool = True
    #: `ROWRACE_MAX_DELIVERIES`: processes that a message may take down before it is given up; 0: no cap.
    max_deliveries: int = 0
    #: `ROWRACE_POOL_SIZE`: database connections of a process; 0: as many as its slots ask for.
    pool_size: int = 0
    #: `ROWRACE_POOL_TIMEOUT`: longest wait for one of them, seconds; then the attempt fails.
    pool_timeout: float = 30.0
    #: `ROWRACE_ENGINE_BEFORE_FORK`: 1 opens a connection in the main process, which all its children then use.
    engine_before_fork: bool = False
    #: `ROWRACE_RECOVERY`: 0 leaves kombu's and libpq's own defaults, which notice cut connections late.
    recovery: bool = True
    #: `ROWRACE_CLOCK_SKEW_MS`: this worker's clock is ahead by so much, milliseconds.
    clock_skew_ms: float = 0.0
    #: `ROWRACE_CLOCK_DRIFT_PPM`: it runs too fast by so many millionths.
    clock_drift_ppm: float = 0.0


def read(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the environment; raises ConfigError."""
    database = environ.get("ROWRACE_DATABASE_URL") or None
    given = environ.get("ROWRACE_JOURNAL_DIR")
    return Config(
        database_url=database,
        broker_url=environ.get("ROWRACE_BROKER_URL") or None,
        journal_dir=Path(given) if given else _own_folder(database),
        node=environ.get("ROWRACE_NODE") or None,
        visibility_timeout=_number(environ, "ROWRACE_VISIBILITY_TIMEOUT", 60.0, 1, _DAY_S),
        prefetch=int(_number(environ, "ROWRACE_PREFETCH", 1, 1, _DAY_S)),
        unacked=environ.get("ROWRACE_UNACKED") or UNACKED,
        acks_late=_flag(environ, "ROWRACE_ACKS_LATE", default=True),
        reject_on_worker_lost=_flag(environ, "ROWRACE_REJECT_ON_WORKER_LOST", default=True),
        max_deliveries=int(_number(environ, "ROWRACE_MAX_DELIVERIES", 0, 0, 1_000)),
        pool_size=int(_number(environ, "ROWRACE_POOL_SIZE", 0, 0, 10_000)),
        pool_timeout=_number(environ, "ROWRACE_POOL_TIMEOUT", 30.0, 0, 3_600),
        engine_before_fork=_flag(environ, "ROWRACE_ENGINE_BEFORE_FORK", default=False),
        recovery=_flag(environ, "ROWRACE_RECOVERY", default=True),
        clock_skew_ms=_number(environ, "ROWRACE_CLOCK_SKEW_MS", 0.0, -_DAY_S * 1_000, _DAY_S * 1_000),
        clock_drift_ppm=_number(environ, "ROWRACE_CLOCK_DRIFT_PPM", 0.0, -100_000, 100_000),
    )


def host() -> str:
    """Name this host."""
    return socket.gethostname()


def _own_folder(database: str | None) -> Path:
    """Name a folder per user and database: one database's shipper must not judge another's files."""
    mark = hashlib.blake2b((database or "").encode(), digest_size=6).hexdigest()
    return Path(tempfile.gettempdir()) / f"rowrace-{_user()}" / mark


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as containers have them
        return str(os.getuid())


def _number(environ: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise ConfigError(f"{name} must be a number from {least:.0f} to {most:.0f}.")
    return number


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name) or str(int(default))
    if text not in ("0", "1"):
        raise ConfigError(f"{name} must be 0 or 1.")
    return text == "1"
