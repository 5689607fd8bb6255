"""Whole runs: services and one fleet shared by the session, on a broker database of their own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from orchestrator.broker import Broker
from orchestrator.config import Config
from orchestrator.fleet import Place, fleet
from orchestrator.profile import Profile
from tests.acceptance.racing import Racing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services


@pytest.fixture(scope="session")
def racing(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Racing:
    """Runs on the shared services, in a broker database that no other test uses."""
    folder = tmp_path_factory.mktemp("racing")
    return Racing(
        Config(
            database_url=services.database_url,
            broker_url=f"{services.broker_url.rpartition('/')[0]}/7",
            runs_dir=folder / "runs",
            state_dir=folder / "state",
        )
    )


@pytest.fixture(scope="session")
def shared(racing: Racing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Racing]:
    """The same with a fleet that listens already: two nodes of two processes."""
    folder = tmp_path_factory.mktemp("fleet")
    config = racing.config
    assert config.database_url is not None
    assert config.broker_url is not None
    broker = Broker(config.broker_url, "fleetofthesession")
    place = Place(
        run="fleetofthesession",
        database_url=config.database_url,
        broker_url=config.broker_url,
        logs=folder,
        journals=folder / "journals",
    )
    with fleet(Profile(), broker, place, threading.Event()):
        yield racing.on_a_fleet()
    broker.remove()
    broker.close()
