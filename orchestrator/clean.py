"""Cleaning: what runs left that have ended, were abandoned or wait to be resumed; a living run's is left alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator import resumable, schema, state
from orchestrator.broker import Broker, leftovers
from orchestrator.errors import ServiceError, UsageError
from orchestrator.resumable import gone, waits
from orchestrator.services import Origin, check, mask
from orchestrator.services import waiting as embedded

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from orchestrator.resumable import Waiting

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
    #: Runs that wait on services which are not cleaned now; they are left, and told of.
    elsewhere: tuple[Waiting, ...] = ()


def find(database_url: str, broker_url: str, runs_dir: Path, *, folders: bool) -> Leavings:
    """Look for what ended and abandoned runs left."""
    check.database(database_url)
    check.broker(broker_url)
    with _connected(database_url) as connection:
        schemas = schema.abandoned(connection)
        queues = [run for run in leftovers(broker_url) if _free(database_url, run)]
        free = [path for path in resumable.ended(runs_dir) if _free(database_url, path.name)]
        urls = (mask(database_url), mask(broker_url))
        waiting, elsewhere = _parted(free, urls)
    return Leavings(
        schemas=tuple(schemas),
        queues=tuple(queues),
        folders=_without(free, elsewhere) if folders else (),
        waiting=tuple(waiting),
        data=_data(waiting),
        elsewhere=elsewhere,
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
    found = resumable.ended(runs_dir)
    waiting, elsewhere = _parted(found, ())
    reported = [path for path in found if (path / "run.json").is_file() or path in waiting] if folders else []
    return Leavings(
        folders=_without(reported, elsewhere), waiting=tuple(waiting), data=_data(waiting), elsewhere=elsewhere
    )


def find_named(runs: Iterable[str], runs_dir: Path, *, folders: bool) -> Leavings:
    """Look for what these runs wait with on this machine, wherever their services are; raises UsageError."""
    waiting = []
    for run in dict.fromkeys(runs):
        folder = next((path for path in resumable.ended(runs_dir) if path.name == run), None)
        if folder is None or waits(folder) is None:
            raise UsageError(
                f"No run {run} waits in {runs_dir}: `rowrace resume` without a run lists those that do (--runs-dir)."
            )
        waiting.append(folder)
    return Leavings(waiting=tuple(waiting), data=_data(waiting), folders=tuple(waiting) if folders else ())


def remove_here(leavings: Leavings) -> None:
    """Remove what was found on this machine: embedded data, what runs wait with, and folders."""
    for folder in leavings.data:
        embedded.remove(folder)
    for folder in leavings.waiting:
        state.resolve(folder)
    for folder in leavings.folders:
        shutil.rmtree(folder)


def _parted(folders: list[Path], urls: tuple[str, ...]) -> tuple[list[Path], tuple[Waiting, ...]]:
    """Part the runs that wait: those that lose what they would be resumed with, and those on services elsewhere."""
    found = [each for each in map(waits, folders) if each is not None]
    lose = [each.folder for each in found if _loses(each, urls)]
    return lose, tuple(each for each in found if each.folder not in lose)


def _without(folders: list[Path], elsewhere: tuple[Waiting, ...]) -> tuple[Path, ...]:
    """Give the folders but for those of runs that are left waiting."""
    left = {each.folder for each in elsewhere}
    return tuple(path for path in folders if path not in left)


def _loses(found: Waiting, urls: tuple[str, ...]) -> bool:
    """Say whether a run waits whose services are embedded ones, or are gone, or are those that are cleaned."""
    base = found.base  # none: it had no services yet, or nobody can read of them
    if base is None or gone(found) or base.database_url in urls:
        return True
    if base.folder is None:
        return not urls and base.database is Origin.KEPT
    services = ((base.database, base.database_url), (base.broker, base.broker_url))
    return all(origin is Origin.EMBEDDED or url in urls for origin, url in services)


def _data(waiting: list[Path]) -> tuple[Path, ...]:
    """Name the folders of embedded data, each one of ours and that very run's; an unreadable state has them sought."""
    found: list[Path] = []
    for path in waiting:
        noted, file = waits(path), path / state.STATE_FILE
        if noted is None or noted.state is None:
            found += embedded.data_of(file)
        elif noted.base is not None and noted.base.folder is not None:
            folder = Path(noted.base.folder)
            found += [folder] if embedded.waits_for(folder, file) else []
    return tuple(found)


def _free(url: str, run: str) -> bool:
    """Say whether no living orchestrator holds the run; asking holds it for a moment, in a session of its own."""
    with _connected(url) as session:
        return schema.hold(session, run)
