"""A PostgreSQL server of our own: private, on loopback, with a random password."""

from __future__ import annotations

import secrets
import signal
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import ServiceError
from orchestrator.services import folder as folders
from orchestrator.services.boot import Program, last_words
from orchestrator.services.process import Spawn, run

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.services.binaries import PostgresBinaries
    from orchestrator.services.rights import Account

USER: Final = "rowrace"

#: Line of postmaster.pid that holds the state.
_STATE_LINE: Final = 7


class PostgresSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an embedded PostgreSQL is set to; durability is never traded."""

    #: Room for the slots of several nodes, their shippers and the orchestrator; more at once are refused.
    max_connections: int = 200
    #: Wait for a lock before a deadlock is searched for, milliseconds; only the whole server can be set to it.  Short,
    #: so that a cascade of them is over in a second: PostgreSQL's own 1,000 ms make a minute of it.
    deadlock_timeout_ms: int = 20
    #: Memory for pages; a race's rows fit many times over.
    shared_buffers_mb: int = 128

    def lines(self) -> str:
        """The settings as lines of postgresql.conf."""
        values = {
            "listen_addresses": "'127.0.0.1'",
            "unix_socket_directories": "''",
            "max_connections": self.max_connections,
            "deadlock_timeout": f"{self.deadlock_timeout_ms}ms",
            "shared_buffers": f"{self.shared_buffers_mb}MB",
            "track_commit_timestamp": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "password_encryption": "'scram-sha-256'",
            "logging_collector": "off",
            # Conflicts are a race's daily bread: with their statements the log would outgrow the data.
            "log_min_error_statement": "panic",
        }
        return "".join(f"{name} = {value}\n" for name, value in values.items())


class Postgres(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that starting a server needs."""

    binaries: PostgresBinaries
    #: Holds the data; made already, private, the account's own.
    folder: Path
    log: Path
    account: Account
    settings: PostgresSettings = PostgresSettings()
    #: True keeps it up when its starter ends.
    outlive: bool = False
    #: True leaves it to somebody else to end it when its starter dies.
    watched: bool = False

    @property
    def data(self) -> Path:
        """The data directory, which initdb makes."""
        return self.folder / "data"

    def program(self) -> Program:
        """The server, to be brought up."""
        return Program(
            name="PostgreSQL",
            order=self._order,
            ready=lambda _port: self._is_ready(),
            # Fast shutdown (clients are cut off), then immediate, then none at all.
            signals=(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
            log=self.log,
        )

    def order(self, name: str, *arguments: str) -> Spawn:
        """How to start one of the installation's programs."""
        return Spawn(
            argv=(str(self.binaries.bin / name), *arguments),
            log=self.log,
            account=self.account,
            death_signal=None if self.outlive else signal.SIGINT,
            watched=self.watched,
        )

    @property
    def _note(self) -> Path:
        """Where the server writes down which process it is, and how far it has come."""
        return self.data / "postmaster.pid"

    def _order(self, port: int) -> Spawn:
        """The server of this data, of which none lives now: a killed one's note would pass for the next one's."""
        self._note.unlink(missing_ok=True)
        return self.order("postgres", "-D", str(self.data), "-p", str(port))

    def _is_ready(self) -> bool:
        try:
            lines = self._note.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _STATE_LINE and lines[_STATE_LINE].strip() == "ready"


def initialise(postgres: Postgres) -> str:
    """Make the data directory; the password of its one user."""
    password = secrets.token_urlsafe(24)
    secret = postgres.folder / "password"
    folders.write_private(secret, f"{password}\n".encode(), postgres.account)
    try:
        _initdb(postgres, secret)
    finally:
        secret.unlink(missing_ok=True)
    with (postgres.data / "postgresql.conf").open("a") as conf:
        conf.write(f"\n{postgres.settings.lines()}")
    return password


def url(password: str, port: int) -> str:
    """Where the server answers."""
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"


def _initdb(postgres: Postgres, secret: Path) -> None:
    options = (
        f"--pgdata={postgres.data}",
        f"--username={USER}",
        f"--pwfile={secret}",
        "--auth-host=scram-sha-256",
        "--auth-local=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
        # A data folder that ends with the run needn't outlive a power cut.
        *(() if postgres.outlive else ("--no-sync",)),
    )
    logged = postgres.log.stat().st_size if postgres.log.exists() else 0
    if run(postgres.order("initdb", *options), "PostgreSQL's initdb") != 0:
        raise ServiceError(f"PostgreSQL's initdb failed: {last_words(postgres.log, logged)} (in {postgres.log})")
