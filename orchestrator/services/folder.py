"""Private folders of embedded servers: each says whose it is, so that a killed owner's can be cleared away."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import ServiceError
from orchestrator.services.process import Birth, Server, stop
from orchestrator.services.rights import Rights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.services.rights import Account

_PREFIX: Final = "rowrace-services-"
_MARKER: Final = "owner.json"

#: Leads to the state file of a run; while that is there, the folder's data wait for the run to be resumed.
WAITS: Final = "run"


class Marker(msgspec.Struct, frozen=True):
    """Whose folder it is, and which servers live from it."""

    owner: Birth
    #: Where process numbers mean what they say: the process-id namespace.
    place: str
    servers: tuple[Birth, ...] = ()


def create() -> Path:
    """A fresh folder that only we may enter, in the system's temporary folder."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        mark(folder, ())
    except OSError as error:
        raise ServiceError(f"embedded services need a temporary folder to write in: {error}") from error
    return folder


def mark(folder: Path, servers: Sequence[Server]) -> None:
    """Write down whose the folder is and which servers use it."""
    owner = Birth.of(os.getpid()) or Birth(os.getpid(), "")
    write_private(folder / _MARKER, msgspec.json.encode(Marker(owner, _place(), tuple(s.birth for s in servers))))


def remove(folder: Path) -> None:
    """Delete the folder; what is gone already is no error."""
    shutil.rmtree(folder, ignore_errors=True)


def every() -> list[Path]:
    """List the folders of embedded servers on this machine, whoever's they are."""
    return sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))


def clear_stale() -> None:
    """Remove folders whose owner is dead and that no run waits for, and end the servers that outlived it."""
    for folder in every():
        marker = _read(folder)
        if marker is None or marker.place != _place() or marker.owner.lives() or (folder / WAITS).exists():
            continue
        with contextlib.suppress(ServiceError):  # a leftover must not keep us from starting
            signals = (signal.SIGINT, signal.SIGKILL)  # either server's quick way out
            stop([Server(name="server", birth=birth, signals=signals) for birth in marker.servers])
            remove(folder)


def is_ours(folder: Path) -> bool:
    """Whether it is a folder of embedded servers that we have made."""
    return folder.name.startswith(_PREFIX) and _read(folder) is not None


def servers(folder: Path) -> tuple[Birth, ...]:
    """Which servers live from the folder, or lived."""
    marker = _read(folder)
    return marker.servers if marker is not None and marker.place == _place() else ()


def subfolder(folder: Path, name: str, account: Account) -> Path:
    """A folder inside that only the account may enter."""
    made = folder / name
    made.mkdir(mode=0o700)
    if account.rights is Rights.DROP:
        folder.chmod(0o711)  # our own: another account passes through, and still can't list it
        os.chown(made, account.uid, account.gid)
    return made


def write_private(path: Path, content: bytes, account: Account | None = None) -> None:
    """Replace a file by one that only we (or the account) may read, whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:  # noqa: PTH123 -- pathlib can't set a mode
        file.write(content)
        if account is not None and account.rights is Rights.DROP:
            os.fchown(file.fileno(), account.uid, account.gid)
    fresh.replace(path)


def _read(folder: Path) -> Marker | None:
    """The marker, where the folder is ours and nobody else could have written it."""
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            return None
        return msgspec.json.decode((folder / _MARKER).read_bytes(), type=Marker)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None  # just being made, or none of ours


def _place() -> str:
    if not sys.platform.startswith("linux"):
        return ""
    return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 -- the link leads to no file
