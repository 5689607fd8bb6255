"""An arena of plain bodies: puts the rows back, runs one schedule, and reads the rows."""

from __future__ import annotations

import inspect
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from orchestrator.controlled.pins import pinned
from orchestrator.explorer.hub import Crash, Hub
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
        self._crashes, self._threads, self._seed, self._limit = crashes, threads, seed, limit
        self._hub: Hub | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Hook the driver and pin clocks, ids and random numbers."""
        try:
            self._stack.enter_context(self._database.control())
            self._pins = self._stack.enter_context(pinned(self._current, self._seed, self._stand))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the driver, and close the connections that bodies were given."""
        self._database.under(None)
        with self._stack:
            while self._connections:
                self._connections.popitem()[1].close()

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule on the rows as they were kept."""
        self._database.reset()
        self._pins.restart()
        for worker in range(self.workers):
            self._ready_connection(worker)
        hub = self._hub = Hub(
            scheduler,
            crashes=self._crashes,
            crash=self._crash,
            threads=self._threads,
            catch=True,
            limit=self._limit,
        )
        self._database.under(hub)
        try:
            execution = hub.run([partial(self._deliver, hub, worker) for worker in range(self.workers)])
        finally:
            self._database.under(None)
            self._hub = None
        return execution._replace(state=self._database.rows())

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns of every table."""
        return self._database.columns()

    def _current(self) -> int | None:
        return None if self._hub is None else self._hub.current

    def _stand(self, point: Point) -> None:
        if self._hub is not None:
            self._hub.stand(point)

    def _deliver(self, hub: Hub, worker: int) -> object:
        """Run a worker's body as a message that comes again until it is acknowledged."""
        while True:
            hub.delivered()
            try:
                value = self._body(worker)
                if self._crashes:
                    hub.stand(Point("acknowledge"))
            except Crash:
                continue
            return value

    def _body(self, worker: int) -> object:
        if not self._wants[worker]:
            return self._bodies[worker]()
        connection = self._ready_connection(worker)
        try:
            value = self._bodies[worker](connection)
        except Exception:
            connection.rollback()
            raise
        connection.rollback()  # as a pool does when it gets a connection back: what is left open is undone
        return value

    def _ready_connection(self, worker: int) -> Any:  # noqa: ANN401 - the driver's own class
        if not self._wants[worker]:
            return None
        if worker not in self._connections:
            self._connections[worker] = self._database.connect()
        return self._connections[worker]

    def _crash(self, worker: int) -> None:
        self._database.crash(worker)
        self._connections.pop(worker, None)


def wants_argument(body: Callable[..., object]) -> bool:
    """Say whether a callable must be given something: it has a positional parameter without a default."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(
        each.kind in positional and each.default is inspect.Parameter.empty
        for each in inspect.signature(body).parameters.values()
    )
