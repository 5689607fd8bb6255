"""A database in a dictionary: row versions, row locks, snapshots, and waits as the hub knows them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from orchestrator.explorer.hub import Crash, Hub
from orchestrator.explorer.model import EVERY, NOTHING, Footprint, Place, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Scheduler

    Body = Callable[..., object]

T = TypeVar("T", int, list["int | None"])
#: The one lock of "sqlite".
DATABASE = frozenset([Place("\0database")])


class Failed(Exception):
    """A statement that the database refuses; its transaction holds nothing any more."""


class Serialization(Failed):
    """The row was changed since the snapshot."""


class Victim(Failed):
    """The statement closed a circle of waits."""


class Stuck(Failed):
    """Nobody is left who could free the lock."""


class Duplicate(Failed):
    """The key is there already."""


class Wait:
    """A wait for a lock, until its holder has let go of it."""

    def __init__(self, toy: Toy, worker: int, lock: Place) -> None:
        self.toy, self.worker, self.lock = toy, worker, lock
        self.why = ""

    def over(self) -> bool:
        """Say whether nobody holds it."""
        return self.toy.locks.get(self.lock, self.worker) == self.worker

    def by(self) -> Sequence[int]:
        """Name the holder."""
        return () if self.over() else (self.toy.locks[self.lock],)

    def cancel(self, why: str) -> None:
        """Have the statement fail."""
        self.why = why


class Toy:
    """The rows and locks of one schedule."""

    def __init__(self, isolation: str, rows: dict[str, int], *, coarse: bool = False) -> None:
        self.isolation, self.coarse = isolation, coarse
        self._rows = rows
        self.hub: Hub
        self.reset()

    def reset(self) -> None:
        """Put the rows back."""
        #: Each row's committed versions: the commit's number and the value.
        self.versions = {key: [(0, value)] for key, value in self._rows.items()}
        self.commits = 0
        self.locks: dict[Place, int] = {}
        self.sessions: dict[int, Session] = {}

    def session(self, worker: int) -> Session:
        """Give a worker its connection."""
        return self.sessions.setdefault(worker, Session(self, worker))

    def free(self, worker: int) -> None:
        """Let go of a worker's locks."""
        self.locks = {lock: holder for lock, holder in self.locks.items() if holder != worker}

    def state(self) -> tuple[tuple[str, int], ...]:
        """Give the rows as committed."""
        return tuple(sorted((key, versions[-1][1]) for key, versions in self.versions.items()))


class Session:
    """A worker's connection; a table is a key's first letter."""

    def __init__(self, toy: Toy, worker: int) -> None:
        self.toy, self.worker = toy, worker
        self.snapshot = -1
        self.open = self.failed = False
        self.writes: dict[str, int] = {}

    # statements

    def read(self, *keys: str, alone: bool = False) -> list[int | None]:
        """Read rows, as of now or as of the snapshot."""
        places = self._places(keys)
        return self._send(f"read {' '.join(keys)}", Footprint(reads=places), partial(self._read, keys), alone=alone)

    def update(self, change: Callable[[int], int | None], *keys: str, alone: bool = False) -> int:
        """Change rows one after another, each once it is locked; None leaves a row as it is."""
        places = self._places(keys)
        footprint = Footprint(places, places, self._locks(places))
        return self._send(f"update {' '.join(keys)}", footprint, partial(self._update, keys, change), alone=alone)

    def lock(self, *keys: str) -> list[int | None]:
        """Read rows for update."""
        places = self._places(keys)
        footprint = Footprint(places, locks=self._locks(places))

        def action() -> list[int | None]:
            self._update(keys, lambda _value: None)
            return self._latest(keys)

        return self._send(f"lock {' '.join(keys)}", footprint, action)

    def insert(self, key: str, value: int) -> int:
        """Add a row, unless its key is there; who adds the same key waits."""
        places = self._places([key])
        return self._send(
            f"insert {key}", Footprint(NOTHING.reads, places, self._locks(places)), partial(self._insert, key, value)
        )

    def copy(self, source: str, target: str) -> int:
        """Change one row to what another one has, as of when the lock is there."""
        locks = self._locks(self._places([target]))
        footprint = Footprint(self._places([source]), self._places([target]), locks)

        def action() -> int:
            return self._update([target], lambda _value: self._latest([source])[0])

        return self._send(f"copy {source} {target}", footprint, action)

    def commit(self) -> None:
        """Publish."""
        if not self.open:
            return
        self.toy.hub.stand(Point("commit"))
        if self.failed:
            self.undo()
        else:
            self._publish()
        self.toy.hub.answered()

    def rollback(self) -> None:
        """Undo."""
        if not self.open:
            return
        self.toy.hub.stand(Point("rollback"))
        self.undo()
        self.toy.hub.answered()

    def undo(self) -> None:
        """Undo at once."""
        self.toy.free(self.worker)
        self.writes, self.open, self.failed, self.snapshot = {}, False, False, -1

    # what they do

    def _begin(self) -> None:
        if self.failed:
            raise Failed("the transaction has failed already")
        if not self.open:
            self.open, self.snapshot = True, self.toy.commits

    def _places(self, keys: Sequence[str]) -> frozenset[Place]:
        return frozenset(Place(key[0], EVERY if self.toy.coarse else key) for key in keys)

    def _locks(self, places: frozenset[Place]) -> frozenset[Place]:
        return DATABASE if self.toy.isolation == "sqlite" else places

    def _send(self, text: str, footprint: Footprint, action: Callable[[], T], *, alone: bool = False) -> T:
        self.toy.hub.stand(Point("statement", text, None, footprint, 0, alone))
        try:
            self._begin()
            value = action()
        except Failed as error:
            self.toy.free(self.worker)
            self.writes, self.failed, self.open = {}, not alone, not alone
            self.toy.hub.answered(error=f"{type(error).__name__}: {error}")
            raise
        if alone:
            self._publish()
        rows = [tuple(value)] if isinstance(value, list) else None
        self.toy.hub.answered(rows, value if isinstance(value, int) else len(value))
        return value

    def _read(self, keys: Sequence[str]) -> list[int | None]:
        if self.toy.isolation == "read committed":
            return self._latest(keys)
        return [self.writes.get(key, self._at_snapshot(key)) for key in keys]

    def _at_snapshot(self, key: str) -> int | None:
        seen = [value for number, value in self.toy.versions.get(key, []) if number <= self.snapshot]
        return seen[-1] if seen else None

    def _latest(self, keys: Sequence[str]) -> list[int | None]:
        known = self.toy.versions
        return [self.writes.get(key, known[key][-1][1] if key in known else None) for key in keys]

    def _update(self, keys: Sequence[str], change: Callable[[int], int | None]) -> int:
        count = 0
        for key in keys:
            self._take(key)
            now = self._latest([key])[0]
            if now is not None and (value := change(now)) is not None:
                self.writes[key] = value
                count += 1
        return count

    def _insert(self, key: str, value: int) -> int:
        self._take(key)
        if self._latest([key])[0] is not None:
            raise Duplicate(key)
        self.writes[key] = value
        return 1

    def _take(self, key: str) -> None:
        """Lock a row, or the database."""
        toy = self.toy
        lock = Place("\0database") if toy.isolation == "sqlite" else Place(key[0], key)
        while toy.locks.get(lock, self.worker) != self.worker:
            wait = Wait(toy, self.worker, lock)
            toy.hub.block(wait)
            if wait.why:
                raise {"deadlock": Victim, "stuck": Stuck}[wait.why](key)
        toy.locks[lock] = self.worker
        newest = toy.commits if toy.isolation == "sqlite" else toy.versions.get(key, [(0, 0)])[-1][0]
        if toy.isolation != "read committed" and newest > self.snapshot:
            raise Serialization(key)

    def _publish(self) -> None:
        if self.writes:
            self.toy.commits += 1
        for key, value in self.writes.items():
            self.toy.versions.setdefault(key, []).append((self.toy.commits, value))
        self.undo()


class ToyArena:
    """Runs bodies on the toy."""

    def __init__(self, toy: Toy, bodies: Sequence[Body], *, crashes: int = 0, limit: int = 200) -> None:
        self.toy, self.bodies, self.crashes, self.limit = toy, bodies, crashes, limit
        self.workers = len(bodies)

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule."""
        self.toy.reset()
        hub = self.toy.hub = Hub(scheduler, crashes=self.crashes, crash=self._crash, catch=True, limit=self.limit)
        execution = hub.run([partial(self._deliver, hub, number) for number in range(self.workers)])
        return execution._replace(state=self.toy.state())

    def _crash(self, worker: int) -> None:
        self.toy.session(worker).undo()

    def _deliver(self, hub: Hub, worker: int) -> object:
        """Run a body as a message that comes again until it is acknowledged."""
        while True:
            hub.delivered()
            try:
                value = self._once(worker)
                if self.crashes:
                    hub.stand(Point("acknowledge"))
            except Crash:
                continue
            return value

    def _once(self, worker: int) -> object:
        session = self.toy.session(worker)
        try:
            value = self.bodies[worker](session)
        except Failed:
            with suppress(Failed):
                session.rollback()
            raise
        session.rollback()
        return value


def outcome(execution: Execution) -> tuple[object, ...]:
    """Give what two schedules have in common if they are the same to everybody."""
    return (tuple(ending.shown for ending in execution.endings), execution.state, execution.stuck)
