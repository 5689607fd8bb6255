"""The run's queue on a real broker: publishing into it, counting, taking back, removing."""

from __future__ import annotations

import json
import secrets
import socket
from typing import TYPE_CHECKING, Any

import pytest
import redis

from orchestrator.broker import Broker, leftovers, unacked_of
from orchestrator.errors import ServiceError
from orchestrator.plan import plan
from orchestrator.profile import Profile
from orchestrator.publish import BATCH, Publisher, messages
from worker.contract import UNACKED, Isolation, Retry, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    """A run of its own on the shared broker."""
    opened = Broker(broker_url, secrets.token_hex(9))
    yield opened
    opened.remove()
    opened.close()


@pytest.fixture
def client(broker_url: str) -> Iterator[Any]:
    """The broker as it is, for looking inside."""
    with redis.Redis.from_url(broker_url) as opened:
        yield opened


def _publish(broker: Broker, count: int, per_message: int = 1) -> Publisher:
    settings = Settings(
        run="abcd",
        schema="rowrace_abcd_1",
        scenario="credits",
        strategy="atomic",
        isolation=Isolation.READ_COMMITTED,
        retry=Retry(),
        think_ms=(0.0, 0.0),
        lock_timeout_ms=0,
        recording=True,
        seed=1,
    )
    publisher = Publisher(broker, count, per_message, again=True)
    stream = plan(Profile(operations=count), "credits")
    publisher.run(messages(settings, "abcd.1", stream, per_message))
    return publisher


@pytest.mark.parametrize("per_message", [1, 7])
def test_published_messages_are_in_the_queue_once(broker: Broker, client: Any, per_message: int) -> None:  # noqa: ANN401 - redis-py's types don't help
    """Every message is there, confirmed, in the plan's order, across batches."""
    count = 2 * BATCH + 3
    publisher = _publish(broker, count, per_message)
    expected = -(-count // per_message)
    assert (expected, True) == (broker.waiting(), bool(publisher.confirmed.all()))
    taken = [json.loads(each)["headers"]["id"] for each in client.lrange(broker.queue, 0, -1)]
    assert [f"abcd.1.{number}" for number in range(expected)] == taken[::-1]  # workers take from the right


def test_publishing_leaves_no_binding(broker: Broker, client: Any) -> None:  # noqa: ANN401 - as above
    """The default exchange needs none, so a queue is all there is to remove."""
    _publish(broker, 3)
    assert [] == list(client.scan_iter(f"_kombu.binding*{broker.queue}"))


def test_publishing_to_a_broker_that_is_gone_confirms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is kept, not raised, so that the loop that follows the journal can tell it."""
    monkeypatch.setattr("orchestrator.publish._PAUSE", 0.0)
    gone = Broker("redis://127.0.0.1:1/0", "abcd")
    publisher = _publish(gone, 3)
    gone.close()
    assert (0, False, True) == (publisher.published, bool(publisher.confirmed.any()), publisher.error is not None)


def test_a_silent_broker_is_one_sentence_without_its_password() -> None:
    """Whatever is asked of it."""
    gone = Broker("redis://:secret@127.0.0.1:1/0", "abcd")
    with pytest.raises(ServiceError) as raised:
        gone.waiting()
    gone.close()
    assert "does not answer" in str(raised.value)
    assert "secret" not in str(raised.value)


def _take(client: Any, broker: Broker, tag: str, queue: str | None = None) -> None:  # noqa: ANN401 - as above
    """Take a message as kombu's consumer does: out of the list, into the hash and the index of unacknowledged ones."""
    message = json.loads(client.rpop(broker.queue))
    client.hset(UNACKED, tag, json.dumps([message, "", queue or broker.queue]))
    client.zadd(f"{UNACKED}_index", {tag: 1})


def test_only_the_run_s_own_unacknowledged_messages_count(broker: Broker, client: Any) -> None:  # noqa: ANN401 - as above
    """The hash is shared by every queue that external nodes listen to."""
    _publish(broker, 3)
    mine, theirs = secrets.token_hex(8), secrets.token_hex(8)
    _take(client, broker, mine)
    _take(client, broker, theirs, queue="somebody-elses")
    try:
        assert (1, 1, False) == (broker.waiting(), broker.unacknowledged(), broker.empty())
        broker.remove()
        assert (0, 0, True) == (broker.waiting(), broker.unacknowledged(), broker.empty())
        assert client.hexists(UNACKED, theirs)
        assert not client.zscore(f"{UNACKED}_index", mine)
    finally:
        client.hdel(UNACKED, theirs)
        client.zrem(f"{UNACKED}_index", theirs)


def test_withdrawing_names_every_message_that_nobody_took(broker: Broker, client: Any) -> None:  # noqa: ANN401 - as above
    """What is taken back counts as unpublished; what a worker holds stays confirmed."""
    publisher = _publish(broker, 5)
    client.rpop(broker.queue)
    client.lpush(broker.queue, "what nobody here has written")
    for message in broker.withdraw():
        publisher.withdrawn(message)
    assert 0 == broker.waiting()
    assert [True, False, False, False, False] == publisher.confirmed.tolist()


def test_leftovers_are_found_by_run(broker: Broker, broker_url: str) -> None:
    """A queue that an ended run left names its run."""
    run = broker.queue.removeprefix("rowrace.")
    _publish(broker, 1)
    broker.close()
    assert run in leftovers(broker_url)
    broker.remove()
    broker.close()
    assert run not in leftovers(broker_url)


def test_a_connected_run_has_no_leftovers(broker: Broker, broker_url: str) -> None:
    """Its database may be another one than that which is asked whether it lives."""
    _publish(broker, 1)
    broker.check()
    assert broker.queue.removeprefix("rowrace.") not in leftovers(broker_url)


def test_nothing_of_a_run_stays_on_the_broker(broker: Broker, client: Any) -> None:  # noqa: ANN401 - as above
    """Its nodes' own record of what they took goes with the queue."""
    run = broker.queue.removeprefix("rowrace.")
    _publish(broker, 2)
    client.hset(unacked_of(run), "tag", json.dumps([json.loads(client.rpop(broker.queue)), "", broker.queue]))
    client.zadd(f"{unacked_of(run)}_index", {"tag": 1})
    client.set(f"{unacked_of(run)}_mutex", "held by a node that was killed")
    assert (1, 1) == (broker.waiting(), broker.unacknowledged())
    broker.remove()
    assert [] == list(client.scan_iter(f"*{run}*"))


def test_a_broker_that_hangs_ends_a_publication(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing: the publisher gives up, and the run with it."""
    monkeypatch.setattr("orchestrator.publish._PAUSE", 0.0)
    monkeypatch.setattr("orchestrator.broker._PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = Broker(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "abcd")
        publisher = _publish(hung, 1)
        hung.close()
    assert (0, True) == (publisher.published, publisher.error is not None)
