"""Nodes that are spawned for a run, killed and started again at a fault's will, and always stopped."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import psycopg

from orchestrator.errors import ServiceError
from orchestrator.fleet import node as nodes
from orchestrator.profile import Pool
from orchestrator.services.process import Birth, deferred_signals
from orchestrator.watchdog import Kind
from worker.postgres import connect
from worker.shipper import ship_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from threading import Event

    from orchestrator.broker import Broker
    from orchestrator.fleet.model import Crew, Place
    from orchestrator.fleet.node import Node
    from orchestrator.profile import Profile

#: How long spawned nodes may take to answer, seconds.
_PATIENCE: Final = 90.0
#: How long nodes that faults took away may take to be back before the next group, seconds.
_READY: Final = 20.0
#: Warm shutdown (finish what runs), cold shutdown, the end; each with the seconds that it may take.
_SIGNALS: Final = ((signal.SIGTERM, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
#: Pause after journals could not be saved, seconds.
_AGAIN: Final = 1.0
#: A node that ended younger than this, seconds, ended at once; so often in a row, and it is given up.
_YOUNG: Final = 10.0
_FUTILE: Final = 10


class Spawned:
    """The run's own nodes; a race watches them from its thread, while faults strike from another."""

    remote = False

    def __init__(self, profile: Profile, place: Place) -> None:
        self.nodes, self.hosts = profile.nodes, 1
        self.processes = profile.nodes * (profile.concurrency if profile.pool is Pool.PREFORK else 1)
        self._profile, self._place = profile, place
        self._current: dict[str, Node] = {}
        self._expected: Counter[str] = Counter()
        #: What comes and goes does so under this lock.
        self._lock = threading.RLock()
        #: Ended nodes may have left lines that are not shipped; not looked at again before this time.
        self._unsaved = False
        self._next = 0.0
        self._closed = False
        self._revived: Counter[str] = Counter()
        #: How often in a row a node has ended at once.
        self._futile: Counter[str] = Counter()
        # Nodes end with the thread that started them, and a fault's thread ends long before the fleet does.
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rowrace spawner")

    def missing(self) -> list[str]:
        """Save what ended nodes have left; where that fails it is tried again, `save` being the last to try."""
        with self._lock:
            self._sweep(self._current.values())
            if self._place.supervised:
                self._revive()
        if self._unsaved and time.monotonic() >= self._next:
            self._unsaved = False
            if self._ship() is not None:
                self._unsaved, self._next = True, time.monotonic() + _AGAIN
        return []

    def _revive(self) -> None:
        """Start what has ended by itself again; what a fault has ended comes back with its healing."""
        for name, each in self._current.items():
            if self._closed or each.lives() or self._expected[name] or self._futile[name] >= _FUTILE:
                continue
            self._futile[name] = self._futile[name] + 1 if each.age() < _YOUNG else 0
            self._revived[name] += 1
            self.start(name)

    def ready(self, broker: Broker) -> None:
        """Start what has ended, and wait for it; who does not come back in time is missed by the verdict."""
        names = [nodes.address(self._place.run, name) for name in self._current]
        deadline = time.monotonic() + _READY
        while self._place.supervised and names and time.monotonic() < deadline:
            self.missing()
            names = sorted(set(names) - set(broker.ping(1.0, names)))

    def revived(self) -> dict[str, int]:
        """Count starts of nodes that had ended by themselves."""
        return dict(self._revived)

    def save(self) -> list[str]:
        """Ship every node's journals, dead or alive."""
        error = self._ship()
        return [] if error is None else [f"journals: what {', '.join(self.names())} did not ship is missing ({error})"]

    def _ship(self) -> str | None:
        """Ship what lies in the journals' folder; a class of error where that fails."""
        try:
            ship_all(self._place.journals, lambda: connect(self._place.database_url, "rowrace", ""))
        except (psycopg.Error, OSError) as error:
            return type(error).__name__
        return None

    def _sweep(self, some: Iterable[Node]) -> None:
        """Let nothing of ended nodes be left, so that nothing is written once all is shipped."""
        ended = [each for each in some if not each.swept and not each.lives()]
        if ended:
            nodes.sweep(ended)
            self._swept(ended)

    def _swept(self, ended: Iterable[Node]) -> None:
        """Note that journals are to be saved; numbers that the system may give away are watched no more."""
        self._unsaved = True
        for each in ended:
            if self._place.watchdog is not None:
                self._place.watchdog.drop(each.child.pid)

    def none_left(self) -> bool:
        """Say whether all have ended, and none is expected back."""
        with self._lock:
            hoped = self._place.supervised and any(self._futile[name] < _FUTILE for name in self._current)
            back = hoped or self._expected.total() > 0
            return not back and not any(each.lives() for each in self._current.values())

    def names(self) -> tuple[str, ...]:
        """Name the nodes, dead ones too."""
        return tuple(self._current)

    def forks(self) -> bool:
        """Say whether the pools consist of processes."""
        return self._profile.pool is Pool.PREFORK

    def pid(self, node: str) -> int | None:
        """Number of the node's main process."""
        with self._lock:
            return self._current[node].child.pid if self._current[node].lives() else None

    def children(self, node: str) -> list[int]:
        """Numbers of the processes of a prefork pool."""
        if not self.forks():
            return []
        with self._lock:
            return self._current[node].children()

    def signal(self, node: str, number: int) -> None:
        """Signal the node's main process."""
        with self._lock:
            self._current[node].signal(number)

    def kill(self, node: str) -> None:
        """Kill the node and its pool."""
        with self._lock:
            if not (struck := self._current[node]).swept:
                struck.kill()
                self._swept([struck])

    def start(self, node: str) -> None:
        """Start a dead node again; one that lives is left alone, for another fault may have been quicker."""
        with self._lock:
            if self._closed:
                raise ServiceError(f"{node} is not started again: its fleet has ended.")
            before = self._current.get(node)
            if before is not None:
                if before.lives():
                    return
                self._sweep([before])
            made = self._spawner.submit(nodes.spawn, self._profile, self._place, node).result()
            self._current[node] = made
            birth = Birth.of(made.child.pid)
            if self._place.watchdog is not None and birth is not None:
                self._place.watchdog.add(birth, Kind.NODE)

    def expect(self, node: str) -> Callable[[], None]:
        """Count the node as expected back, until the answer is called."""
        with self._lock:
            self._expected[node] += 1

        def back() -> None:
            with self._lock:
                self._expected[node] -= 1

        return back

    def wait(self, broker: Broker) -> None:
        """Wait until every node answers; one that ends, or stays silent, is an error that names its log."""
        names = [nodes.address(self._place.run, name) for name in self._current]
        deadline = time.monotonic() + _PATIENCE
        missing = names
        while missing:
            for each in self._current.values():
                if not each.lives():
                    raise ServiceError(f"Worker {each.name} ended before it was ready: {self._why(each.name)}")
            if time.monotonic() > deadline:
                first = missing[0].partition("-")[0]
                raise ServiceError(f"Worker {first} did not answer within {_PATIENCE:g} s: {self._why(first)}")
            missing = sorted(set(missing) - set(broker.ping(1.0, missing)))

    def _why(self, name: str) -> str:
        log = self._place.logs / f"{name}.log"
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"its last words are «{lines[-1][:200] if lines else 'none'}», the rest is in {log}."

    def end(self, hurry: Event) -> None:
        """Stop the nodes, then what is left of their pools; none is started again."""
        with self._lock:
            self._closed = True
        left = [each for each in self._current.values() if not each.swept]
        for number, patience in _SIGNALS:
            for each in left:
                each.signal(number)
                each.resume()
            deadline = time.monotonic() + patience
            while any(each.lives() for each in left) and time.monotonic() < deadline:
                if hurry.is_set() and number == signal.SIGTERM:
                    break
                time.sleep(nodes.TICK)
        self._sweep(left)
        self._spawner.shutdown()


@contextlib.contextmanager
def spawning(profile: Profile, broker: Broker, place: Place, hurry: Event) -> Iterator[Crew]:
    """Spawn the profile's nodes for a `with` block, all of them answering."""
    fleet = Spawned(profile, place)
    try:
        for number in range(1, profile.nodes + 1):
            with deferred_signals():
                fleet.start(f"node{number}")
        fleet.wait(broker)
        yield fleet
    finally:
        fleet.end(hurry)
