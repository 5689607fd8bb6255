"""Eager mode: a group's operations through the same Celery task, in one process, on SQLite or on Postgres.

Logical workers take messages from a queue in the process and are switched at statement boundaries, so
that they race as real ones do.  Time is virtual: same profile, same history.
"""

from __future__ import annotations

import platform
import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import celery
import msgspec
from celery.signals import task_prerun

from orchestrator import gather
from orchestrator.eager_tables import PostgresTables, SqliteTables
from orchestrator.ending import End
from orchestrator.explored_limits import check_sqlite
from orchestrator.explorer.clock import VirtualClock
from orchestrator.explorer.forgetful import ForgetfulHub
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.history.files import Writer, read
from orchestrator.history.model import Meta
from orchestrator.logical import LogicalProcess, Queue
from orchestrator.plan import digest, plan
from orchestrator.progress import Progress
from orchestrator.publish import messages
from worker import runtime, tasks
from worker.contract import Settings, Via

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.eager_tables import Tables
    from orchestrator.explorer.scheduler import Scheduler, Step
    from orchestrator.groups import Group
    from orchestrator.history.model import History
    from orchestrator.logical import Delivery, Links
    from orchestrator.profile import Profile
    from orchestrator.progress import Counts
    from orchestrator.publish import Message

    #: Hears, now and then, of operations published, what became of them, and seconds.
    Tell = Callable[[int, Counts, float], None]

#: The rung, and what it can't show, for the verdict.
RUNG: Final = "eager: one process, SQLite in WAL mode"

#: Seconds between two looks at the wall clock's consequences: live view and timeout.
_TICK: Final = 0.1


class Where(NamedTuple):
    """A database to race in, and what it is called."""

    #: None: SQLite, in a file of the race's own.
    url: str | None = None
    rung: str = RUNG
    #: Leave the schema in the database.
    keep: bool = False


def run_group(
    profile: Profile,
    group: Group,
    folder: Path,
    *,
    run: str = "eager",
    tell: Tell = lambda _published, _counts, _seconds: None,
    stopped: Callable[[], bool] = lambda: False,
    scheduler: Scheduler | None = None,
    where: Where = Where(),  # noqa: B008 - a frozen value
) -> History:
    """Race one group and write its history into its folder; nothing else is left behind, however it ends.

    Where `stopped` says so, or on Ctrl-C, what was gathered so far is the history.
    """
    if where.url is None:
        check_sqlite(group.strategy, "in eager mode")
    settings = _settings(profile, group, run)
    with ExitStack() as stack:
        writer = stack.enter_context(Writer(folder))
        tables = _tables(stack, profile, settings, where)
        race = _Race(
            profile,
            messages(settings, f"{run}.{group.number}", plan(profile, group.scenario), profile.per_message),
            tables.links,
            Progress(profile.operations, partial(gather.columns, writer)),
            scheduler or RandomWalk(profile.seed),
            _Outside(tell, stopped),
        )
        with closing(race.process):  # what is left open is rolled back, so nothing can take effect any more
            ending = race.run()
        race.progress.finish(dict.fromkeys(race.progress.backends(), True))
        gather.operations(writer, plan(profile, group.scenario), race.queue.confirmed)
        tables.gather(writer, race.process.ends)
        writer.meta(_meta(profile, group, run, ending, where, tables.versions))
    return read(folder)


def _tables(stack: ExitStack, profile: Profile, settings: Settings, where: Where) -> Tables:
    """Make the group's tables, and see to it that they are gone when the stack is closed."""
    made: Tables
    if where.url is not None:
        made = PostgresTables(where.url, profile, settings, keep=where.keep)
    else:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rowrace-")))
        made = SqliteTables(folder / "race.db", profile, settings)
    return stack.enter_context(closing(made))


class Ending(NamedTuple):
    """Why a race ended, and how long it took by the wall clock."""

    why: End
    seconds: float


class _Stopped(Exception):
    """The run ends before its operations do."""

    def __init__(self, why: End) -> None:
        super().__init__(why)
        self.why = why


class _Watched:
    """A policy that is asked only as long as the run goes on."""

    def __init__(self, policy: Scheduler, look: Callable[[], None]) -> None:
        self._policy = policy
        self._look = look

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Look whether to go on, and let the policy choose."""
        self._look()
        return self._policy.choose(ready, step)


class _Outside(NamedTuple):
    """Whom a race tells, and who may stop it."""

    tell: Tell
    stopped: Callable[[], bool]


class _Race:
    """One group's race: hub, clock, queue and process; one call of `run`."""

    def __init__(
        self,
        profile: Profile,
        stream: Iterable[Message],
        links: Links,
        progress: Progress,
        policy: Scheduler,
        outside: _Outside,
    ) -> None:
        self.progress = progress
        self._profile = profile
        self._outside = outside
        self._hub, clock = ForgetfulHub(_Watched(policy, self._look)), VirtualClock()
        self.process = LogicalProcess(links, self._hub, clock, progress)
        self.queue = Queue(stream, profile.operations, self._hub, clock)
        self._began = self._told = time.monotonic()

    def run(self) -> Ending:
        """Race to the end, or until told to stop."""
        self._began = self._told = time.monotonic()
        why = End.SETTLED
        try:
            with runtime.install(self.process), _delivered_by(self.queue, self._profile.retry.via) as deliver:
                self.process.introduce()
                workers = self._profile.nodes * self._profile.concurrency
                self._hub.run([partial(self._work, deliver)] * workers)
        except _Stopped as stop:
            why = stop.why
        except KeyboardInterrupt:
            why = End.INTERRUPTED
        return Ending(why, self._tell())

    def _work(self, deliver: Callable[[Delivery], None]) -> None:
        """Work as a worker's slot does: a message, its task, its acknowledgement, until none is left."""
        while True:
            self._hub.switch("dequeue")
            delivery = self.queue.take()
            if delivery is None:
                return
            deliver(delivery)
            self._hub.switch("acknowledge", delivery.id)

    def _look(self) -> None:
        """Look at the outside world; every step begins so."""
        if self._outside.stopped():
            raise _Stopped(End.INTERRUPTED)
        if time.monotonic() - self._told >= _TICK and self._tell() > self._profile.timeout:
            raise _Stopped(End.TIMEOUT)

    def _tell(self) -> float:
        """Tell how far the race is, and give the seconds since it began."""
        self._told = time.monotonic()
        seconds = self._told - self._began
        self._outside.tell(self.queue.published, self.progress.counts(), seconds)
        return seconds


@contextmanager
def _delivered_by(queue: Queue, via: Via) -> Iterator[Callable[[Delivery], None]]:
    """Give what runs a delivery through the Celery task; what the task publishes again comes back by the queue."""
    # Untyped, since the stubs know neither all of `apply`'s options nor an attribute of the task's own.
    task: Any = tasks.race.app.tasks[tasks.race.name]

    def deliver(delivery: Delivery) -> None:
        task.apply(kwargs=delivery.kwargs, task_id=delivery.id, retries=delivery.retries, throw=True)

    def lift(**_signal: object) -> None:
        """Celery would run an eager task's retry on the spot, without its countdown; here there is a queue."""
        task.request.is_eager = False

    if via is Via.CELERY:
        task_prerun.connect(lift, sender=task, weak=False)
        task.apply_async = queue.put
    try:
        yield deliver
    finally:
        task_prerun.disconnect(lift, sender=task)
        task.__dict__.pop("apply_async", None)


def _settings(profile: Profile, group: Group, run: str) -> Settings:
    return Settings(
        run=run,
        schema=f"rowrace_{run}_{group.number}",
        scenario=group.scenario,
        strategy=group.strategy,
        isolation=group.isolation,
        retry=profile.retry,
        think_ms=(profile.think.min_ms, profile.think.max_ms),
        lock_timeout_ms=0,  # the server's clock is not the race's
        recording=profile.recording,
        seed=profile.seed,
    )


def _meta(profile: Profile, group: Group, run: str, ending: Ending, where: Where, versions: dict[str, str]) -> Meta:
    overlaps = profile.gates.min_overlaps
    return Meta(
        run=run,
        scenario=group.scenario,
        strategy=group.strategy,
        isolation=group.isolation.value,
        mode="eager",
        rung=where.rung,
        planned=profile.operations,
        plan_digest=digest(profile, group.scenario),
        idempotency=profile.idempotency,
        recording=profile.recording,
        drained=ending.why is End.SETTLED,
        interrupted=ending.why is End.INTERRUPTED,
        timed_out=ending.why is End.TIMEOUT,
        min_overlaps=1 if overlaps is None else overlaps,
        min_done=profile.gates.min_done,
        max_settle_s=profile.gates.max_settle_s,
        max_attempts=profile.gates.max_attempts,
        seconds=ending.seconds,
        name=group.name,
        versions={
            **versions,
            "celery": celery.__version__,
            "python": platform.python_version(),
        },
        profile=msgspec.to_builtins(profile),
    )
