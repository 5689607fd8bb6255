"""Marks a run's folder as a living run's: a lock that the system takes back with the process, however that ends."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for a `with` block."""
    handle = _locked(folder)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def lives(folder: Path) -> bool:
    """Say whether a run on this host holds the folder."""
    try:
        handle = _locked(folder)
    except OSError:
        return True
    if handle is None:  # nobody can say; a report is written last
        return not (folder / "run.json").is_file()
    os.close(handle)
    return False


def _locked(folder: Path) -> int | None:
    """Lock the folder, or raise OSError; None where the system has no such locks."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
