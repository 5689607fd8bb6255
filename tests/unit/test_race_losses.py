"""A race over a broker that loses messages: it goes on as long as something may come, and says drained only then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import publish, race
from orchestrator.ending import End
from orchestrator.interrupt import Interrupt
from orchestrator.progress import Progress
from orchestrator.publish import Message, Publisher
from orchestrator.race import Limits, NoFaults, Race
from worker.contract import COUNTER_BITS, EndLine, Outcome, StartLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 20
#: Messages in one round trip.
BATCH = 5


class Broker:
    """Loses what is published, until it is told to keep it; what it keeps is done before long."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.keeps = False
        self.refuses: set[int] = set()
        self.sent = 0

    def send(self, batch: list[Message]) -> bool:
        """Take a batch, by its number from 1, or not."""
        self.sent += 1
        if self.sent in self.refuses:
            return False
        self.kept += [each.first for each in batch] if self.keeps else []
        return True

    def empty(self) -> bool:
        """Say whether nothing is left."""
        return not self.kept

    def withdraw(self) -> Iterator[str]:
        """Take nothing back."""
        return iter(())


class Run:
    """A race without services: a worker of one thread, which is the journal's reader."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, missing: Callable[[int], list[Message]] | None = None) -> None:
        monkeypatch.setattr(publish, "BATCH", BATCH)
        monkeypatch.setattr(race, "_SHIPPING", 0.2)
        self.broker = Broker()
        broker: Any = self.broker
        self.publisher = Publisher(broker, MOST, 1, again=True, under_faults=True)
        monkeypatch.setattr(self.publisher, "_send", self.broker.send)
        self.progress = Progress(MOST, lambda _table, _data: None)
        line: Any = SimpleNamespace(patience=SimpleNamespace(seconds=1.0, fine=lambda: None), get=lambda: None)
        self.race = Race(
            line, "rowrace_abcd_1", broker, self.publisher, self.progress, faults=NoFaults(), missing=missing
        )
        monkeypatch.setattr(self.race, "_tail", SimpleNamespace(read=lambda _connection: self._work()))

    def _work(self) -> Iterator[tuple[str, bytes]]:
        for operation in self.broker.kept[:1]:
            token = 7 << COUNTER_BITS | operation
            self.progress.open[token] = StartLine(token, operation, 1, 0, 1, 1, 1, redelivered=False)
            self.progress._end(EndLine(token, Outcome.OK, None, final=True, mono_ns=2, accesses=[]))
            del self.broker.kept[0]
        return iter(())

    def end(self) -> race.Ending:
        """Race."""
        fleet: Any = SimpleNamespace(remote=False, missing=list, none_left=lambda: False, save=list)
        watch: Any = SimpleNamespace(progress=lambda *_: None)
        limits = Limits(timeout=20, grace=0.2)
        return self.race.run(iter(_messages(0)), limits, fleet, watch, Interrupt())


def _messages(_round: int) -> list[Message]:
    return [Message(f"abcd.1.{number}", "", number, number + 1) for number in range(MOST)]


@pytest.mark.parametrize("refused", [5, 6], ids=["nothing", "a part"])
def test_a_round_that_the_broker_took_in_part_is_awaited(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    """And the rest is published in the next."""
    run: Run

    def missing(_round: int) -> list[Message]:
        run.broker.keeps = True
        return [each for each in _messages(0) if not run.progress.states[each.first]]

    run = Run(monkeypatch, missing)
    run.broker.refuses = {refused}
    assert (End.SETTLED, MOST) == (run.end().why, run.progress.ended())


def test_publishing_goes_on_beyond_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """More is lost than may be under way: the rest of the plan is published all the same."""
    for module in (publish, race):
        monkeypatch.setattr(module, "WINDOW", 7)
    run = Run(monkeypatch)
    assert (End.DRAINED, MOST) == (run.end().why, run.publisher.published)
