"""rowrace's own scenarios as an arena: the Celery task that workers run, by logical workers in this process.

Worker i begins with operation i; what the plan has beyond that waits in a queue that they share.  An attempt that must
be made again comes as a new message to the same worker, on a virtual clock.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import msgspec

from orchestrator.driver import need_driver
from orchestrator.errors import UsageError
from orchestrator.explored_limits import check_sqlite
from orchestrator.explored_race import Race, Task, messages
from orchestrator.explored_story import State, Story
from orchestrator.explorer.hub import Hub
from orchestrator.explorer.token import scenario_hash
from orchestrator.groups import LOSES, PRODUCED
from orchestrator.history.model import Meta
from orchestrator.plan import digest, plan
from orchestrator.profile import Profile
from worker import runtime
from worker.contract import Isolation, Retry, Settings, Via

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explored_slots import Slots
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Scheduler
    from worker.contract import Operation

#: Steps of one schedule: more is a body that asks again and again.
LIMIT: Final = 2_000

#: A database in memory is as fast as a disk lets one be.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a private folder is made in it


class Ground(Protocol):
    """A scenario's tables in a database, and the links to it."""

    backend: str
    #: What statements of two workers mean to each other: a level's name, or "sqlite".
    isolation: str
    columns: dict[str, tuple[str, ...]]
    slots: Slots

    def under(self, hub: Hub | None) -> None:
        """Make the links' statements this hub's steps."""

    def reset(self) -> None:
        """Put the rows back, and forget what was recorded."""

    def effects(self) -> list[tuple[Any, ...]]:
        """Give the history's table `effects`."""

    def rows(self) -> list[tuple[Any, ...]]:
        """Give the rows as they stand, each followed by its row of the history's table `rows`."""

    def crash(self, worker: int) -> None:
        """Cut a worker's connection; when it returns, what was open is rolled back."""

    def close(self) -> None:
        """Leave nothing behind."""


class ScenarioArena:
    """Runs a scenario's operations under schedulers, thousands of times; `close` it, or use it as a context."""

    def __init__(  # noqa: PLR0913 - each is a choice of its own, by name
        self,
        scenario: str = "credits",
        strategy: str = "naive",
        isolation: Isolation = Isolation.READ_COMMITTED,
        *,
        operations: int = 2,
        workers: int = 2,
        backend: str = "sqlite",
        database: str | Path | None = None,
        rows: int = 1,
        seed: int = 1,
        kinds: tuple[str, ...] = (),
        crashes: int = 0,
        idempotency: bool = True,
        mistakes: tuple[str, ...] = (),
        attempts: int = 50,
        limit: int = LIMIT,
    ) -> None:
        """Make the tables: in a file (`database` is its path; None: a scratch one), or where the URL `database` leads.

        `attempts` and `mistakes` are the task's own; `limit` bounds a schedule's steps.
        """
        self.workers = workers
        if strategy == "serializable":
            isolation = Isolation.SERIALIZABLE  # the one level that it trusts, whatever is asked for
        self._settings = _settings(scenario, strategy, isolation, seed, attempts, mistakes)
        profile = Profile(operations=operations, rows=rows, seed=seed, kinds=kinds)
        _check(scenario, strategy, backend, operations, workers)
        self.plan = tuple(plan(profile, scenario))
        self.meta = _meta(self._settings, digest(profile, scenario), operations, backend, idempotency=idempotency)
        self._crashes, self._limit = crashes, limit
        self._stack = ExitStack()
        self._ground = _ground(self._stack, backend, database, self._settings, rows, workers, idempotency=idempotency)
        self.backend, self.isolation = self._ground.backend, self._ground.isolation
        self.hash = scenario_hash(f"{self.meta!r} {rows} {workers} {crashes} {limit} {_known(self._settings)!r}")
        self._messages = messages(self.plan, self._settings)
        self._celery = Task()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Leave nothing behind."""
        self._stack.close()

    def part(self, kept: Sequence[int]) -> Part:
        """Give the arena of some of the workers, each with the operation that it begins with."""
        return Part(self, [self.plan[worker] for worker in kept], self.plan[self.workers :])

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns of every table of the state."""
        return dict(self._ground.columns)

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule on the rows as they were made."""
        return self.race(scheduler, self.plan, self.workers)

    def race(self, scheduler: Scheduler, plan: Sequence[Operation], workers: int) -> Execution:
        """Run one schedule of these operations, the first of them a worker's each."""
        ground, slots = self._ground, self._ground.slots
        ground.reset()
        hub = Hub(scheduler, crashes=self._crashes, crash=ground.crash, limit=self._limit)
        slots.begin(hub)
        ground.under(hub)
        given = [self._messages[one.operation] for one in plan]
        race = Race(hub, slots, given, workers, self._celery, acknowledges=self._crashes > 0)
        try:
            with runtime.install(slots), self._celery.published_to(race.put):
                execution = hub.run([partial(race.work, worker) for worker in range(workers)])
        finally:
            ground.under(None)
            slots.end()
        return execution._replace(state=self._state(plan))

    def _state(self, plan: Sequence[Operation]) -> State:
        """Read what is left."""
        ground = self._ground
        ((table, names),) = ground.columns.items()
        size, rows = len(names), ground.rows()
        state = State(((table, tuple(row[:size] for row in rows if row[0] is not None)),))
        state.story = Story(ground.slots.lines, ground.effects(), [row[size:] for row in rows], tuple(plan))
        return state


class Part:
    """Some of an arena's workers, on the same tables."""

    def __init__(self, arena: ScenarioArena, first: Sequence[Operation], more: Sequence[Operation]) -> None:
        """Take the operations that workers begin with, one each, and those that wait in the queue."""
        self.workers = len(first)
        self.plan = (*first, *more)
        self._arena = arena

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule on the rows as they were made."""
        return self._arena.race(scheduler, self.plan, self.workers)


def _check(scenario: str, strategy: str, backend: str, operations: int, workers: int) -> None:
    """Refuse what can't be explored, or would not be what it is called."""
    if scenario in PRODUCED:
        raise UsageError(f"Scenario {scenario} can't be explored: it needs a producer beside the workers.")
    if strategy not in LOSES:
        raise UsageError(f"Unknown strategy {strategy}: the strategies are {', '.join(LOSES)}.")
    if backend == "sqlite":
        check_sqlite(strategy, "on SQLite")
    if not 1 <= workers <= operations:
        raise UsageError(f"{workers} workers can't begin with an operation each: there are {operations}.")


def _ground(
    stack: ExitStack,
    backend: str,
    database: str | Path | None,
    settings: Settings,
    rows: int,
    workers: int,
    *,
    idempotency: bool,
) -> Ground:
    """Make the tables, and see to it that they are gone when the stack is closed."""
    if backend == "sqlite":
        from orchestrator.explored_sqlite import SqliteGround  # noqa: PLC0415 - each database is heavy, one is needed

        if database is None:
            folder = _MEMORY if _MEMORY.is_dir() else None
            database = Path(stack.enter_context(TemporaryDirectory(prefix="rowrace-", dir=folder))) / "explored.db"
        ground: Ground = SqliteGround(Path(database), settings, rows, workers, idempotency=idempotency)
    elif backend == "postgres":
        need_driver()
        from orchestrator.explored_postgres import PostgresGround  # noqa: PLC0415 - as above

        ground = PostgresGround(str(database), settings, rows, workers, idempotency=idempotency)
    else:
        raise UsageError(f"There is no backend {backend!r}: use sqlite or postgres.")
    stack.callback(ground.close)
    return ground


def _settings(
    scenario: str, strategy: str, isolation: Isolation, seed: int, attempts: int, mistakes: tuple[str, ...]
) -> Settings:
    return Settings(
        run="explored",
        # Nothing of it is shown; two explorations at once must not meet in one database.
        schema=f"rowrace_{secrets.token_hex(6)}_1",
        scenario=scenario,
        strategy=strategy,
        isolation=isolation,
        retry=Retry(via=Via.CELERY, attempts=attempts),
        think_ms=(0, 0),
        lock_timeout_ms=0,
        recording=True,
        seed=seed,
        mistakes=mistakes,
    )


def _known(settings: Settings) -> Settings:
    """Give what is the same whenever the same is explored."""
    return msgspec.structs.replace(settings, schema="")


def _meta(settings: Settings, planned: str, operations: int, backend: str, *, idempotency: bool) -> Meta:
    """Say what a schedule is; a single one owes no overlaps and no work."""
    return Meta(
        run=settings.run,
        scenario=settings.scenario,
        strategy=settings.strategy,
        isolation=settings.isolation.value,
        mode="eager",
        rung=f"one schedule on {backend}",
        planned=operations,
        plan_digest=planned,
        idempotency=idempotency,
        min_overlaps=0,
        min_done=0.0,
    )
