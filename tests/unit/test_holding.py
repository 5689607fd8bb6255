"""A run's folder is a living run's for as long as the run holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator import clean
from orchestrator.fleet.node import OWNED, address
from orchestrator.holding import held, lives
from orchestrator.run import new_run

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fcntl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder that is as good as finished."""
    made = tmp_path / new_run()
    made.mkdir()
    for name in ("profile.toml", "run.json"):
        (made / name).write_text("")
    return made


def test_a_folder_lives_while_it_is_held(folder: Path) -> None:
    """However the holder ends: the system takes the lock back."""
    with held(folder):
        assert lives(folder)
    assert not lives(folder)


def test_cleaning_leaves_a_living_run_s_folder(folder: Path) -> None:
    """Services can't be asked after an eager run, nor after one that stands on others."""
    with held(folder):
        assert () == clean.find_here(folder.parent, folders=True).folders
    assert (folder,) == clean.find_here(folder.parent, folders=True).folders


def test_a_node_that_a_run_has_spawned_is_known_by_its_name() -> None:
    """No other run may take it for an external one."""
    assert OWNED.fullmatch(address(new_run(), "node12"))
    assert not OWNED.fullmatch("celery@worker-1")
