"""The services of a run: given by URL, kept up by an earlier command, or embedded for the run's time."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.services import check, kept
from orchestrator.services.embedded import Embedding, Pair, Want, embedded
from orchestrator.services.urls import mask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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

    @property
    def rung(self) -> str:
        """Where a run stands, in words: "embedded PostgreSQL 18.1, embedded Valkey 9.1.2"."""
        origins = (self.database, self.broker)
        parts = zip(origins, self.versions.items(), strict=True)
        return ", ".join(f"{origin} {_NAMES.get(name, name)} {version}" for origin, (name, version) in parts)

    def __repr__(self) -> str:
        return f"Services({mask(self.database_url)}, {mask(self.broker_url)}, {self.rung!r})"


@contextlib.contextmanager
def open_services(
    database_url: str | None = None,
    broker_url: str | None = None,
    log_dir: Path | None = None,
    *,
    state_dir: Path | None = None,
    embedding: Embedding = Embedding(),  # noqa: B008 -- a frozen value
) -> Iterator[Services]:
    """Services that answer, for as long as the block runs.

    What is given is checked and used.  What isn't comes from the kept services that `state_dir` tells of, or else is
    embedded: up within the block, gone after it, its logs in `log_dir`.
    """
    if database_url is not None:
        check.database(database_url)  # before anything is started
    if broker_url is not None:
        check.broker(broker_url)
    want = Want(database=database_url is None, broker=broker_url is None)
    with _missing(want, log_dir, state_dir, embedding) as (pair, origin):
        urls = Pair(database_url or pair.database_url, broker_url or pair.broker_url)
        yield _services(urls, want, origin)


@contextlib.contextmanager
def _missing(
    want: Want, log_dir: Path | None, state_dir: Path | None, embedding: Embedding
) -> Iterator[tuple[Pair, Origin]]:
    if not (want.database or want.broker):
        yield Pair(None, None), Origin.GIVEN
        return
    found = None if state_dir is None else kept.status(state_dir)
    if found is not None:
        yield Pair(found.database_url, found.broker_url), Origin.KEPT
        return
    with embedded(want, log_dir, embedding) as pair:
        yield pair, Origin.EMBEDDED


def _services(urls: Pair, want: Want, origin: Origin) -> Services:
    database_url, broker_url = urls.database_url or "", urls.broker_url or ""
    broker, version = check.broker(broker_url)
    return Services(
        database_url=database_url,
        broker_url=broker_url,
        database=origin if want.database else Origin.GIVEN,
        broker=origin if want.broker else Origin.GIVEN,
        versions={"postgresql": check.database(database_url), broker: version},
    )
