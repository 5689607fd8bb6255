"""The worker's settings, from the environment; the only module of `worker` that reads it."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from worker.contract import UNACKED

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def read(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the environment; raises ConfigError."""
    database = environ.get("ROWRACE_DATABASE_URL") or None
    given = environ.get("ROWRACE_JOURNAL_DIR")
    return Config(
        database_url=database,
        broker_url=environ.get("ROWRACE_BROKER_URL") or None,
        journal_dir=Path(given) if given else _own_folder(database),
        node=environ.get("ROWRACE_NODE") or None,
        visibility_timeout=_number(environ, "ROWRACE_VISIBILITY_TIMEOUT", 60.0),
        prefetch=int(_number(environ, "ROWRACE_PREFETCH", 1)),
        unacked=environ.get("ROWRACE_UNACKED") or UNACKED,
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


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= 86_400:  # noqa: PLR2004 - a day
        raise ConfigError(f"{name} must be a number from 1 to 86400.")
    return number
