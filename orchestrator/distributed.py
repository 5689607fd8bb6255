"""The distributed rung: real services, real workers, one group after another on one fleet."""

from __future__ import annotations

import platform
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import celery
import msgspec
import psycopg

from orchestrator import gather, ladder, schema, settle, striking
from orchestrator.broker import Broker
from orchestrator.errors import ServiceError
from orchestrator.fleet import Place, fleet
from orchestrator.history.files import Writer
from orchestrator.history.model import Meta
from orchestrator.patience import UNDER_FAULTS, Line
from orchestrator.plan import digest, plan
from orchestrator.producer import Producer, Requests
from orchestrator.profile import Mode, Workers
from orchestrator.progress import Progress
from orchestrator.publish import Publisher, again, messages
from orchestrator.race import End, Limits, Race
from orchestrator.services import Origin, open_services
from worker.contract import Settings
from worker.mistakes import Mistake
from worker.postgres import connect
from worker.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from orchestrator.fleet import Crew
    from orchestrator.groups import Group
    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile
    from orchestrator.publish import Message
    from orchestrator.race import Ending, Watch
    from orchestrator.services import Services
    from orchestrator.stage import Book, Stage


#: How long others' locks may keep a schema from being dropped, milliseconds.
_DROP_WAIT_MS: Final = 10_000


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What all groups of a run race on."""

    stage: Stage
    book: Book
    services: Services
    line: Line
    troubles: striking.Troubles
    broker: Broker
    fleet: Crew
    watch: Watch
    interrupt: Interrupt


def race(stage: Stage, book: Book, watch: Watch, interrupt: Interrupt) -> None:
    """Open services, spawn the fleet, race and judge the groups; everything that was started ends with it."""
    with ExitStack() as stack:
        with interrupt.raising():
            services = stack.enter_context(_services(stage))
            book.rung = services.rung
            field = _field(stage, book, services, stack, watch, interrupt)
        book.notes += ladder.limits(Mode.DISTRIBUTED, local=_local(stage, services))
        if not stage.profile.synchronous_commit:
            book.notes.append("Commits were not durable (synchronous_commit = off), as the profile asks.")
        for group in stage.groups:
            if interrupt.asked.is_set():
                break
            _group(field, group)
            watch.end()
            book.judge(group)


def _services(stage: Stage) -> AbstractContextManager[Services]:
    config = stage.config
    return open_services(config.database_url, config.broker_url, stage.logs, state_dir=config.state_dir)


def _local(stage: Stage, services: Services) -> bool:
    return services.database is not Origin.GIVEN and stage.profile.workers is Workers.SPAWN


def _field(stage: Stage, book: Book, services: Services, stack: ExitStack, watch: Watch, interrupt: Interrupt) -> Field:
    troubles = stack.enter_context(striking.troubles(stage.profile, services, stage.config.wires))
    urls = {"db": _workers_url(stage.profile, services.database_url), "broker": services.broker_url}
    line = stack.enter_context(_line(stage, troubles.url("orchestrator", "db", services.database_url)))
    broker = stack.enter_context(_broker(troubles.url("orchestrator", "broker", services.broker_url), stage.run))
    place = Place(
        run=stage.run,
        database_url=urls["db"],
        broker_url=urls["broker"],
        logs=stage.logs,
        journals=stage.folder / "journals",
        extra=troubles.environments(stage.profile, urls),
        settings=troubles.celery_settings(stage.profile),
        supervised=bool(stage.profile.faults),
    )
    stack.callback(shutil.rmtree, place.journals, ignore_errors=True)
    nodes = stack.enter_context(fleet(stage.profile, broker, place, interrupt.hurry))
    return Field(
        stage=stage,
        book=book,
        services=services,
        line=line,
        troubles=troubles,
        broker=broker,
        fleet=nodes,
        watch=watch,
        interrupt=interrupt,
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
def _broker(url: str, run: str) -> Iterator[Broker]:
    broker = Broker(url, run)
    broker.check()  # connected from here on, which is how `rowrace clean` knows a living run
    try:
        yield broker
    finally:
        try:
            broker.remove()
        finally:
            broker.close()


def _group(field: Field, group: Group) -> None:
    """Race one group: its schema, its operations, its history."""
    stage, profile = field.stage, field.stage.profile
    connection, name = field.line.wait(), f"rowrace_{stage.run}_{group.number}"
    schema.create(
        connection, name, group.scenario, profile.rows, idempotency=profile.idempotency, recording=profile.recording
    )
    try:
        gather.snapshot(connection, name, group.scenario)
        with Writer(stage.folder / group.name) as writer:
            _race(field, group, name, writer)
    finally:
        if not stage.keep:
            _drop(field.line.wait(), name, field.book)


def _drop(connection: psycopg.Connection[Any], name: str, book: Book) -> None:
    """Drop the group's schema, unless others keep it locked."""
    try:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (str(_DROP_WAIT_MS),))
        schema.drop(connection, name)
    except psycopg.errors.LockNotAvailable:
        book.notes.append(f"Schema {name} is locked by others and was left: `rowrace clean` removes it.")
    finally:
        connection.execute("RESET lock_timeout")


def _race(field: Field, group: Group, name: str, writer: Writer) -> None:
    profile = field.stage.profile
    field.watch.begin(group, profile.operations)
    began = _now(field.line.get())
    progress = Progress(profile.operations, lambda table, data: gather.columns(writer, table, data))
    publisher = _publisher(field, group, name, progress)
    if not profile.recording:
        publisher.settled = profile.operations  # without a journal nobody knows what has ended: publish everything
    settings, prefix = _settings(field, group, name), f"{field.stage.run}.{group.number}"
    stream = messages(settings, prefix, plan(profile, group.scenario), profile.per_message)
    striker = field.troubles.striker(profile, _target(field, group, name), began)
    race = Race(
        field.line,
        name,
        field.broker,
        publisher,
        progress,
        faults=striker,
        missing=_missing(profile, group, settings, prefix, progress) if profile.republish else None,
    )
    limits = Limits(timeout=profile.timeout, grace=profile.grace)
    ending = race.run(stream, limits, field.fleet, field.watch, field.interrupt)
    connection = field.line.wait()
    ended = settle.ended(connection, progress.backends(), profile.grace, field.interrupt.hurry.is_set)
    race.read()
    progress.finish(ended)
    if publisher.republished:
        field.book.notes.append(
            f"{publisher.republished:,} messages of {group.name} were published again: unconfirmed."
        )
    requested = gather.requested(connection, name, group.scenario, profile.operations)
    gather.operations(writer, plan(profile, group.scenario), publisher.confirmed, publisher.repeated, requested)
    gather.faults(writer, striking.strikes(striker))
    gather.database(connection, name, group.scenario, writer)
    writer.meta(_meta(field, group, ending, began, striking.gaps(striker)))
    # An attempt that is still under way would keep its row locked, and the schema from being dropped.
    settle.terminate(connection, set(progress.backends().values()))


def _publisher(field: Field, group: Group, name: str, progress: Progress) -> Publisher:
    """Publish the plan as it is, or through the producer where operations need a request."""
    profile, patience = field.stage.profile, UNDER_FAULTS if field.stage.profile.faults else 0.0
    again = profile.idempotency or Mistake.BLIND_PUBLISH in profile.mistakes
    if SCENARIOS[group.scenario].request is None:
        under_faults = bool(profile.faults)
        return Publisher(field.broker, profile.operations, profile.per_message, again=again, under_faults=under_faults)
    url = field.troubles.url("orchestrator", "db", field.services.database_url)
    line = Line(lambda: connect(url, "rowrace producer", ""), patience)
    return Producer(field.broker, profile, Requests(line, name), progress, again=again)


def _missing(
    profile: Profile, group: Group, settings: Settings, prefix: str, progress: Progress
) -> Callable[[int], Iterable[Message]]:
    """Give, for a round, the messages of all that has not ended."""

    def missing(round_: int) -> Iterable[Message]:
        wanted = progress.unfinished()
        chosen = (each for each in plan(profile, group.scenario) if wanted[each.operation])
        return again(settings, prefix, chosen, round_)

    return missing


def _target(field: Field, group: Group, name: str) -> striking.Target:
    return striking.Target(
        nodes=field.fleet,
        services=field.services,
        schema=name,
        table=gather.RELATIONS[group.scenario],
        queue=field.broker.queue,
    )


def _now(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT round(extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
    return int(row[0]) if row else 0


def _settings(field: Field, group: Group, name: str) -> Settings:
    profile = field.stage.profile
    return Settings(
        run=field.stage.run,
        schema=name,
        scenario=group.scenario,
        strategy=group.strategy,
        isolation=group.isolation,
        retry=profile.retry,
        think_ms=(profile.think.min_ms, profile.think.max_ms),
        lock_timeout_ms=profile.lock_timeout_ms,
        recording=profile.recording,
        seed=profile.seed,
        failpoints=field.troubles.failpoints,
        mistakes=profile.mistakes,
    )


def _meta(field: Field, group: Group, ending: Ending, began: int, gaps: tuple[str, ...]) -> Meta:
    stage, profile = field.stage, field.stage.profile
    overlaps = profile.gates.min_overlaps
    return Meta(
        run=stage.run,
        scenario=group.scenario,
        strategy=group.strategy,
        isolation=group.isolation.value,
        mode="distributed",
        rung=field.services.rung,
        planned=profile.operations,
        plan_digest=digest(profile, group.scenario),
        idempotency=profile.idempotency,
        recording=profile.recording,
        drained=ending.drained,
        interrupted=ending.why is End.INTERRUPTED,
        timed_out=ending.why is End.TIMEOUT,
        min_nodes=field.fleet.nodes,
        min_hosts=field.fleet.hosts,
        min_processes=field.fleet.processes,
        min_overlaps=10 if overlaps is None else overlaps,
        min_done=profile.gates.min_done,
        seconds=ending.seconds,
        began_us=began,
        gaps=(*ending.gaps, *gaps),
        faults=profile.faults,
        republish=profile.republish,
        max_settle_s=profile.gates.max_settle_s,
        max_attempts=profile.gates.max_attempts,
        name=group.name,
        versions={**field.services.versions, "celery": celery.__version__, "python": platform.python_version()},
        profile=msgspec.to_builtins(profile),
    )
