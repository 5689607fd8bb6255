"""Given services: used where they answer, and one clear sentence where they don't."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from orchestrator.errors import ServiceError
from orchestrator.services import Origin, check, open_services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_given_services_are_used(services: Services) -> None:
    """Both URLs given: nothing is started, and the rung says so."""
    with open_services(services.database_url, services.broker_url) as opened:
        assert (opened.database, opened.broker) == (Origin.GIVEN, Origin.GIVEN)
        assert opened.versions == services.versions


def test_one_may_be_given_and_the_other_embedded(services: Services) -> None:
    """The rung tells them apart."""
    with open_services(broker_url=services.broker_url) as opened:
        assert (opened.database, opened.broker) == (Origin.EMBEDDED, Origin.GIVEN)
        assert opened.database_url != services.database_url


def test_nothing_is_started_beside_a_wrong_url(closed_port: int) -> None:
    """A given URL that doesn't answer is an error, never a reason to embed."""
    with (
        pytest.raises(ServiceError, match=f"127.0.0.1:{closed_port} can't be used: nothing listens there"),
        open_services(broker_url=f"redis://:secret@127.0.0.1:{closed_port}/0"),
    ):
        pytest.fail("it must not start")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"password": "wrong-secret"}, "it refuses the password of user rowrace; correct ROWRACE_DATABASE_URL"),
        ({"password": None}, "it asks for a password; add one to ROWRACE_DATABASE_URL"),
        ({"path": "/nowhere"}, "it has no database nowhere; create it, or correct ROWRACE_DATABASE_URL"),
        ({"query": "sslmode=require"}, "it doesn't speak TLS; correct sslmode in ROWRACE_DATABASE_URL"),
        ({"host": "no-such-host.invalid"}, "no such host is known; correct ROWRACE_DATABASE_URL"),
    ],
)
def test_a_database_that_refuses_says_why(services: Services, change: dict[str, str | None], expected: str) -> None:
    """What is wrong and what to do, in one sentence without the password."""
    with pytest.raises(ServiceError) as caught:
        check.database(_changed(services.database_url, change))
    assert str(caught.value).endswith(f"can't be used: {expected}")
    _shows_no_password(caught, services)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"password": "wrong-secret"}, "it refuses the password; correct ROWRACE_BROKER_URL"),
        ({"password": None}, "it asks for a password (NOAUTH); add one to ROWRACE_BROKER_URL"),
        ({"path": "/99"}, "it has no database 99; correct ROWRACE_BROKER_URL"),
        ({"host": "no-such-host.invalid"}, "no such host is known; correct ROWRACE_BROKER_URL"),
    ],
)
def test_a_broker_that_refuses_says_why(services: Services, change: dict[str, str | None], expected: str) -> None:
    """What is wrong and what to do, in one sentence without the password."""
    with pytest.raises(ServiceError) as caught:
        check.broker(_changed(services.broker_url, change))
    assert str(caught.value).endswith(f"can't be used: {expected}")
    _shows_no_password(caught, services)


def test_refused_connections(closed_port: int) -> None:
    """Where nothing listens, host and port are named."""
    for call, scheme in ((check.database, "postgresql"), (check.broker, "redis")):
        with pytest.raises(ServiceError, match=f"127.0.0.1:{closed_port} can't be used: nothing listens there"):
            call(f"{scheme}://u:secret@127.0.0.1:{closed_port}/0")


def test_a_silent_service_is_given_up(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that never answers is told from something that refuses."""
    monkeypatch.setattr(check, "_TIMEOUT", 2)
    for call, scheme in ((check.database, "postgresql"), (check.broker, "redis")):
        with pytest.raises(ServiceError, match=f":{silent_port} can't be used: it gave no answer within 2 s"):
            call(f"{scheme}://u:secret@127.0.0.1:{silent_port}/0")


def test_each_others_ports(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs mixed up are one sentence too."""
    monkeypatch.setattr(check, "_TIMEOUT", 2)
    database, broker = urlsplit(services.database_url).port, urlsplit(services.broker_url).port
    with pytest.raises(ServiceError, match=r"\APostgreSQL at [^\n]+\Z"):
        check.database(f"postgresql://u:secret@127.0.0.1:{broker}/d")
    with pytest.raises(ServiceError, match=r"\Athe broker at [^\n]+ it speaks something else; [^\n]+\Z"):
        check.broker(f"redis://:secret@127.0.0.1:{database}/0")


def _changed(url: str, change: dict[str, str | None]) -> str:
    parts = urlsplit(url)
    facts = {"scheme": parts.scheme, "password": parts.password, "host": parts.hostname, "path": parts.path} | change
    secret = "" if facts["password"] is None else f":{facts['password']}"
    user = f"{parts.username}{secret}@" if parts.username or secret else ""
    return f"{facts['scheme']}://{user}{facts['host']}:{parts.port}{facts['path']}?{facts.get('query', '')}"


def _shows_no_password(caught: pytest.ExceptionInfo[ServiceError], services: Services) -> None:
    said = str(caught.value)
    assert "secret" not in said
    assert all(str(urlsplit(url).password) not in said for url in (services.database_url, services.broker_url))
    assert caught.value.__suppress_context__
