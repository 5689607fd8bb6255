"""A publisher after a kill: it knows what was confirmed, and what was in doubt is settled by what is found of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from orchestrator import publish, watermark
from orchestrator.producer import Producer
from orchestrator.profile import Profile
from orchestrator.progress import FAILED, Progress
from orchestrator.publish import Publisher, messages
from orchestrator.resume_found import Found
from orchestrator.watermark import PUBLISHED_FILE, Published, Range, Watermark
from tests.unit.test_producer import _Database
from tests.unit.test_publish_messages import OPERATIONS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.broker import Broker
    from orchestrator.publish import Message

ALL = list(messages(SETTINGS, "r1.4", OPERATIONS, 1))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of what goes to the broker, which takes all."""
    found: list[str] = []

    def send(_publisher: Publisher, batch: list[Message]) -> bool:
        found.extend(message.id for message in batch)
        return True

    monkeypatch.setattr(Publisher, "_send", send)
    monkeypatch.setattr(publish, "BATCH", 3)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the group's watermark is."""
    return tmp_path / PUBLISHED_FILE


@pytest.fixture
def mark(path: Path) -> Iterator[Watermark]:
    """The watermark, open."""
    with Watermark(path) as opened:
        yield opened


def _publisher(mark: Watermark) -> Publisher:
    return Publisher(cast("Broker", None), len(OPERATIONS), 1, again=True, mark=mark)


def test_every_batch_is_noted(mark: Watermark, path: Path, sent: list[str]) -> None:
    """What was sent and confirmed is in no doubt."""
    _publisher(mark).run(ALL)
    assert (7, Published((Range(0, 7),), ())) == (len(sent), watermark.read(path))


def test_a_batch_that_failed_is_in_doubt(mark: Watermark, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been delivered; what follows was not begun."""
    monkeypatch.setattr(Publisher, "_send", lambda _self, batch: batch[0].first == 0)
    monkeypatch.setattr(publish, "BATCH", 3)
    monkeypatch.setattr(publish, "_PAUSE", 0.0)
    _publisher(mark).run(ALL)
    found = watermark.read(path)
    assert (((Range(0, 3),), (Range(3, 6),), ()), 6) == (found, found.end())


def test_what_is_published_once_more_is_noted(mark: Watermark, path: Path, sent: list[str]) -> None:
    """So that a resumed run counts it too."""
    _publisher(mark).repeat([ALL[5], ALL[2]])
    resumed = _publisher(mark)
    resumed.take_up(watermark.read(path))
    assert (2, [2, 5]) == (len(sent), np.flatnonzero(resumed.repeated).tolist())


def test_doubt_is_settled_by_what_is_found(mark: Watermark, path: Path, sent: list[str]) -> None:
    """What the broker or a worker has is confirmed, the rest is published under its own ids, and no doubt is left."""
    mark.about_to(0, 3)
    mark.confirmed(0, 3)
    mark.about_to(3, 6)
    publisher = _publisher(mark)
    publisher.take_up(watermark.read(path))
    begun = np.zeros(len(OPERATIONS), dtype=np.bool_)
    begun[4] = True
    found = Found(group=4, published=watermark.read(path), ids=frozenset({"r1.4.3"}), begun=begun)
    assert 1 == publisher.settle(ALL[3:6], found.has)
    assert (["r1.4.5"], 6, [True] * 6 + [False]) == (sent, publisher.published, publisher.confirmed.tolist())
    assert Published((Range(0, 6),), ()) == watermark.read(path)


def test_messages_go_on_with_their_numbers(sent: list[str]) -> None:
    """A plan's rest has the ids that the whole would have given it."""
    rest = messages(SETTINGS, "r1.4", OPERATIONS[4:], 2, 2)
    assert [(each.id, each.first) for each in messages(SETTINGS, "r1.4", OPERATIONS, 2)][2:] == [
        (each.id, each.first) for each in rest
    ]
    assert [] == sent


def test_a_producer_knows_what_it_had_rolled_back(sent: list[str]) -> None:
    """That was never published, and nobody will run it; what it publishes on resuming is what it asks for."""
    profile = Profile(operations=9)
    progress = Progress(9, lambda _table, _data: None)
    told: list[tuple[str, list[int]]] = []
    producer = Producer(cast("Broker", None), profile, _Database(told), progress, again=True)
    producer.take_up(Published((Range(0, 6),), (Range(6, 9),)))
    assert ([0, 2, 3, 5], [1, 4]) == (
        np.flatnonzero(producer.confirmed).tolist(),
        np.flatnonzero(progress.states == FAILED).tolist(),
    )
    doubtful = [publish.Message(f"r1.4.{number}", "", number, number + 1) for number in (6, 7, 8)]
    assert 2 == producer.settle(doubtful, lambda _message: False)
    assert (["r1.4.6", "r1.4.8"], [0, 2, 3, 5, 6, 8]) == (sent, np.flatnonzero(producer.confirmed).tolist())
    assert [("begin", [7]), ("rollback", [7]), ("begin", [6, 8]), ("commit", [6, 8])] == told
