"""How much memory this process may still take: of the machine, of its control group, of its own limit."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where Linux shows control groups, and which of them this process is in.
_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")

#: Files of limit and use, and the line of `memory.stat` that counts what is given back on demand: versions 2 and 1.
_TWO: Final = ("memory.max", "memory.current", "inactive_file")
_ONE: Final = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Bytes that can be taken before the first of the limits is met."""
    rooms = [psutil.virtual_memory().available, *_of_groups(groups, own)]
    if resource is not None:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            rooms.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(rooms))


def _of_groups(groups: Path, own: Path) -> Iterator[int]:
    """What is left in each control group that this process is in."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            yield from _left(groups, name, _TWO)
        elif "memory" in controllers.split(","):
            yield from _left(groups / "memory", name, _ONE)


def _left(root: Path, name: str, files: tuple[str, str, str]) -> Iterator[int]:
    """Walk up: a group within a group has the narrower of their limits."""
    limit_file, use_file, given_back = files
    folder = root / name.lstrip("/")
    for each in (folder, *folder.parents):
        with contextlib.suppress(
            OSError, ValueError
        ):  # no such file in a root group, and "max" where there is no limit
            limit = int((each / limit_file).read_text(encoding="utf-8"))
            used = int((each / use_file).read_text(encoding="utf-8"))
            yield limit - used + _counted(each / "memory.stat", given_back)
        if each == root:
            return


def _counted(file: Path, name: str) -> int:
    try:
        words = file.read_text(encoding="utf-8").split()
    except OSError:
        return 0
    return int(words[words.index(name) + 1]) if name in words else 0
