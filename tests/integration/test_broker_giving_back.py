"""What killed workers had taken goes back into the queue at once, as kombu itself would have put it there."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest
import redis
from kombu.transport.redis import Mutex

from orchestrator.broker import Broker, unacked_of
from orchestrator.plan import plan
from orchestrator.profile import Profile
from orchestrator.publish import Publisher, messages
from worker.app import create
from worker.config import read
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


def _publish(broker: Broker, count: int) -> None:
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
    stream = messages(settings, "abcd.1", plan(Profile(operations=count), "credits"), 1)
    Publisher(broker, count, 1, again=True).run(stream)


def _taken(broker: Broker, count: int) -> None:
    """Take messages as a worker of the run does, by kombu itself, and be killed before they are acknowledged."""
    unacked = unacked_of(broker.queue.removeprefix("rowrace."))
    options = {"unacked_key": unacked, "unacked_index_key": f"{unacked}_index", "unacked_mutex_key": f"{unacked}_mutex"}
    broker.app.conf.broker_transport_options = options
    with broker.app.connection_for_read(transport_options=options) as connection:
        channel: Any = connection.channel()  # its types know no channel of a virtual transport
        for _ in range(count):
            assert channel.basic_get(broker.queue) is not None
        channel.qos._delivered.clear()  # or it would give them back itself
        channel.qos._dirty.clear()


def test_a_node_killed_while_it_gives_messages_again_keeps_others_from_it_for_seconds(
    broker_url: str,
    client: Any,  # noqa: ANN401 - redis-py's types don't help
) -> None:
    """By kombu's own default the mutex would stand for five minutes, and no message came again until then."""
    key = f"rowrace:{secrets.token_hex(9)}"
    app = create(read({"ROWRACE_BROKER_URL": broker_url, "ROWRACE_UNACKED": key}))
    with app.connection_for_read() as connection:
        channel: Any = connection.channel()  # its types know no channel of a virtual transport
        with Mutex(client, channel.unacked_mutex_key, channel.unacked_mutex_expire):
            assert 0 < client.pttl(f"{key}_mutex") <= 10_000


def _number(message: bytes) -> int:
    return int(json.loads(message)["headers"]["id"].rpartition(".")[2])


def test_taken_messages_come_first_and_as_redelivered(broker: Broker, client: Any) -> None:  # noqa: ANN401 - redis-py's types don't help
    """Workers take from the right; nothing of theirs stays in the books."""
    _publish(broker, 5)
    _taken(broker, 2)
    assert (3, 2) == (broker.waiting(), broker.unacknowledged())
    assert 2 == broker.give_back()
    assert (5, 0) == (broker.waiting(), broker.unacknowledged())
    waiting = client.lrange(broker.queue, 0, -1)
    assert [4, 3, 2] == [_number(each) for each in waiting[:3]]
    assert {0, 1} == {_number(each) for each in waiting[3:]}
    marks = [
        (message["headers"].get("redelivered"), message["properties"]["delivery_info"].get("redelivered"))
        for message in map(json.loads, waiting)
    ]
    assert [(None, None)] * 3 + [(True, True)] * 2 == marks
    assert 0 == client.exists(f"{unacked_of(broker.queue.removeprefix('rowrace.'))}_index")


def test_giving_back_twice_gives_nothing_twice(broker: Broker) -> None:
    """Nothing is left to give."""
    _publish(broker, 2)
    _taken(broker, 2)
    assert [2, 0] == [broker.give_back(), broker.give_back()]
    assert 2 == broker.waiting()


def test_what_external_nodes_hold_is_theirs(broker: Broker, client: Any) -> None:  # noqa: ANN401 - as above
    """They live on, and acknowledge it."""
    _publish(broker, 2)
    tag = secrets.token_hex(8)
    client.hset(UNACKED, tag, json.dumps([json.loads(client.rpop(broker.queue)), "", broker.queue]))
    assert (0, 1) == (broker.give_back(), broker.unacknowledged())


def test_every_message_is_named_wherever_it_is(broker: Broker, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - as above
    """Waiting, taken by the run's own nodes, or by external ones; a stranger's has no name."""
    monkeypatch.setattr("orchestrator.broker._PIECE", 2)
    _publish(broker, 7)
    _taken(broker, 1)
    client.hset(UNACKED, secrets.token_hex(8), json.dumps([json.loads(client.rpop(broker.queue)), "", broker.queue]))
    client.lpush(broker.queue, "what nobody here has written")
    assert {f"abcd.1.{number}" for number in range(7)} == broker.ids()
