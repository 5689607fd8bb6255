"""Private folders: whose they are, and which may be cleared away."""

from __future__ import annotations

import os
import stat
import tempfile
from typing import TYPE_CHECKING

import msgspec
import pytest

from orchestrator.services import folder as folders
from orchestrator.services.process import Birth

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders are made below the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_private() -> None:
    """Nobody else enters it or reads its marker."""
    folder = folders.create()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())]
    assert modes == [0o700, 0o600]


def test_a_living_owners_folder_stays() -> None:
    """Another run's folder is none of ours."""
    folder = folders.create()
    folders.clear_stale()
    assert folder.exists()


def test_a_dead_owners_folder_goes() -> None:
    """What a killed run left is removed by the next."""
    folder = _left_behind(folders.create())
    folders.clear_stale()
    assert not folder.exists()


def test_a_folder_from_elsewhere_stays() -> None:
    """A process number of another container says nothing here."""
    folder = _left_behind(folders.create(), place="pid:[1]")
    folders.clear_stale()
    assert folder.exists()


def test_a_folder_that_others_may_write_stays() -> None:
    """Somebody else could have planted the marker."""
    folder = _left_behind(folders.create())
    folder.chmod(0o777)
    folders.clear_stale()
    assert folder.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"no json"])
def test_an_unreadable_marker_is_left_alone(content: bytes) -> None:
    """A folder just being made has no marker that could be read."""
    folder = folders.create()
    (folder / "owner.json").write_bytes(content)
    folders.clear_stale()
    assert folder.exists()


def _left_behind(folder: Path, place: str | None = None) -> Path:
    marker = msgspec.json.decode((folder / "owner.json").read_bytes(), type=folders.Marker)
    dead = msgspec.structs.replace(marker, owner=Birth(os.getpid(), "an earlier start"), place=place or marker.place)
    folders.write_private(folder / "owner.json", msgspec.json.encode(dead))
    return folder
