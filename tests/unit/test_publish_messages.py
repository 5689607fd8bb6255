"""Messages: what is on the wire, and what a publisher knows of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from orchestrator import publish
from orchestrator.publish import Publisher, again, messages
from worker.contract import Action, Batch, Failpoint, Isolation, Operation, Retry, Settings, Where

if TYPE_CHECKING:
    from orchestrator.broker import Broker
    from orchestrator.publish import Message

SETTINGS = Settings(
    run="r1",
    schema="rowrace_r100_1",
    scenario="credits",
    strategy="atomic",
    isolation=Isolation.READ_COMMITTED,
    retry=Retry(),
    think_ms=(0.0, 1.0),
    lock_timeout_ms=0,
    recording=True,
    seed=1,
)
OPERATIONS = [Operation(number, "grant", {"user": number, "amount": 1}) for number in range(7)]


def _packed(per_message: int) -> list[Message]:
    return list(messages(SETTINGS, "r1.4", OPERATIONS, per_message))


def test_bodies_are_celery_protocol_2() -> None:
    """A body is args, kwargs and the embedded part; the kwargs are the contract's batch."""
    body = json.loads(_packed(1)[3].body)
    assert [] == body[0]
    assert Batch(settings=SETTINGS, operations=[OPERATIONS[3]]) == msgspec.convert(body[1], Batch)
    assert dict.fromkeys(("callbacks", "errbacks", "chain", "chord")) == body[2]


def test_ids_name_run_group_and_message() -> None:
    """The same plan gives the same ids, so that publishing again is no new message."""
    assert ["r1.4.0", "r1.4.1", "r1.4.2"] == [message.id for message in _packed(3)]


def test_under_faults_a_batch_without_confirmation_does_not_end_the_race(broken: _Broken) -> None:
    """It stays unconfirmed, and no error is left that would."""
    publisher = Publisher(cast("Broker", None), len(OPERATIONS), 1, again=False, under_faults=True)
    publisher.run(_packed(1))
    assert (7, None, False) == (len(broken.sent), publisher.error, bool(publisher.confirmed.any()))


def test_what_a_broken_broker_was_sent_again_is_counted(broken: _Broken) -> None:
    """It may have arrived; the round is over, and the race goes on."""
    publisher = _publisher(again=True)
    assert 7 == publisher.repeat(again(SETTINGS, "r1.4", OPERATIONS, 1)) == len(broken.sent)
    assert ([1] * 7, None, False) == (publisher.repeated.tolist(), publisher.error, bool(publisher.confirmed.any()))


def test_what_is_published_again_was_delivered_before() -> None:
    """A message an operation, under an id of its own, and no failpoint that strikes first deliveries only."""
    once = Failpoint(where=Where.AFTER_READ, action=Action.KILL, operations=(3,))
    each = msgspec.structs.replace(once, always=True)
    settings = msgspec.structs.replace(SETTINGS, failpoints=(once, each))
    first, second = again(settings, "r1.4", [OPERATIONS[3], OPERATIONS[5]], 2)
    assert (("r1.4.3r2", 3, 4), ("r1.4.5r2", 5, 6)) == ((first.id, *_span(first)), (second.id, *_span(second)))
    batch = msgspec.convert(json.loads(first.body)[1], Batch)
    assert ((each,), [OPERATIONS[3]]) == (batch.settings.failpoints, batch.operations)


def _span(message: Message) -> tuple[int, int]:
    return message.first, message.end


@pytest.mark.parametrize("per_message", [1, 2, 3, 7, 50])
def test_every_operation_is_in_one_message(per_message: int) -> None:
    """Messages cover the plan without gap or overlap."""
    covered = [number for message in _packed(per_message) for number in range(message.first, message.end)]
    assert list(range(7)) == covered


class _Broken:
    """A broker whose batches fail as often as it is told."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.sent: list[str] = []


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> _Broken:
    """Let publishing fail twice, as after a lost connection: delivered or not, nobody knows."""
    fake = _Broken(failures=2)

    def send(_publisher: Publisher, batch: list[Message]) -> bool:
        fake.sent += [message.id for message in batch]
        fake.failures -= 1
        return fake.failures < 0

    monkeypatch.setattr(Publisher, "_send", send)
    monkeypatch.setattr(publish, "_PAUSE", 0.0)
    return fake


def _publisher(per_message: int = 1, *, again: bool) -> Publisher:
    return Publisher(cast("Broker", None), len(OPERATIONS), per_message, again=again)


def test_a_failed_batch_is_published_again_under_the_same_ids(broken: _Broken) -> None:
    """What was not confirmed is sent again, and counted."""
    publisher = _publisher(again=True)
    publisher.run(_packed(1))
    assert 3 * [f"r1.4.{number}" for number in range(7)] == broken.sent
    assert (7, 14, True) == (publisher.published, publisher.republished, bool(publisher.confirmed.all()))


def test_without_the_guard_nothing_is_published_twice(broken: _Broken) -> None:
    """Where a second delivery would do harm, an unconfirmed batch stays unconfirmed."""
    publisher = _publisher(again=False)
    publisher.run(_packed(1))
    assert 7 == len(broken.sent)
    assert (0, 0, False) == (publisher.published, publisher.republished, bool(publisher.confirmed.any()))


@pytest.mark.parametrize(
    ("message", "withdrawn"),
    [("r1.4.0", [0, 1, 2]), ("r1.4.2", [6]), ("r1.4.1.4.2", [4])],
)
def test_withdrawn_messages_were_never_published(message: str, withdrawn: list[int]) -> None:
    """A message that was taken back before anybody read it lets its operations count as unpublished."""
    publisher = _publisher(per_message=3, again=True)
    publisher.confirmed[:] = True
    publisher.withdrawn(message)
    assert withdrawn == [number for number in range(7) if not publisher.confirmed[number]]


def test_a_stopped_publisher_publishes_no_further_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once told to stop, what is left of the plan is not even drawn."""
    publisher = _publisher(again=True)
    monkeypatch.setattr(publish, "BATCH", 2)

    def send(_publisher: Publisher, _batch: list[Message]) -> bool:
        publisher.stop.set()
        return True

    monkeypatch.setattr(Publisher, "_send", send)
    plan = iter(_packed(1))
    publisher.run(plan)
    assert (2, 5) == (publisher.published, len(list(plan)))
