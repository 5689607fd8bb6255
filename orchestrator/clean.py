"""Cleaning: schemas, queues and folders of runs that have ended or were abandoned; a living run's are left alone."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg

from orchestrator import schema
from orchestrator.broker import Broker, leftovers
from orchestrator.errors import ServiceError
from orchestrator.holding import lives
from orchestrator.services import check

if TYPE_CHECKING:
    from pathlib import Path


#: A run's folder has the name of its run, and its profile inside.
_RUN: Final = re.compile(r"[0-9]{12}[0-9a-f]{6}")

#: How long others' locks may keep a schema from being dropped, milliseconds.
_DROP_WAIT_MS: Final = 10_000


class Leavings(msgspec.Struct, frozen=True, kw_only=True):
    """What runs left behind."""

    schemas: tuple[str, ...] = ()
    #: Runs that have a queue on the broker, and no living orchestrator.
    queues: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


def find(database_url: str, broker_url: str, runs_dir: Path, *, folders: bool) -> Leavings:
    """Look for what ended and abandoned runs left."""
    check.database(database_url)
    check.broker(broker_url)
    with psycopg.connect(database_url, autocommit=True, application_name="rowrace") as connection:
        schemas = schema.abandoned(connection)
        queues = [run for run in leftovers(broker_url) if _free(database_url, run)]
        found = [path for path in _folders(runs_dir) if _free(database_url, path.name)] if folders else []
    return Leavings(schemas=tuple(schemas), queues=tuple(queues), folders=tuple(found))


def remove(leavings: Leavings, database_url: str, broker_url: str) -> None:
    """Remove what was found."""
    with psycopg.connect(database_url, autocommit=True, application_name="rowrace") as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (str(_DROP_WAIT_MS),))
        for name in leavings.schemas:
            _drop(connection, name)
    for run in leavings.queues:
        broker = Broker(broker_url, run)
        broker.remove()
        broker.close()
    remove_folders(leavings)


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    try:
        schema.drop(connection, name)
    except psycopg.errors.LockNotAvailable as error:
        raise ServiceError(f"Schema {name} is locked by others: end their sessions, and clean again.") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServiceError(f"Schema {name} is another user's: clean with that user's URL.") from error


def folders_only(runs_dir: Path) -> Leavings:
    """List runs' folders where there are no services that a living run could be asked after."""
    return Leavings(folders=tuple(path for path in _folders(runs_dir) if (path / "run.json").is_file()))


def remove_folders(leavings: Leavings) -> None:
    """Remove the folders that were found."""
    for folder in leavings.folders:
        shutil.rmtree(folder)


def _folders(runs_dir: Path) -> list[Path]:
    if not runs_dir.is_dir():
        return []
    runs = (path for path in runs_dir.iterdir() if _RUN.fullmatch(path.name) and (path / "profile.toml").is_file())
    # A run may stand on other services than those that are asked after it, or on none.
    return sorted(path for path in runs if not lives(path))


def _free(url: str, run: str) -> bool:
    """Say whether no living orchestrator holds the run; asking holds it for a moment, in a session of its own."""
    with psycopg.connect(url, autocommit=True) as session:
        return schema.hold(session, run)
