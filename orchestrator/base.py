"""Where a run's services are, noted so that another process finds the same data again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.config import BROKER_URL, DATABASE_URL
from orchestrator.errors import ServiceError, UsageError
from orchestrator.services import Origin, kept, mask, open_services, waiting
from orchestrator.services.embedded import Pair

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orchestrator.config import Config
    from orchestrator.services import Services
    from orchestrator.services.process import Server


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's services are; passwords stay with the data, or in the environment."""

    database: Origin
    broker: Origin
    #: URLs without their passwords.
    database_url: str
    broker_url: str
    #: Holds the data of embedded services.
    folder: str | None = None


def base(services: Services, state: Path) -> Base:
    """Say where the services are; embedded data outlive us from here on, for as long as the state file is there."""
    folder = None if services.servers is None else services.servers.folder
    if folder is not None:
        pair = Pair(
            services.database_url if services.database is Origin.EMBEDDED else None,
            services.broker_url if services.broker is Origin.EMBEDDED else None,
        )
        waiting.promise(folder, pair, state)
    return Base(
        database=services.database,
        broker=services.broker,
        database_url=mask(services.database_url),
        broker_url=mask(services.broker_url),
        folder=None if folder is None else str(folder),
    )


def refuse_urls(found: Base, run: str, database: str | None, broker: str | None) -> None:
    """Refuse URLs that were given on purpose for services which the run has already; raises UsageError."""
    given = (("database", found.database, database), ("broker", found.broker, broker))
    for name, origin, url in given:
        if url is None or origin is Origin.GIVEN or url == origin == Origin.EMBEDDED:
            continue
        whose = "of its own, with its data" if origin is Origin.EMBEDDED else "among the kept services"
        raise UsageError(f"Run {run} has a {name} {whose}, and goes on with that: leave --{name}-url away.")


def reopened(
    found: Base, config: Config, log_dir: Path, watched: list[Server] | None = None
) -> AbstractContextManager[Services]:
    """Open the very services that a run stood on; a sentence says which of them is missing."""
    if Origin.KEPT in (found.database, found.broker):
        _check_kept(found, config)
    return open_services(
        _given(found.database, found.database_url, config.database_url, DATABASE_URL),
        _given(found.broker, found.broker_url, config.broker_url, BROKER_URL),
        log_dir,
        state_dir=config.state_dir,
        data=None if found.folder is None else Path(found.folder),
        watched=watched,
    )


def _given(origin: Origin, noted: str, url: str | None, name: str) -> str | None:
    """The URL to open, where it was given before; another one leads to other data."""
    if origin is not Origin.GIVEN:
        return None
    if url is None or mask(url) != noted:
        raise UsageError(f"The run stands on {noted}: give that URL again ({name}).")
    return url


def _check_kept(found: Base, config: Config) -> None:
    up = kept.status(config.state_dir)
    if up is not None:
        noted = ((found.database, found.database_url, up.database_url), (found.broker, found.broker_url, up.broker_url))
        if all(origin is not Origin.KEPT or url == mask(now) for origin, url, now in noted):
            return
    raise ServiceError(
        "The kept services that the run stood on are gone, and its data with them: `rowrace clean --forget RUN` lets"
        " the run go."
    )
