"""Nodes of somebody else's: they are asked, now and then, whether they still live."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, NoReturn

from orchestrator.errors import ServiceError
from orchestrator.fleet.node import OWNED
from orchestrator.patience import UNDER_FAULTS, Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.broker import Broker
    from orchestrator.fleet.model import Crew
    from orchestrator.profile import Profile

#: How long external nodes may take to answer, seconds.
_ANSWER: Final = 10.0
#: Pause between two questions to external nodes, seconds, and how many unanswered ones in a row mean that one is gone;
#: a solo pool answers only between its tasks.
_ASK: Final = 5.0
_UNANSWERED: Final = 3
#: How long they may take to answer one, and to be back once the race is over, seconds: who was cut off connects anew,
#: and who ended is started again.
_HEARD: Final = 1.0
_BACK: Final = 15.0


class External:
    """Nodes that listen already: watched, never touched.

    One that is cut off for a while and answers again has lost nothing: what it wrote meanwhile it ships by itself.
    """

    remote = True

    def __init__(self, profile: Profile, broker: Broker, names: list[str]) -> None:
        self.nodes, self.hosts, self.processes = profile.nodes, profile.hosts, profile.nodes
        self._broker = broker
        #: Questions in a row that each node has left unanswered.
        self._silence = dict.fromkeys(names, 0)
        #: Faults may cut all of them off, or the broker; those are healed in time.
        self._patience, self._back = (UNDER_FAULTS, _BACK) if profile.faults else (0.0, 0.0)
        self._unasked = Patience(self._patience)
        self._all_silent_since: float | None = None
        self._next = time.monotonic() + _ASK

    def missing(self) -> list[str]:
        """Ask, now and then; who does not answer may come back, so nothing is missing before the end."""
        if time.monotonic() < self._next:
            return []
        try:
            self._ask(list(self._silence))
            self._unasked.fine()
        except ServiceError as error:
            self._unasked.failed(error)
        self._next = time.monotonic() + _ASK
        return []

    def save(self) -> list[str]:
        """Name those that were silent and don't answer any more; nothing of theirs is within reach."""
        deadline = time.monotonic() + self._back
        with contextlib.suppress(ServiceError):  # a broker that is away is told elsewhere
            while silent := [name for name, count in self._silence.items() if count]:
                self._ask(silent)
                counts = [self._silence[name] for name in silent]
                if time.monotonic() > deadline and not any(0 < count < _UNANSWERED for count in counts):
                    break
        gone = [name for name, count in self._silence.items() if count >= _UNANSWERED]
        return [f"node {name} answers no more: what it had not shipped is missing" for name in gone]

    def none_left(self) -> bool:
        """Say whether all are silent, for longer than faults keep them away."""
        return self._all_silent_since is not None and time.monotonic() - self._all_silent_since >= self._patience

    def _ask(self, names: list[str]) -> None:
        answered = set(self._broker.ping(_HEARD, names))
        self._silence.update({name: 0 if name in answered else self._silence[name] + 1 for name in names})
        if any(count < _UNANSWERED for count in self._silence.values()):
            self._all_silent_since = None
        elif self._all_silent_since is None:
            self._all_silent_since = time.monotonic()

    def ready(self, broker: Broker) -> None:
        """Somebody else sees to that."""

    def revived(self) -> dict[str, int]:
        """None is started again by us."""
        return {}

    def names(self) -> tuple[str, ...]:
        """Refuse."""
        return _refuse()

    def forks(self) -> bool:
        """Refuse."""
        return _refuse()

    def pid(self, node: str) -> int | None:
        """Refuse."""
        return _refuse(node)

    def children(self, node: str) -> list[int]:
        """Refuse."""
        return _refuse(node)

    def signal(self, node: str, number: int) -> None:
        """Refuse."""
        _refuse(node, number)

    def kill(self, node: str) -> None:
        """Refuse."""
        _refuse(node)

    def start(self, node: str) -> None:
        """Refuse."""
        _refuse(node)

    def expect(self, node: str) -> Callable[[], None]:
        """Refuse."""
        return _refuse(node)


def _refuse(*_: object) -> NoReturn:
    raise ServiceError(
        "External workers are not ours to strike: leave their faults away, or let the run spawn its nodes "
        "(--workers spawn)."
    )


@contextlib.contextmanager
def listening(profile: Profile, broker: Broker) -> Iterator[Crew]:
    """Have the nodes that answer take the run's messages, for a `with` block; fewer than promised are refused."""
    found = _answering(profile.nodes, broker)
    hosts = {name.partition("@")[2] for name in found}
    if len(found) < profile.nodes:
        raise ServiceError(
            f"{len(found)} worker nodes answer and {profile.nodes} are expected; start them with "
            "`celery -A worker worker`, or ask for fewer with --expect-nodes."
        )
    if len(hosts) < profile.hosts:
        raise ServiceError(f"The worker nodes span {len(hosts)} hosts and {profile.hosts} are expected (--hosts).")
    try:
        for name in found:
            broker.listen(name)
        yield External(profile, broker, found)
    finally:
        for name in found:
            with contextlib.suppress(ServiceError, OSError):
                broker.unlisten(name)


def _answering(wanted: int, broker: Broker) -> list[str]:
    """Name every node that is nobody's own, as soon as enough answer."""
    found: set[str] = set()
    deadline = time.monotonic() + _ANSWER
    while len(found) < wanted and time.monotonic() < deadline:
        found.update(name for name in broker.workers(1.0) if not OWNED.fullmatch(name))
    return sorted(found)
