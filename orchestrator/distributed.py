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

from orchestrator import gather, ladder, schema, settle
from orchestrator.broker import Broker
from orchestrator.errors import ServiceError
from orchestrator.fleet import Place, fleet
from orchestrator.history.files import Writer
from orchestrator.history.model import Meta
from orchestrator.plan import digest, plan
from orchestrator.profile import Mode, Workers
from orchestrator.progress import Progress
from orchestrator.publish import Publisher, messages
from orchestrator.race import End, Limits, Race
from orchestrator.services import Origin, open_services
from worker.contract import Settings
from worker.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from orchestrator.fleet import Fleet
    from orchestrator.groups import Group
    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile
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
    connection: Any
    broker: Broker
    fleet: Fleet
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
    connection = stack.enter_context(_connected(services.database_url))
    schema.hold(connection, stage.run)  # until the connection ends: `rowrace clean` leaves a living run alone
    broker = stack.enter_context(_broker(services.broker_url, stage.run))
    place = Place(
        run=stage.run,
        database_url=_workers_url(stage.profile, services.database_url),
        broker_url=services.broker_url,
        logs=stage.logs,
        journals=stage.folder / "journals",
    )
    stack.callback(shutil.rmtree, place.journals, ignore_errors=True)
    nodes = stack.enter_context(fleet(stage.profile, broker, place, interrupt.hurry))
    return Field(
        stage=stage,
        book=book,
        services=services,
        connection=connection,
        broker=broker,
        fleet=nodes,
        watch=watch,
        interrupt=interrupt,
    )


def _workers_url(profile: Profile, url: str) -> str:
    """Ask for commits that are not durable where the profile does: each session of a worker says so when it begins."""
    if profile.synchronous_commit:
        return url
    given = psycopg.conninfo.conninfo_to_dict(url).get("options") or ""
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}options={quote(f'{given} -c synchronous_commit=off'.strip())}"


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect to the database; that it breaks later is said in one sentence."""
    try:
        with connect(url, "rowrace", "") as connection:
            yield connection
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
    stage, connection = field.stage, field.connection
    name = f"rowrace_{stage.run}_{group.number}"
    profile = stage.profile
    schema.create(
        connection, name, group.scenario, profile.rows, idempotency=profile.idempotency, recording=profile.recording
    )
    try:
        gather.snapshot(connection, name, group.scenario)
        with Writer(stage.folder / group.name) as writer:
            _race(field, group, name, writer)
    finally:
        if not stage.keep:
            _drop(connection, name, field.book)


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
    profile, connection = field.stage.profile, field.connection
    field.watch.begin(group, profile.operations)
    began = _now(connection)
    progress = Progress(profile.operations, lambda table, data: gather.columns(writer, table, data))
    publisher = Publisher(field.broker, profile.operations, profile.per_message, again=profile.idempotency)
    if not profile.recording:
        publisher.settled = profile.operations  # without a journal nobody knows what has ended: publish everything
    stream = messages(
        _settings(field.stage, group, name),
        f"{field.stage.run}.{group.number}",
        plan(profile, group.scenario),
        profile.per_message,
    )
    limits = Limits(timeout=profile.timeout, grace=profile.grace)
    race = Race(connection, name, field.broker, publisher, progress)
    ending = race.run(stream, limits, field.fleet, field.watch, field.interrupt)
    ended = settle.ended(connection, progress.backends(), profile.grace, field.interrupt.hurry.is_set)
    race.read()
    progress.finish(ended)
    if publisher.republished:
        field.book.notes.append(
            f"{publisher.republished:,} messages of {group.name} were published again: unconfirmed."
        )
    gather.operations(writer, plan(profile, group.scenario), publisher.confirmed)
    gather.database(connection, name, group.scenario, writer)
    writer.meta(_meta(field, group, ending, began))
    # An attempt that is still under way would keep its row locked, and the schema from being dropped.
    settle.terminate(connection, set(progress.backends().values()))


def _now(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT round(extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
    return int(row[0]) if row else 0


def _settings(stage: Stage, group: Group, name: str) -> Settings:
    profile = stage.profile
    return Settings(
        run=stage.run,
        schema=name,
        scenario=group.scenario,
        strategy=group.strategy,
        isolation=group.isolation,
        retry=profile.retry,
        think_ms=(profile.think.min_ms, profile.think.max_ms),
        lock_timeout_ms=profile.lock_timeout_ms,
        recording=profile.recording,
        seed=profile.seed,
    )


def _meta(field: Field, group: Group, ending: Ending, began: int) -> Meta:
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
        gaps=ending.gaps,
        name=group.name,
        versions={**field.services.versions, "celery": celery.__version__, "python": platform.python_version()},
        profile=msgspec.to_builtins(profile),
    )
