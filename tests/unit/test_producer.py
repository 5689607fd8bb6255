"""The producer: what it asks for, what it publishes, and in which order, with each of its mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from orchestrator import producer as module
from orchestrator.plan import plan
from orchestrator.producer import ROLLED_BACK, Producer, Requests
from orchestrator.profile import Profile
from orchestrator.progress import FAILED, UNSETTLED, Progress
from orchestrator.publish import Publisher, messages
from tests.unit.test_publish_messages import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from orchestrator.broker import Broker
    from orchestrator.publish import Message

#: Of nine operations those whose requests are rolled back, where the seed is 1.
ROLLED = [1, 4, 7]
KEPT = [0, 2, 3, 5, 6, 8]


class _Database(Requests):
    """Requests that are told and not inserted."""

    def __init__(self, told: list[tuple[str, list[int]]]) -> None:
        self.told = told
        self.closed = False

    def ask(self, numbers: NDArray[np.int64], within: Callable[[], None], *, commit: bool) -> None:
        """Tell of a transaction's begin and end."""
        self.told.append(("begin", numbers.tolist()))
        within()
        self.told.append(("commit" if commit else "rollback", numbers.tolist()))

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Told:
    """A producer between a database and a broker that only tell what they are asked."""

    def __init__(self, **keys: Any) -> None:  # noqa: ANN401 - a profile's keys
        self.profile = Profile(**{"operations": 9, **keys})
        self.told: list[tuple[str, list[int]]] = []
        self.database = _Database(self.told)
        self.progress = Progress(self.profile.operations, lambda _table, _data: None)
        self.publishes, self.runs, self.stops = True, True, False
        self.producer = Producer(cast("Broker", None), self.profile, self.database, self.progress, again=False)

    def send(self, batch: list[Message]) -> bool:
        """Stand for the broker: what has been published is soon run, and settled."""
        numbers = [number for each in batch for number in range(each.first, each.end)]
        self.told.append(("publish", numbers))
        if self.runs:
            self.progress.states[numbers] = FAILED
        if self.stops:
            self.producer.stop.set()
        return self.publishes

    def run(self) -> list[tuple[str, list[int]]]:
        """Produce the plan."""
        stream = plan(self.profile, "requests")
        self.producer.run(messages(SETTINGS, "r1.1", stream, self.profile.per_message))
        return self.told


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[Told], Told]:
    """Put a teller in the place of the broker."""

    def install(told: Told) -> Told:
        monkeypatch.setattr(Publisher, "_send", lambda _self, batch: told.send(batch))
        monkeypatch.setattr("orchestrator.publish._PAUSE", 0.0)
        return told

    return install


def test_requests_are_committed_before_anything_is_published(sent: Callable[[Told], Told]) -> None:
    """What is rolled back is never published, counts as ended, and is not confirmed."""
    told = sent(Told())
    expected = [("begin", ROLLED), ("rollback", ROLLED), ("begin", KEPT), ("commit", KEPT), ("publish", KEPT)]
    assert expected == told.run()
    assert KEPT == np.flatnonzero(told.producer.confirmed).tolist()
    assert (True, 9, True) == (told.progress.settled(), told.producer.published, told.database.closed)
    assert not told.progress.unfinished().any()


def test_publishing_before_commit_waits_for_the_tasks(sent: Callable[[Told], Told]) -> None:
    """Within the transaction that inserts; what is rolled back stays unpublished."""
    told = sent(Told(mistakes=("publish-before-commit",)))
    expected = [("begin", ROLLED), ("rollback", ROLLED), ("begin", KEPT), ("publish", KEPT), ("commit", KEPT)]
    assert expected == told.run()


def test_publishing_before_rollback_publishes_all(sent: Callable[[Told], Told]) -> None:
    """Those that are kept are published when they should be."""
    told = sent(Told(mistakes=("publish-before-rollback",)))
    assert [
        ("begin", ROLLED),
        ("publish", ROLLED),
        ("rollback", ROLLED),
        ("begin", KEPT),
        ("commit", KEPT),
        ("publish", KEPT),
    ] == told.run()
    assert told.producer.confirmed.all()


def test_the_wait_before_commit_is_bounded(sent: Callable[[Told], Told], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that nobody runs hold no transaction open for ever."""
    monkeypatch.setattr(module, "_WAIT", 0.0)
    told = sent(Told(mistakes=("publish-before-commit",)))
    told.runs = False
    assert ("commit", KEPT) == told.run()[-1]
    assert UNSETTLED == told.progress.states[KEPT].max()


def test_a_stop_ends_the_wait_before_commit(sent: Callable[[Told], Told]) -> None:
    """An interrupted run commits what it has published, at once."""
    told = sent(Told(mistakes=("publish-before-commit",)))
    told.runs, told.stops = False, True
    assert ("commit", KEPT) == told.run()[-1]


@pytest.mark.parametrize("seed", range(3))
def test_the_seed_says_with_which_message_rolling_back_begins(sent: Callable[[Told], Told], seed: int) -> None:
    """A message's operations share a transaction, and every third is rolled back."""
    told = sent(Told(seed=seed, per_message=2, operations=11))
    (_, rolled), *_ = told.run()
    assert [number for number in range(11) if number // 2 % ROLLED_BACK == seed] == rolled


def test_a_producer_that_can_not_publish_ends(sent: Callable[[Told], Told]) -> None:
    """As a publisher does; its requests are committed all the same."""
    told = sent(Told())
    told.publishes = False
    told.run()
    assert (("publish", KEPT), False) == (told.told[-1], bool(told.producer.confirmed.any()))
    assert told.database.closed


@pytest.mark.parametrize("mistake", ["publish-before-commit", "publish-before-rollback"])
def test_a_mistaken_producer_that_can_not_publish_ends(sent: Callable[[Told], Told], mistake: str) -> None:
    """Its first failure is its last."""
    told = sent(Told(mistakes=(mistake,)))
    told.publishes = False
    assert 1 == [name for name, _ in told.run()].count("publish")
