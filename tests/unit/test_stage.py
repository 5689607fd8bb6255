"""What a run is told of where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import Config
from orchestrator.profile import Profile
from orchestrator.services import Origin, Services
from orchestrator.stage import Stage


@pytest.mark.parametrize(
    ("wires", "said"),
    [
        (None, "given PostgreSQL 18.1, given Valkey 9.1"),
        (Path("wires"), "the layout's own PostgreSQL 18.1, the layout's own Valkey 9.1"),
    ],
)
def test_servers_of_a_layout_are_nobody_s_gift(wires: Path | None, said: str) -> None:
    """What `rowrace hosts` starts on its hosts is given to the run there, and not by the user."""
    services = Services(
        database_url="postgresql://127.0.0.1/x",
        broker_url="redis://127.0.0.1/0",
        database=Origin.GIVEN,
        broker=Origin.GIVEN,
        versions={"postgresql": "18.1", "valkey": "9.1"},
    )
    config = Config(state_dir=Path("state"), wires=wires)
    stage = Stage(run="r", profile=Profile(), config=config, groups=(), folder=Path("r"))
    assert said == stage.rung(services)
