"""Embedded services whose run was killed: their data wait for it, and servers are started on them again."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec
import psutil

from orchestrator.errors import ServiceError
from orchestrator.services import boot, postgres
from orchestrator.services import folder as folders
from orchestrator.services.binaries import BrokerBinary, PostgresBinaries, wheel_postgres, wheel_valkey
from orchestrator.services.embedded import Embedding, Pair, Up
from orchestrator.services.postgres import Postgres
from orchestrator.services.process import Birth, Server, deferred_signals, stop
from orchestrator.services.rights import Rights, choose
from orchestrator.services.servers import EmbeddedServers, Site
from orchestrator.services.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.services.embedded import Want
    from orchestrator.services.rights import Account

_SECRETS: Final = "waiting.json"

#: What the servers' processes are called; somebody's shell may stand in the folder, too.
_NAMES: Final = ("postgres", "valkey", "redis")


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers ask for; None where one was not embedded."""

    database: str | None = None
    broker: str | None = None

    def __repr__(self) -> str:
        return "Secrets()"


def promise(folder: Path, pair: Pair, state: Path) -> None:
    """Keep the folder's data, whatever becomes of us, for as long as the run's state file is there."""
    secrets = Secrets(database=_password(pair.database_url), broker=_password(pair.broker_url))
    folders.write_private(folder / _SECRETS, msgspec.json.encode(secrets))
    link = folder / folders.WAITS
    link.unlink(missing_ok=True)
    link.symlink_to(state.absolute())


def waits_for(folder: Path, state: Path) -> bool:
    """Whether the folder is one of ours whose data this very state file keeps."""
    try:
        return folders.is_ours(folder) and (folder / folders.WAITS).readlink().resolve() == state.resolve()
    except OSError:
        return False


def data_of(state: Path) -> list[Path]:
    """Find the folders whose data a state file keeps, though nobody can read in it which they are."""
    return [each for each in folders.every() if waits_for(each, state)]


def remove(folder: Path) -> None:
    """Remove data that nobody waits for any more, and the servers that may still live from them."""
    _end_survivors(folder)
    folders.remove(folder)


@contextlib.contextmanager
def revived(
    folder: Path,
    want: Want,
    log_dir: Path | None = None,
    embedding: Embedding = Embedding(),  # noqa: B008 -- a frozen value
    started: list[Server] | None = None,
) -> Iterator[tuple[Pair, EmbeddedServers]]:
    """Servers on a killed run's data, up within the block; the data go with it, but wait on where it fails."""
    secrets = _read(folder)
    started = [] if started is None else started
    servers = None
    try:
        _end_survivors(folder)  # two servers on the same data would ruin them
        folders.mark(folder, ())  # ours from here on
        up = _start(folder, want, log_dir or folder, embedding, started, secrets)
        servers = EmbeddedServers(folder, started, up.database, up.broker)
        yield up.pair, servers
    except BaseException:
        _end(started, servers)
        raise
    _end(started, servers)
    folders.remove(folder)


def _end(started: list[Server], servers: EmbeddedServers | None) -> None:
    with deferred_signals():
        try:
            if servers is not None:
                servers.end()
            stop(started)
        finally:
            if servers is not None:
                servers.close()


def _read(folder: Path) -> Secrets:
    try:
        if folders.is_ours(folder):
            return msgspec.json.decode((folder / _SECRETS).read_bytes(), type=Secrets)
    except (OSError, ValueError, msgspec.MsgspecError):
        pass
    raise ServiceError(f"The data of the run's embedded services are gone: {folder} holds none of ours any more.")


def _start(
    folder: Path, want: Want, log_dir: Path, embedding: Embedding, started: list[Server], secrets: Secrets
) -> Up:
    account = _account(folder, embedding)
    log_dir.mkdir(parents=True, exist_ok=True)
    begun = database_site = broker_site = database_url = broker_url = None
    if want.broker:
        broker = _broker(folder, log_dir, account, embedding, _needed(secrets.broker, "broker"))
        begun = boot.begin(broker.program(), started)
    if want.database:
        password = _needed(secrets.database, "database")
        program = _database(folder, log_dir, account, embedding).program()
        database_site = Site(program=program, port=boot.finish(boot.begin(program, started), started))
        database_url = postgres.url(password, database_site.port)
    if begun is not None:
        broker_site = Site(program=begun.program, port=boot.finish(begun, started), forget=broker.forget)
        broker_url = broker.url(broker_site.port)
    folders.mark(folder, started)
    return Up(Pair(database_url, broker_url), database_site, broker_site)


def _needed(password: str | None, name: str) -> str:
    if password is None:
        raise ServiceError(f"The run's {name} was not an embedded one: give its URL again.")
    return password


def _account(folder: Path, embedding: Embedding) -> Account:
    """The account that the data belong to: another one than ours took it on for good."""
    parts = [folder / name for name in ("postgres", "valkey") if (folder / name).is_dir()]
    dropped = any(part.stat().st_uid != folder.stat().st_uid for part in parts)
    return choose(Rights.DROP if dropped else embedding.rights)


def _database(folder: Path, log_dir: Path, account: Account, embedding: Embedding) -> Postgres:
    copied = next(iter((folder / "programs").glob("*/*/bin")), None)
    binaries = PostgresBinaries(copied) if copied else embedding.postgres or wheel_postgres()
    return Postgres(
        binaries=binaries,
        folder=folder / "postgres",
        log=log_dir / "postgresql.log",
        account=account,
        settings=embedding.settings,
        watched=embedding.watched,
    )


def _broker(folder: Path, log_dir: Path, account: Account, embedding: Embedding, password: str) -> Valkey:
    copied = next(iter((folder / "broker-program").glob("*")), None)
    binary = BrokerBinary(copied) if copied else embedding.broker or wheel_valkey()
    return Valkey(
        binary=binary,
        folder=folder / "valkey",
        log=log_dir / "valkey.log",
        account=account,
        password=password,
        watched=embedding.watched,
    )


def _end_survivors(folder: Path) -> None:
    """End whatever lives from the folder: what its marker names, and what works in it."""
    signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)  # either server's quick ways out
    births = {*folders.servers(folder), *_working_in(folder)}
    stop([Server(name="server", birth=birth, signals=signals) for birth in births if birth.lives()])


def _working_in(folder: Path) -> Sequence[Birth]:
    """Servers that work in the folder, by their main processes, whose parents don't."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name().startswith(_NAMES) and Path(process.cwd()).is_relative_to(folder.resolve()):
                found[process.pid] = process
    births = []
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in found and (birth := Birth.of(process.pid)) is not None:
                births.append(birth)
    return births


def _password(url: str | None) -> str | None:
    return None if url is None else urlsplit(url).password
