"""The services of a run: given by URL, kept up by an earlier command, or embedded for the run's time."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.services import check, kept
from orchestrator.services.embedded import Embedding, Pair, Want, embedded
from orchestrator.services.urls import mask
from orchestrator.services.waiting import revived

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from orchestrator.services.process import Server
    from orchestrator.services.servers import EmbeddedServers

_NAMES: Final = {"postgresql": "PostgreSQL", "valkey": "Valkey", "redis": "Redis"}


class Origin(StrEnum):
    """Where a service comes from."""

    GIVEN = "given"
    KEPT = "kept"
    EMBEDDED = "embedded"


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """A database and a broker that answer."""

    #: With password: for drivers, never for messages (`mask` is for those).
    database_url: str
    broker_url: str
    database: Origin
    broker: Origin
    #: "postgresql" first, then "valkey" or "redis", each with its version.
    versions: dict[str, str]
    #: Stops, restarts and pauses what is embedded; None where nothing is: what is given or kept is not ours to stop.
    servers: EmbeddedServers | None = None

    @property
    def rung(self) -> str:
        """Where a run stands, in words: "embedded PostgreSQL 18.1, embedded Valkey 9.1.2"."""
        origins = (self.database, self.broker)
        parts = zip(origins, self.versions.items(), strict=True)
        return ", ".join(f"{origin} {_NAMES.get(name, name)} {version}" for origin, (name, version) in parts)

    def __repr__(self) -> str:
        return f"Services({mask(self.database_url)}, {mask(self.broker_url)}, {self.rung!r})"


def origins(database_url: str | None, broker_url: str | None, state_dir: Path | None) -> tuple[Origin, Origin]:
    """Say where database and broker would come from now; nothing is opened."""
    kept_up = state_dir is not None and None in (database_url, broker_url) and kept.status(state_dir) is not None
    other = Origin.KEPT if kept_up else Origin.EMBEDDED
    return other if database_url is None else Origin.GIVEN, other if broker_url is None else Origin.GIVEN


@contextlib.contextmanager
def open_services(
    database_url: str | None = None,
    broker_url: str | None = None,
    log_dir: Path | None = None,
    *,
    state_dir: Path | None = None,
    embedding: Embedding = Embedding(),  # noqa: B008 -- a frozen value
    data: Path | None = None,
    watched: list[Server] | None = None,
) -> Iterator[Services]:
    """Services that answer, for as long as the block runs.

    What is given is checked and used.  What isn't comes from the kept services that `state_dir` tells of, or else is
    embedded: up within the block, gone after it, its logs in `log_dir`.  `data` is the folder of a killed run's
    embedded services, which are then started on it again.  Who gives `watched`, in which embedded servers are entered
    as soon as they live, ends them should we die.
    """
    if database_url is not None:
        check.database(database_url)  # before anything is started
    if broker_url is not None:
        check.broker(broker_url)
    want = Want(database=database_url is None, broker=broker_url is None)
    embedding = msgspec.structs.replace(embedding, watched=watched is not None)
    own = _Own(log_dir=log_dir, embedding=embedding, data=data, started=watched)
    with _missing(want, state_dir, own) as (pair, origin, servers):
        urls = Pair(database_url or pair.database_url, broker_url or pair.broker_url)
        yield _services(urls, want, origin, servers)


class _Own(msgspec.Struct, frozen=True, kw_only=True):
    """How embedded services are brought up."""

    log_dir: Path | None
    embedding: Embedding
    data: Path | None
    started: list[Server] | None

    def up(self, want: Want) -> AbstractContextManager[tuple[Pair, EmbeddedServers]]:
        """The wanted ones, on new data or on a killed run's."""
        if self.data is None:
            return embedded(want, self.log_dir, self.embedding, self.started)
        return revived(self.data, want, self.log_dir, self.embedding, self.started)


@contextlib.contextmanager
def _missing(want: Want, state_dir: Path | None, own: _Own) -> Iterator[tuple[Pair, Origin, EmbeddedServers | None]]:
    if not (want.database or want.broker):
        yield Pair(None, None), Origin.GIVEN, None
        return
    found = None if state_dir is None or own.data is not None else kept.status(state_dir)
    if found is not None:
        yield Pair(found.database_url, found.broker_url), Origin.KEPT, None
        return
    with own.up(want) as (pair, servers):
        yield pair, Origin.EMBEDDED, servers


def _services(urls: Pair, want: Want, origin: Origin, servers: EmbeddedServers | None) -> Services:
    database_url, broker_url = urls.database_url or "", urls.broker_url or ""
    broker, version = check.broker(broker_url)
    return Services(
        database_url=database_url,
        broker_url=broker_url,
        database=origin if want.database else Origin.GIVEN,
        broker=origin if want.broker else Origin.GIVEN,
        versions={"postgresql": check.database(database_url), broker: version},
        servers=servers,
    )
