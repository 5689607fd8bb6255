"""The distributed rung: real services, real workers, one group after another on one fleet."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec
import psycopg

from orchestrator import ladder, misplaced, schema, striking
from orchestrator.base import base, reopened
from orchestrator.broker import GIVEN, Broker
from orchestrator.errors import ServiceError, UsageError
from orchestrator.fleet import Place, fleet
from orchestrator.group_race import Field, race_group
from orchestrator.patience import UNDER_FAULTS, Line
from orchestrator.profile import Mode, Workers
from orchestrator.resume_found import Left
from orchestrator.services import Origin, open_services
from orchestrator.watchdog import Kind, Watched, watchdog
from worker.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile
    from orchestrator.race import Watch
    from orchestrator.services import Services
    from orchestrator.stage import Book, Stage
    from orchestrator.state import Standing
    from orchestrator.watchdog import Watchdog

#: What to do about a broker that does not answer, by where it comes from; {logs} is the run's own folder of them.
_ADVICE: Final[Mapping[Origin, str]] = {
    Origin.GIVEN: GIVEN,
    Origin.KEPT: "`rowrace services status` says whether it still runs.",
    Origin.EMBEDDED: "it is the run's own, and its log is {logs}/valkey.log.",
}

#: How long a killed process's session may take to be gone from the database, seconds.
_GONE: Final = 5.0


def race(stage: Stage, book: Book, standing: Standing, watch: Watch, interrupt: Interrupt) -> None:
    """Open services, spawn the fleet, race and judge what groups are left; everything that was started ends with it.

    Should this process be killed, a watchdog ends all that, and the state says how far the run was.
    """
    with ExitStack() as stack:
        with interrupt.raising():
            watching = stack.enter_context(watchdog(stage.logs / "watchdog.log"))
            services = stack.enter_context(_services(stage, standing, watching))
            standing.step(msgspec.structs.replace(standing.now, base=base(services, standing.path)))
            book.rung = stage.rung(services)
            field = _Opening(stage, book, standing, services, watching, stack).field(watch, interrupt)
        book.notes += ladder.limits(Mode.DISTRIBUTED, local=_local(stage, services))
        if not stage.profile.synchronous_commit:
            book.notes.append("Commits were not durable (synchronous_commit = off), as the profile asks.")
        book.notes += misplaced.notes(stage.profile, stage.groups)
        for group in stage.groups:
            if group.number in standing.now.done:
                continue
            if interrupt.asked.is_set():
                break
            race_group(field, group)
            watch.end()
            book.judge(group)


def _services(stage: Stage, standing: Standing, watching: Watchdog) -> AbstractContextManager[Services]:
    """Open services, or those that the run stood on before."""
    config, found, watched = stage.config, standing.now.base, Watched(watching)
    if found is not None:
        return reopened(found, config, stage.logs, watched)
    return open_services(
        config.database_url, config.broker_url, stage.logs, state_dir=config.state_dir, watched=watched
    )


def _local(stage: Stage, services: Services) -> bool:
    return services.database is not Origin.GIVEN and stage.profile.workers is Workers.SPAWN


class _Opening:
    """Makes the field ready: connections, what a killed process has left, and the fleet last."""

    def __init__(
        self,
        stage: Stage,
        book: Book,
        standing: Standing,
        services: Services,
        watching: Watchdog,
        stack: ExitStack,
    ) -> None:
        self._stage, self._book, self._standing = stage, book, standing
        self._services, self._watching, self._stack = services, watching, stack

    def field(self, watch: Watch, interrupt: Interrupt) -> Field:
        """Enter everything that a race needs."""
        stage, enter, services = self._stage, self._stack.enter_context, self._services
        troubles = enter(striking.troubles(stage.profile, services, stage.config.wires))
        for birth in troubles.births():
            self._watching.add(birth, Kind.PROXY)
        database, broker_url = (
            troubles.url("orchestrator", service, url)
            for service, url in (("db", services.database_url), ("broker", services.broker_url))
        )
        line = enter(_line(stage, database))
        advice = _ADVICE[services.broker].format(logs=stage.logs)
        broker = enter(_broker(Broker(broker_url, stage.run, advice=advice), self._standing))
        found = None
        if self._standing.keeps:
            _hold(line, stage.run)
            left = Left(stage, self._standing, line.wait(), broker, services.database_url)
            found = left.group_under_way(interrupt)
        self._stack.push(self._clear)
        return Field(
            stage=stage,
            book=self._book,
            standing=self._standing,
            services=services,
            line=line,
            troubles=troubles,
            broker=broker,
            fleet=enter(fleet(stage.profile, broker, self._place(troubles), interrupt.hurry)),
            watch=watch,
            interrupt=interrupt,
            found=found,
        )

    def _clear(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove the journals, unless the run is to be resumed once more."""
        if kind is None or not self._standing.keeps:
            shutil.rmtree(self._stage.journals, ignore_errors=True)

    def _place(self, troubles: striking.Troubles) -> Place:
        stage, services = self._stage, self._services
        urls = {"db": _workers_url(stage.profile, services.database_url), "broker": services.broker_url}
        return Place(
            run=stage.run,
            database_url=urls["db"],
            broker_url=urls["broker"],
            logs=stage.logs,
            journals=stage.journals,
            extra=troubles.environments(stage.profile, urls),
            settings=troubles.celery_settings(stage.profile),
            supervised=bool(stage.profile.faults),
            watchdog=self._watching,
        )


@contextmanager
def _line(stage: Stage, url: str) -> Iterator[Line]:
    """Connect to the database, and mark the run as living for as long as the connection lasts."""

    def held() -> psycopg.Connection[Any]:
        connection = connect(url, "rowrace", "")
        schema.hold(connection, stage.run)  # `rowrace clean` leaves a living run alone
        return connection

    line = Line(held, UNDER_FAULTS if stage.profile.faults else 0.0)
    with _told():
        line.get()
        try:
            yield line
        finally:
            line.close()


def _hold(line: Line, run: str) -> None:
    """Make sure that nobody else holds the run; a killed process's session may take a moment to be gone."""
    deadline = time.monotonic() + _GONE
    while not schema.hold(line.get(), run):
        if time.monotonic() > deadline:
            raise UsageError(f"Run {run} still runs, or is being resumed, elsewhere: the database knows its session.")
        time.sleep(0.05)


def _workers_url(profile: Profile, url: str) -> str:
    """Ask for commits that are not durable where the profile does: each session of a worker says so when it begins."""
    if profile.synchronous_commit:
        return url
    given = psycopg.conninfo.conninfo_to_dict(url).get("options") or ""
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}options={quote(f'{given} -c synchronous_commit=off'.strip())}"


@contextmanager
def _told() -> Iterator[None]:
    """Say in one sentence that the database breaks, or refuses what a run needs."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServiceError(
            "The database's user may not do what a run needs: grant it CREATE on the database, or correct "
            "ROWRACE_DATABASE_URL."
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise ServiceError(f"The database stopped answering in mid-run ({type(error).__name__}).") from error


@contextmanager
def _broker(broker: Broker, standing: Standing) -> Iterator[Broker]:
    """Connect to the broker; nothing of the run stays on it, unless the run is to be resumed once more."""
    broker.check()  # connected from here on, which is how `rowrace clean` knows a living run
    stays = standing.keeps
    try:
        yield broker
        stays = False
    finally:
        try:
            if not stays:
                broker.remove()
        finally:
            broker.close()
