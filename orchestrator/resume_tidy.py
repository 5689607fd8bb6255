"""Tidying up after a killed run whose groups are all done: nothing of it stays with its services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import schema
from orchestrator.base import reopened
from orchestrator.broker import Broker
from orchestrator.errors import ServiceError, UsageError
from orchestrator.group_race import drop, schema_of
from orchestrator.services import Origin, waiting
from orchestrator.watchdog import Watched, watchdog
from worker.postgres import connect

if TYPE_CHECKING:
    from orchestrator.services import Services
    from orchestrator.stage import Book, Stage
    from orchestrator.state import Standing


def tidy(stage: Stage, book: Book, standing: Standing) -> None:
    """Remove embedded data, or schemas and queue from services that stay; where that fails, say who can do it."""
    found = standing.now.base
    if found is None:
        return
    if found.database is found.broker is Origin.EMBEDDED:
        folder = Path(found.folder or "")
        if waiting.waits_for(folder, standing.path):
            waiting.remove(folder)
    else:
        try:
            with (
                watchdog(stage.logs / "watchdog.log") as watching,
                reopened(found, stage.config, stage.logs, Watched(watching)) as services,
            ):
                _clear(stage, book, services)
        except (ServiceError, UsageError) as error:
            book.notes.append(f"What it has left with its services is still there (`rowrace clean`): {error}")


def _clear(stage: Stage, book: Book, services: Services) -> None:
    broker = Broker(services.broker_url, stage.run)
    try:
        broker.remove()
    finally:
        broker.close()
    with connect(services.database_url, "rowrace", "") as connection:
        for name in schema.schemas(connection):
            if name in {schema_of(stage.run, group.number) for group in stage.groups} and not stage.keep:
                drop(connection, name, book)
