"""One group on the fleet: its schema, its race, its history; or, after a kill, the rest of them."""

from __future__ import annotations

import platform
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import celery
import msgspec
import psycopg

from orchestrator import gather, gather_database, schema, settle, striking
from orchestrator.ending import End
from orchestrator.faults import strike_log
from orchestrator.faults.strike_log import STRIKES_FILE, StrikeLog
from orchestrator.history.files import Writer
from orchestrator.history.model import Meta
from orchestrator.patience import UNDER_FAULTS, Line
from orchestrator.plan import digest, plan
from orchestrator.producer import Producer, Requests
from orchestrator.progress import Progress
from orchestrator.publish import Publisher, again, messages
from orchestrator.race import Limits, Race
from orchestrator.state import forget
from orchestrator.watermark import PUBLISHED_FILE, Watermark
from worker.contract import Settings
from worker.mistakes import Mistake
from worker.postgres import connect
from worker.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from orchestrator.broker import Broker
    from orchestrator.faults.striker import Strike, Striker
    from orchestrator.fleet import Crew
    from orchestrator.groups import Group
    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile
    from orchestrator.publish import Message
    from orchestrator.race import Ending, Watch
    from orchestrator.resume_found import Found
    from orchestrator.services import Services
    from orchestrator.stage import Book, Stage
    from orchestrator.state import Standing

#: How long others' locks may keep a schema from being dropped, milliseconds.
_DROP_WAIT_MS: Final = 10_000


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What all groups of a run race on."""

    stage: Stage
    book: Book
    standing: Standing
    services: Services
    line: Line
    troubles: striking.Troubles
    broker: Broker
    fleet: Crew
    watch: Watch
    interrupt: Interrupt
    #: What a killed process had done of the group under way.
    found: Found | None


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """One group's own."""

    group: Group
    schema: str
    writer: Writer
    mark: Watermark
    strikes: StrikeLog
    #: Strikes of a process that was killed.
    earlier: list[Strike]
    #: The database's clock as the race begins, or goes on, microseconds.
    now_us: int


def race_group(field: Field, group: Group) -> None:
    """Race one group, or what is left of it, and write its history down."""
    stage, standing = field.stage, field.standing
    if group.number > 1:
        field.fleet.ready(field.broker)
    name, folder = schema_of(stage.run, group.number), stage.folder / group.name
    found, connection = field.found, field.line.wait()
    if found is None or found.group != group.number:
        found = None
        _lay_out(field, group, name, connection)
    try:
        with Writer(folder) as writer, Watermark(folder / PUBLISHED_FILE) as mark, _strikes(folder) as strikes:
            now_us = database_now(connection) if found else standing.now.began_us
            earlier = strike_log.read(folder / STRIKES_FILE, now_us)
            ground = Ground(
                group=group,
                schema=name,
                writer=writer,
                mark=mark,
                strikes=strikes,
                earlier=earlier,
                now_us=now_us,
            )
            _race(field, ground, found)
    except BaseException:
        if not standing.keeps:
            forget(folder)
        if not (stage.keep or standing.keeps):
            drop(field.line.wait(), name, field.book)
        raise
    standing.step(standing.now.ended())
    if not stage.keep:
        drop(field.line.wait(), name, field.book)
    forget(folder)


def schema_of(run: str, number: int) -> str:
    """Name a group's schema."""
    return f"rowrace_{run}_{number}"


def drop(connection: psycopg.Connection[Any], name: str, book: Book) -> None:
    """Drop a group's schema, unless others keep it locked."""
    try:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (str(_DROP_WAIT_MS),))
        schema.drop(connection, name)
    except psycopg.errors.LockNotAvailable:
        book.notes.append(f"Schema {name} is locked by others and was left: `rowrace clean` removes it.")
    finally:
        connection.execute("RESET lock_timeout")


def database_now(connection: psycopg.Connection[Any]) -> int:
    """Read the database's clock, microseconds."""
    row = connection.execute("SELECT round(extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
    return int(row[0]) if row else 0


def _strikes(folder: Path) -> StrikeLog:
    return StrikeLog(folder / STRIKES_FILE)


def _lay_out(field: Field, group: Group, name: str, connection: psycopg.Connection[Any]) -> None:
    """Make the group's schema and keep its rows as they begin: whole or not at all, and noted where it stands."""
    profile, standing = field.stage.profile, field.standing
    standing.step(standing.now.begun(group.number))
    with connection.transaction():
        schema.create(
            connection, name, group.scenario, profile.rows, idempotency=profile.idempotency, recording=profile.recording
        )
        gather_database.snapshot(connection, name, group.scenario)
    standing.step(standing.now.laid_out(database_now(connection)))


def _race(field: Field, ground: Ground, found: Found | None) -> None:
    profile, group, name = field.stage.profile, ground.group, ground.schema
    field.watch.begin(group, profile.operations)
    progress = Progress(profile.operations, lambda table, data: gather.columns(ground.writer, table, data))
    publisher = _publisher(field, ground, progress)
    settings, prefix = _settings(field, group, name), f"{field.stage.run}.{group.number}"
    first = 0 if found is None else _take_up(field, publisher, found, settings, prefix, group)
    if not profile.recording:
        publisher.settled = profile.operations  # without a journal nobody knows what has ended: publish everything
    stream = _messages(profile, group, settings, prefix, first)
    # Read now: what was done since the group's begin would have faults strike too early, by their own clock.
    striker = field.troubles.striker(profile, _target(field, ground), database_now(field.line.wait()))
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
    _gather(field, ground, publisher, striker)
    unmet = field.troubles.unmet(striker, progress.struck, ground.earlier)
    ground.writer.meta(_meta(field, ground, ending, striking.gaps(striker), unmet))
    # An attempt that is still under way would keep its row locked, and the schema from being dropped.
    settle.terminate(connection, set(progress.backends().values()))


def _gather(field: Field, ground: Ground, publisher: Publisher, striker: Striker | None) -> None:
    profile, group, writer = field.stage.profile, ground.group, ground.writer
    connection = field.line.get()
    requested = gather_database.requested(connection, ground.schema, group.scenario, profile.operations)
    gather.operations(writer, plan(profile, group.scenario), publisher.confirmed, publisher.repeated, requested)
    gather.faults(writer, [*ground.earlier, *striking.strikes(striker)])
    gather_database.database(connection, ground.schema, group.scenario, writer)


def _messages(profile: Profile, group: Group, settings: Settings, prefix: str, first: int) -> Iterable[Message]:
    """Give the plan's messages from an operation on, which is the first of its message."""
    rest = islice(plan(profile, group.scenario), first, None)
    return messages(settings, prefix, rest, profile.per_message, first // profile.per_message)


def _take_up(field: Field, publisher: Publisher, found: Found, settings: Settings, prefix: str, group: Group) -> int:
    """Take an earlier process's publishing up, and settle what it left in doubt; the operation to go on from."""
    profile = field.stage.profile
    publisher.take_up(found.published)
    sent = 0
    for first, end in found.published.doubtful if profile.recording else ():
        count = -(-(end - first) // profile.per_message)
        batch = list(islice(_messages(profile, group, settings, prefix, first), count))
        sent += publisher.settle(batch, found.has)
    if sent:
        field.book.notes.append(
            f"{sent:,} messages of {group.name} were published on resuming: whether they had been was in doubt, and"
            " neither the broker nor a worker had them."
        )
    return found.published.end()


def _publisher(field: Field, ground: Ground, progress: Progress) -> Publisher:
    """Publish the plan as it is, or through the producer where operations need a request."""
    profile, patience = field.stage.profile, UNDER_FAULTS if field.stage.profile.faults else 0.0
    again = profile.idempotency or Mistake.BLIND_PUBLISH in profile.mistakes
    if SCENARIOS[ground.group.scenario].request is None:
        return Publisher(
            field.broker,
            profile.operations,
            profile.per_message,
            again=again,
            under_faults=bool(profile.faults),
            mark=ground.mark,
        )
    url = field.troubles.url("orchestrator", "db", field.services.database_url)
    line = Line(lambda: connect(url, "rowrace producer", ""), patience)
    return Producer(field.broker, profile, Requests(line, ground.schema), progress, again=again, mark=ground.mark)


def _missing(
    profile: Profile, group: Group, settings: Settings, prefix: str, progress: Progress
) -> Callable[[int], Iterable[Message]]:
    """Give, for a round, the messages of all that has not ended."""

    def missing(round_: int) -> Iterable[Message]:
        wanted = progress.unfinished()
        chosen = (each for each in plan(profile, group.scenario) if wanted[each.operation])
        return again(settings, prefix, chosen, round_)

    return missing


def _target(field: Field, ground: Ground) -> striking.Target:
    return striking.Target(
        nodes=field.fleet,
        services=field.services,
        schema=ground.schema,
        table=gather_database.RELATIONS[ground.group.scenario],
        queue=field.broker.queue,
        told=ground.strikes.note,
    )


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


def _meta(field: Field, ground: Ground, ending: Ending, gaps: tuple[str, ...], unmet: tuple[str, ...]) -> Meta:
    stage, profile, group = field.stage, field.stage.profile, ground.group
    overlaps, began = profile.gates.min_overlaps, field.standing.now.began_us
    before = max(ground.now_us - began, 0) / 1_000_000
    return Meta(
        run=stage.run,
        scenario=group.scenario,
        strategy=group.strategy,
        isolation=group.isolation.value,
        mode="distributed",
        rung=stage.rung(field.services),
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
        seconds=before + ending.seconds,
        began_us=began,
        gaps=(*ending.gaps, *gaps),
        unmet=unmet,
        faults=profile.faults,
        republish=profile.republish,
        max_settle_s=profile.gates.max_settle_s,
        max_attempts=profile.gates.max_attempts,
        name=group.name,
        versions={**field.services.versions, "celery": celery.__version__, "python": platform.python_version()},
        profile=msgspec.to_builtins(profile),
    )
