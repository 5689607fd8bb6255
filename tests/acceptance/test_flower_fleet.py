"""Flower watches a running fleet, and lets nobody in without the password."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.stand_ins import stack, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stand_ins import Stack


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker and Flower, both started by the commands of docker-compose.yml, both healthy."""
    with (
        stack(tmp_path_factory.mktemp("watched"), ROWRACE_WORKERS="1") as opened,
        opened.started("worker"),
        opened.started("flower"),
    ):
        yield opened


@pytest.mark.timeout(400)
def test_flower_lists_the_workers(watched: Stack) -> None:
    """/api/workers names the node that runs, and the task that it knows."""
    found: dict[str, dict[str, list[str]]] = {}

    def listed() -> bool:
        found.update(json.loads(_read(watched, "/api/workers?refresh=1")))
        return any("registered" in each for each in found.values())

    wait_until(listed)
    node = f"celery@{watched.environment('worker')['HOSTNAME']}"
    assert [node] == list(found)
    assert "rowrace.race" in found[node]["registered"]


def test_metrics_count_the_worker(watched: Stack) -> None:
    """/metrics says of the node that it is online, once its events have come."""
    node = f"celery@{watched.environment('worker')['HOSTNAME']}"
    wait_until(lambda: f'flower_worker_online{{worker="{node}"}} 1.0' in _read(watched, "/metrics"))


@pytest.mark.parametrize("page", ["/api/workers?refresh=1", "/metrics", "/"])
def test_nobody_enters_without_the_password(watched: Stack, page: str) -> None:
    """Each page answers 401 to a stranger."""
    with pytest.raises(HTTPError) as refused:
        _read(watched, page, "")
    refused.value.close()
    assert 401 == refused.value.code


def _read(watched: Stack, page: str, auth: str | None = None) -> str:
    env = watched.environment("flower")
    auth = env["ROWRACE_FLOWER_AUTH"] if auth is None else auth
    headers = {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"} if auth else {}
    request = Request(f"http://127.0.0.1:{watched.replaced['5555']}{page}", headers=headers)
    with urlopen(request, timeout=30) as answer:  # noqa: S310 -- our own http URL
        text: str = answer.read().decode()
        return text
