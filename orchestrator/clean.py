"""Cleaning: what runs left that have ended, were abandoned or wait to be resumed; a living run's is left alone."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator import schema, state
from orchestrator.broker import Broker, leftovers
from orchestrator.errors import ServiceError, UsageError
from orchestrator.holding import lives
from orchestrator.services import Origin, check, mask
from orchestrator.services import waiting as embedded

if TYPE_CHECKING:
    import psycopg

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
    #: Folders of runs that wait to be resumed, and lose what they would be resumed with.
    waiting: tuple[Path, ...] = ()
    #: Data of the embedded services of those.
    data: tuple[Path, ...] = ()


def find(database_url: str, broker_url: str, runs_dir: Path, *, folders: bool) -> Leavings:
    """Look for what ended and abandoned runs left."""
    check.database(database_url)
    check.broker(broker_url)
    with _connected(database_url) as connection:
        schemas = schema.abandoned(connection)
        queues = [run for run in leftovers(broker_url) if _free(database_url, run)]
        ended = _folders(runs_dir)
        found = [path for path in ended if _free(database_url, path.name)] if folders else []
        urls = (mask(database_url), mask(broker_url))
        waiting = [path for path in ended if _loses(path, urls) and _free(database_url, path.name)]
    return Leavings(
        schemas=tuple(schemas),
        queues=tuple(queues),
        folders=tuple(found),
        waiting=tuple(waiting),
        data=_data(waiting),
    )


def remove(leavings: Leavings, database_url: str, broker_url: str) -> None:
    """Remove what was found."""
    with _connected(database_url) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (str(_DROP_WAIT_MS),))
        for name in leavings.schemas:
            _drop(connection, name)
    for run in leavings.queues:
        broker = Broker(broker_url, run)
        broker.remove()
        broker.close()
    remove_here(leavings)


def _connected(url: str) -> psycopg.Connection[Any]:
    import psycopg  # noqa: PLC0415 - what this machine holds alone is cleaned without a driver

    return psycopg.connect(url, autocommit=True, application_name="rowrace")


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    from psycopg.errors import InsufficientPrivilege, LockNotAvailable  # noqa: PLC0415 - as in `_connected`

    try:
        schema.drop(connection, name)
    except LockNotAvailable as error:
        raise ServiceError(f"Schema {name} is locked by others: end their sessions, and clean again.") from error
    except InsufficientPrivilege as error:
        raise ServiceError(f"Schema {name} is another user's: clean with that user's URL.") from error


def find_here(runs_dir: Path, *, folders: bool) -> Leavings:
    """Look for what this machine holds alone, where there are no services that a living run could be asked after."""
    found = _folders(runs_dir)
    waiting = [path for path in found if _loses(path, ())]
    reported = [path for path in found if (path / "run.json").is_file() or path in waiting] if folders else []
    return Leavings(folders=tuple(reported), waiting=tuple(waiting), data=_data(waiting))


def remove_here(leavings: Leavings) -> None:
    """Remove what was found on this machine: embedded data, what runs wait with, and folders."""
    for folder in leavings.data:
        embedded.remove(folder)
    for folder in leavings.waiting:
        state.resolve(folder)
    for folder in leavings.folders:
        shutil.rmtree(folder)


def _loses(folder: Path, urls: tuple[str, ...]) -> bool:
    """Say whether a run waits whose services are embedded ones, or are gone, or are those that are cleaned."""
    try:
        found = state.read(folder)
    except UsageError:
        return True  # nobody can resume it
    if found is None:
        return False
    if found.base is None or found.base.folder is not None or found.base.database_url in urls:
        return True
    return not urls and found.base.database is Origin.KEPT


def _data(waiting: list[Path]) -> tuple[Path, ...]:
    """Name the folders of embedded data, each one of ours and that very run's."""
    found = []
    for path in waiting:
        with suppress(UsageError):
            noted = state.read(path)
            if noted and noted.base and noted.base.folder:
                folder = Path(noted.base.folder)
                if embedded.waits_for(folder, path / state.STATE_FILE):
                    found.append(folder)
    return tuple(found)


def _folders(runs_dir: Path) -> list[Path]:
    if not runs_dir.is_dir():
        return []
    runs = (path for path in runs_dir.iterdir() if _RUN.fullmatch(path.name) and (path / "profile.toml").is_file())
    # A run may stand on other services than those that are asked after it, or on none.
    return sorted(path for path in runs if not lives(path))


def _free(url: str, run: str) -> bool:
    """Say whether no living orchestrator holds the run; asking holds it for a moment, in a session of its own."""
    with _connected(url) as session:
        return schema.hold(session, run)
