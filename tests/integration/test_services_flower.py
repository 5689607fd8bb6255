"""Flower: it starts on the run's broker and lets nobody in without the password."""

from __future__ import annotations

import socket
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from orchestrator.errors import ServiceError
from orchestrator.flower import LOOPBACK, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.flower import Flower
    from orchestrator.services import Services

_AUTH = "watcher:s3cret-of-flower"


@pytest.fixture(scope="module")
def flower(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    """Flower against the session's Valkey, on a free port."""
    with (
        (tmp_path_factory.mktemp("flower") / "flower.log").open("wb") as log,
        serving(services.broker_url, _AUTH, port=_free_port(), log=log.fileno()) as opened,
    ):
        yield opened


@pytest.mark.parametrize("page", ["/", "/api/workers", "/api/tasks", "/metrics"])
def test_no_page_answers_without_the_password(flower: Flower, page: str) -> None:
    """Every page that says something asks for the password, /metrics included."""
    assert _status(flower, page) == HTTPStatus.UNAUTHORIZED
    assert _status(flower, page, "watcher:guess") == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("page", ["/", "/api/workers", "/metrics"])
def test_pages_answer_with_the_password(flower: Flower, page: str) -> None:
    """With the password they answer, whether workers are there or not."""
    assert _status(flower, page, _AUTH) == HTTPStatus.OK


def test_no_password_is_in_the_process_list(flower: Flower, services: Services) -> None:
    """Flower's arguments hold neither its own password nor the broker's."""
    arguments = " ".join(psutil.Process(flower.child.pid).cmdline())
    assert "s3cret" not in arguments
    assert services.broker_url not in arguments


def test_a_taken_port_is_one_sentence(services: Services) -> None:
    """A port that somebody else has is told before Flower starts."""
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(ServiceError, match=f"can't listen on {LOOPBACK}:{port}: Address already in use"),
            serving(services.broker_url, _AUTH, port=port),
        ):
            pytest.fail("it must not start")


def test_it_ends_with_its_block(services: Services, tmp_path: Path) -> None:
    """Nothing listens any more after the block."""
    with (
        (tmp_path / "flower.log").open("wb") as log,
        serving(services.broker_url, _AUTH, port=_free_port(), log=log.fileno()) as flower,
    ):
        pid = flower.child.pid
    assert not psutil.pid_exists(pid)


def _status(flower: Flower, page: str, auth: str | None = None) -> int:
    headers = {} if auth is None else {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"}
    try:
        with urlopen(Request(flower.url + page, headers=headers), timeout=30) as answer:  # noqa: S310 -- our own http URL
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])
