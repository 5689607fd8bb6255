"""What the environment says: the only module of the orchestrator that reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import UsageError
from orchestrator.services.urls import broker_url, database_url, mask

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Config", "broker_url", "database_url", "load", "mask"]

DATABASE_URL: Final = "ROWRACE_DATABASE_URL"
BROKER_URL: Final = "ROWRACE_BROKER_URL"
RUNS_DIR: Final = "ROWRACE_RUNS_DIR"
FLOWER_AUTH: Final = "ROWRACE_FLOWER_AUTH"
WIRES: Final = "ROWRACE_WIRES"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The environment's say, checked."""

    #: None: kept services, or else embedded ones.
    database_url: str | None = None
    broker_url: str | None = None
    #: An embedded database was asked for by name, which eager mode would not start by itself.
    embedded_database: bool = False
    #: Where runs' folders are made.
    runs_dir: Path = Path("rowrace-runs")
    #: Where it is written down which services are kept up.
    state_dir: Path
    #: "user:password" that Flower asks for; None: a random password at each start.
    flower_auth: str | None = None
    #: Socket by which the owner of the hosts that a run is on (`rowrace hosts`) cuts them; None: on no such host.
    wires: Path | None = None

    @property
    def database_given(self) -> bool:
        """Whether a database was asked for, so that eager mode races on it."""
        return self.database_url is not None or self.embedded_database

    def __repr__(self) -> str:
        urls = (url and mask(url) for url in (self.database_url, self.broker_url))
        return f"Config({', '.join(map(str, urls))}, {self.runs_dir}, {self.state_dir})"


def load(environ: Mapping[str, str] | None = None) -> Config:
    """The configuration; an empty variable counts as none, a wrong one is a `UsageError`."""
    variables = os.environ if environ is None else environ
    database, broker = variables.get(DATABASE_URL), variables.get(BROKER_URL)
    return Config(
        database_url=database_url(database, DATABASE_URL) if database else None,
        broker_url=broker_url(broker, BROKER_URL) if broker else None,
        runs_dir=Path(variables.get(RUNS_DIR) or "rowrace-runs"),
        state_dir=_state_dir(variables),
        flower_auth=_flower_auth(variables.get(FLOWER_AUTH)),
        wires=Path(variables[WIRES]) if variables.get(WIRES) else None,
    )


def _state_dir(variables: Mapping[str, str]) -> Path:
    """XDG Base Directory Specification: a relative path there is to be ignored."""
    base = variables.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 -- an empty text is no path yet
        return Path(base) / "rowrace"
    home = variables.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "state" / "rowrace"


def _flower_auth(text: str | None) -> str | None:
    if not text:
        return None
    user, _, password = text.partition(":")
    if not (user and password):
        raise UsageError(f"{FLOWER_AUTH} must be user:password, neither of them empty")
    if "," in text or not text.isascii():
        # Flower splits at commas, and would then let the part behind one in as a password of its own.
        raise UsageError(f"{FLOWER_AUTH} must be ASCII without a comma, for Flower can't take others")
    return text
