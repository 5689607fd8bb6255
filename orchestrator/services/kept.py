"""Services kept up between commands: `rowrace services up`, `down` and `status`."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.interrupt import ending
from orchestrator.services import folder as folders
from orchestrator.services.embedded import Embedding, Want, start
from orchestrator.services.process import Server, deferred_signals, stop  # noqa: TC001 -- decoding needs Server
from orchestrator.services.rights import Rights, choose, require_unix
from orchestrator.services.urls import mask

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATE: Final = "services.json"
_LOCK: Final = "services.lock"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Services that outlive the command that started them; as the state file has them."""

    #: With passwords, as the file is private.
    database_url: str
    broker_url: str
    #: Holds data and logs.
    folder: str
    servers: tuple[Server, ...]

    def lives(self) -> bool:
        """Whether every one of these very processes lives."""
        return all(server.lives() for server in self.servers)

    def __repr__(self) -> str:
        return f"Kept({mask(self.database_url)}, {mask(self.broker_url)})"


def up(state_dir: Path, embedding: Embedding = Embedding()) -> Kept:  # noqa: B008 -- a frozen value
    """The kept services, started unless they live already."""
    require_unix()
    with _locked(state_dir), _ended_in_order():
        found = _read(state_dir)
        if found is not None and found.lives():
            return found
        _end(state_dir, found)
        return _start(state_dir, embedding)


def down(state_dir: Path) -> bool:
    """Stop the kept services and remove their folder; False where there were none."""
    if not (state_dir / _STATE).exists():
        return False
    with _locked(state_dir):
        found = _read(state_dir)
        lived = found is not None and any(server.lives() for server in found.servers)
        _end(state_dir, found)
        return lived


def status(state_dir: Path) -> Kept | None:
    """The kept services where they live, else None; changes nothing."""
    found = _read(state_dir)
    return found if found is not None and found.lives() else None


def _start(state_dir: Path, embedding: Embedding) -> Kept:
    started: list[Server] = []
    folder = _folder(state_dir, embedding)
    try:
        pair = start(folder, Want(), folder, embedding, started, outlive=True).pair
        kept = Kept(
            database_url=pair.database_url or "",
            broker_url=pair.broker_url or "",
            folder=str(folder),
            servers=tuple(started),
        )
        folders.write_private(state_dir / _STATE, msgspec.json.encode(kept))
    except BaseException:  # Ctrl-C too: nothing half started may stay
        with deferred_signals():
            stop(started)
            folders.remove(folder)
        raise
    return kept


def _folder(state_dir: Path, embedding: Embedding) -> Path:
    """A fresh private folder; not inside root's own home where another account must reach it."""
    if choose(embedding.rights).rights is Rights.DROP:
        return Path(tempfile.mkdtemp(prefix="rowrace-kept-"))
    return Path(tempfile.mkdtemp(prefix="services-", dir=state_dir))


def _end(state_dir: Path, found: Kept | None) -> None:
    if found is not None:
        with deferred_signals():
            stop(found.servers)
            folders.remove(Path(found.folder))
    (state_dir / _STATE).unlink(missing_ok=True)


def _read(state_dir: Path) -> Kept | None:
    """The state file's content; an unreadable one tells of nothing that could be verified."""
    try:
        return msgspec.json.decode((state_dir / _STATE).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does; by default they leave servers behind that nobody knows of."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers are the main thread's
        return
    others = (number for number in ending() if number is not signal.SIGINT)
    before = {number: signal.signal(number, signal.default_int_handler) for number in others}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """One command at a time starts or stops."""
    import fcntl  # noqa: PLC0415 -- not on Windows, where nothing is embedded

    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(state_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
