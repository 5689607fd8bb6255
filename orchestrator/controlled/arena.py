"""An arena of plain bodies: puts the rows back, runs one schedule, and reads the rows."""

from __future__ import annotations

import inspect
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from orchestrator.controlled.database import MET, Uncontrolled
from orchestrator.controlled.pins import pinned
from orchestrator.controlled.pools import impatient
from orchestrator.explorer.hub import Crash, Hub
from orchestrator.explorer.judging import InOrder
from orchestrator.explorer.model import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.controlled.database import Database
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Scheduler

#: Steps of one schedule, unless told; more than that is a body that waits for something by asking again and again.
LIMIT = 2_000


class BodiesArena:
    """Runs bodies on a database; a context manager, since it holds the driver for as long as it is open."""

    def __init__(
        self,
        database: Database,
        bodies: Sequence[Callable[..., object]],
        *,
        crashes: int = 0,
        threads: bool = False,
        seed: int = 0,
        limit: int = LIMIT,
    ) -> None:
        """Take bodies without a parameter, or with one: a connection of the driver's own, which each worker keeps."""
        self.workers = len(bodies)
        self.backend, self.isolation = database.backend, database.isolation
        self._database = database
        self._bodies = tuple(bodies)
        self._wants = tuple(wants_argument(body) for body in bodies)
        self._connections: dict[int, Any] = {}
        self._seen: set[int] = set()
        self._crashes, self._threads, self._seed, self._limit = crashes, threads, seed, limit
        self._hub: Hub | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Hook the driver and pin clocks, ids and random numbers."""
        try:
            self._stack.enter_context(self._database.control())
            self._pins = self._stack.enter_context(pinned(self.current, self._seed, self._stand))
            self._stack.enter_context(impatient(self.current))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the driver, and close the connections that bodies were given."""
        with self._stack:
            self._database.under(None)
            while self._connections:
                self._connections.popitem()[1].close()

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule on the rows as they were kept."""
        return self.race(scheduler, range(self.workers))

    def part(self, kept: Sequence[int]) -> Part:
        """Give the arena of some of the bodies."""
        return Part(self, tuple(kept))

    def race(self, scheduler: Scheduler, bodies: Sequence[int]) -> Execution:
        """Run one schedule of some of the bodies."""
        self._database.reset()
        self._pins.restart()
        MET.clear()
        for body in bodies:
            self._ready_connection(body)
        hub = self._hub = Hub(
            scheduler,
            crashes=self._crashes,
            crash=self._database.crash,
            threads=self._threads,
            catch=True,
            limit=self._limit,
        )
        self._database.under(hub)
        try:
            execution = hub.run([partial(self._deliver, hub, body) for body in bodies])
        finally:
            self._database.under(None)
            self._hub = None
        if MET:
            raise Uncontrolled(MET[0])
        if len(self._seen) < self.workers:
            self._seen |= {bodies[record.worker] for record in execution.records if record.point.kind == "statement"}
        return execution._replace(state=self._database.rows())

    def unseen(self) -> tuple[int, ...]:
        """Name the bodies of which no schedule so far saw a statement: what they do is not under control."""
        return tuple(body for body in range(self.workers) if body not in self._seen)

    def warm_up(self) -> None:
        """Run the bodies once, one after another, and see what putting the rows back must keep to."""
        self.run(InOrder(range(self.workers)))
        self.harden()

    def harden(self, *, anyway: bool = False) -> bool:
        """See to it that rows lie as they were kept, where that matters or `anyway`; says whether that is new."""
        return self._database.harden(anyway=anyway)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns of every table."""
        return self._database.columns()

    def current(self) -> int | None:
        """Give the worker that runs now."""
        return None if self._hub is None else self._hub.current

    def _stand(self, point: Point) -> None:
        if self._hub is not None:
            self._hub.stand(point)

    def _deliver(self, hub: Hub, body: int) -> object:
        """Run a body as a message that comes again until it is acknowledged."""
        while True:
            hub.delivered()
            try:
                value = self._body(body)
                if self._crashes:
                    hub.stand(Point("acknowledge"))
            except Crash:
                continue
            return value

    def _body(self, body: int) -> object:
        try:
            return self._called(body)
        except SystemExit as error:
            raise RuntimeError(f"the body ended its process by SystemExit({error.code!r})") from error

    def _called(self, body: int) -> object:
        if not self._wants[body]:
            return self._bodies[body]()
        connection = self._ready_connection(body)
        try:
            value = self._bodies[body](connection)
        except Exception:
            connection.rollback()
            raise
        connection.rollback()  # as a pool does when it gets a connection back: what is left open is undone
        return value

    def _ready_connection(self, body: int) -> Any:  # noqa: ANN401 - the driver's own class
        if not self._wants[body]:
            return None
        if body not in self._connections:
            self._connections[body] = self._database.connect()
        return self._connections[body]


class Part:
    """Some of an arena's bodies, on the same database."""

    def __init__(self, arena: BodiesArena, kept: tuple[int, ...]) -> None:
        """Take the numbers of the bodies, which become workers 0, 1, ..."""
        self.workers = len(kept)
        self._arena, self._kept = arena, kept

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule on the rows as they were kept."""
        return self._arena.race(scheduler, self._kept)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns of every table."""
        return self._arena.columns()


def wants_argument(body: Callable[..., object]) -> bool:
    """Say whether a callable must be given something."""
    return needed(body) > 0


def needed(body: Callable[..., object]) -> int:
    """Count a callable's positional parameters without a default."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(body).parameters.values()
    return sum(each.kind in positional and each.default is inspect.Parameter.empty for each in parameters)
