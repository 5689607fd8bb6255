"""Faults of the broker strike for real, are healed for real, and leave no connection behind."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest
import redis

from orchestrator.broker import Broker, unacked_of
from orchestrator.errors import ServiceError, UsageError
from orchestrator.services import open_services
from tests.stand_ins import wait_until
from tests.striking import Strangers, fault, heal, reach, struck
from worker.app import create
from worker.config import Config
from worker.contract import UNACKED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.faults.model import Reach
    from orchestrator.services import Services


@pytest.fixture(scope="module")
def own() -> Iterator[Services]:
    """A pair that others don't use, so that it may be struck."""
    with open_services() as opened:
        yield opened


@pytest.fixture
def reached(own: Services) -> Iterator[Reach]:
    """A group on it; afterwards no fault is connected any more."""
    with reach(own) as made:
        yield made
        with _client(own) as client:
            wait_until(lambda: "rowrace-fault" not in _names(client))


def test_workers_connections_are_cut_and_no_others(own: Services, reached: Reach, tmp_path: Path) -> None:
    """The orchestrator's stay, named or not, and so do another run's workers and other users."""
    run = _run(reached)
    with (
        _worker(own, unacked_of(run), tmp_path) as worker,
        _worker(own, unacked_of("another"), tmp_path) as stranger,
        contextlib.closing(Broker(own.broker_url, run)) as orchestrator,
        _client(own) as client,
    ):
        orchestrator.check()
        before = _ids(client)
        cut = {number for number, name in before.items() if name == unacked_of(run)}
        done = struck("kill-clients", reached)
        assert (f"{len(cut)} of {len(cut)} connections of workers to the broker were cut", None) == done
        wait_until(lambda: before.keys() - _ids(client).keys() == cut)
        assert [True, True] == [worker.ping(), stranger.ping()]  # connected again by itself; never cut
        assert cut.isdisjoint(_ids(client))


def test_a_share_of_the_connections_is_cut(own: Services, reached: Reach, tmp_path: Path) -> None:
    """Half of four are two."""
    with contextlib.ExitStack() as stack:
        name = unacked_of(_run(reached))
        for _ in range(4):
            stack.enter_context(_worker(own, name, tmp_path))
        detail = struck("kill-clients:share=0.5", reached).detail
        assert "2 of 4 connections of workers to the broker were cut" == detail


def test_without_workers_there_is_nothing_to_cut(reached: Reach) -> None:
    """It is tried again at the next time."""
    assert fault("kill-clients", reached).strike() is None


def test_external_workers_are_cut_only_while_no_other_run_has_them(own: Services, tmp_path: Path) -> None:
    """They have one name for every run."""
    with reach(own, external=True, fleet=Strangers()) as reached, _worker(own, UNACKED, tmp_path):
        assert struck("kill-clients", reached).detail.startswith("1 of 1 ")
        with contextlib.closing(Broker(own.broker_url, "another")) as other:
            other.check()
            with pytest.raises(
                ServiceError, match=r"\AFault «kill-clients» can't tell which external workers .* another"
            ):
                fault("kill-clients", reached)


def test_a_user_who_may_not_cut_is_told_so(own: Services, reached: Reach) -> None:
    """One sentence, not the driver's."""
    with _client(own) as client:
        client.acl_setuser("weak", enabled=True, passwords=["+weak"], commands=["+ping", "+client|setname"])
        url = f"redis://weak:weak@127.0.0.1:{urlsplit(own.broker_url).port}/0"
        with pytest.raises(ServiceError, match=r"\AFault «kill-clients» is more than the broker's user may do"):
            fault("kill-clients", msgspec.structs.replace(reached, broker_url=url))
        client.acl_deluser("weak")


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("restart-broker", b"1"),
        ("restart-broker:data=keep", b"1"),
        ("restart-broker:data=lose", None),
        ("stop-broker:for=2s", b"1"),
        ("stop-broker:data=lose", None),
    ],
)
def test_a_broker_is_away_until_it_is_healed(own: Services, reached: Reach, entry: str, kept: bytes | None) -> None:
    """Refused in between, there again afterwards, with its data unless that was to be lost."""
    with _client(own) as client:
        client.set("message", 1)
    made = fault(entry, reached)
    done = made.strike()
    assert done is not None
    with _client(own) as client, pytest.raises(redis.ConnectionError, match="refused"):
        client.ping()
    assert made.strike() is None
    assert fault("kill-clients", reached).strike() is None
    heal(done)
    with _client(own) as client:
        assert kept == client.get("message")


def test_a_paused_broker_is_resumed(own: Services, reached: Reach) -> None:
    """It answers nobody in between, and neither stops nor pauses twice."""
    done = struck("pause-broker", reached)
    with _client(own, socket_timeout=0.2) as client:
        with pytest.raises(redis.TimeoutError):
            client.ping()
        for other in ("pause-broker", "restart-broker"):
            assert fault(other, reached).strike() is None
        heal(done)
        assert client.ping()


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("restart-broker:data=maybe", "data=maybe is none of keep, lose"),
        ("kill-clients:share=half", "share=half is no share"),
    ],
)
def test_what_makes_no_sense_is_refused(reached: Reach, entry: str, sentence: str) -> None:
    """One sentence that names the entry."""
    with pytest.raises(UsageError, match=rf"\AFault «{entry}»: {sentence}[^\n]*\Z"):
        fault(entry, reached)


@pytest.mark.parametrize("entry", ["restart-broker", "stop-broker:for=1s", "pause-broker"])
def test_a_broker_of_somebody_elses_is_not_stopped(own: Services, entry: str) -> None:
    """External and kept services are refused at once, and so is a given broker beside an embedded database."""
    with reach(own, external=True) as reached, pytest.raises(UsageError, match=rf"\AFault «{entry}» needs services"):
        fault(entry, reached)
    with (
        open_services(broker_url=own.broker_url) as half,
        reach(half) as reached,
        pytest.raises(UsageError, match=rf"\AFault «{entry}» needs a broker of the run's own"),
    ):
        fault(entry, reached)


@contextlib.contextmanager
def _worker(services: Services, unacked: str, folder: Path) -> Iterator[Any]:
    """A connection as a worker has it: kombu's, with the worker app's settings."""
    app = create(Config(broker_url=services.broker_url, unacked=unacked, journal_dir=folder))
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel  # the transport's own, which has a client
        client = channel.client
        client.ping()
        yield client
    app.close()


def _client(services: Services, **options: Any) -> redis.Redis:  # noqa: ANN401 -- a driver's options
    return redis.Redis.from_url(services.broker_url, retry=None, **options)


def _names(client: redis.Redis) -> list[str]:
    return [each["name"] for each in client.client_list()]


def _ids(client: redis.Redis) -> dict[str, str]:
    return {each["id"]: each["name"] for each in client.client_list()}


def _run(reached: Reach) -> str:
    return reached.queue.removeprefix("rowrace.")
