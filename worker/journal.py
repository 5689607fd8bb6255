"""A process's journal: an append-only file per schema, one write(2) a line, so that SIGKILL erases nothing."""

from __future__ import annotations

import errno
import os
import re
import threading
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from worker.contract import Line, ProcessLine


class Journal(Protocol):
    """Where an attempt's lines go."""

    def write(self, line: Line) -> None:
        """Append a line; when it returns, the line survives this process."""


class FileJournal:
    """The journal as a file, `<node>.<process>.jsonl`."""

    __slots__ = ("_encoder", "_file", "_lock", "_torn", "path")

    def __init__(self, folder: Path, who: ProcessLine) -> None:
        private(folder)
        self.path = folder / file_name(who.node, who.process)
        self._encoder = msgspec.json.Encoder()
        self._torn = b""
        #: Threads share the journal, and what stands torn is known to whoever writes next.
        self._lock = threading.Lock()
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._file).st_size == 0:
            self.write(who)

    def write(self, line: Line) -> None:
        """Append a line in one system call: the kernel keeps it whole and in order, and SIGKILL can't take it back."""
        with self._lock:
            whole = self._torn + self._encoder.encode(line) + b"\n"
            if os.write(self._file, whole) < len(whole):
                self._torn = b"\n"  # what follows must not become part of what stands there
                raise OSError(errno.ENOSPC, "a journal's line was written in part only", self.path)
            self._torn = b""

    def tear(self, line: Line) -> None:
        """Append half of a line in one system call, as a full disk or a crash would leave it; the next starts anew."""
        with self._lock:
            whole = self._torn + self._encoder.encode(line)
            os.write(self._file, whole[: len(whole) // 2])
            self._torn = b"\n"

    def __del__(self) -> None:
        # Closed with the last reference, so that no thread writes to a number that has become another file's.
        os.close(self._file)


def private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone."""
    missing = [folder, *folder.parents]
    for each in reversed([path for path in missing if not path.exists()]):
        each.mkdir(mode=0o700, exist_ok=True)


def file_name(node: str, process: int) -> str:
    """Name a process's file; a node's name may hold dots, but nothing that leaves the folder."""
    return f"{safe(node)}.{process}.jsonl"


def safe(node: str) -> str:
    """Spell a node's name so that it can be part of a file's name."""
    return re.sub(r"[^A-Za-z0-9@_.-]", "_", node)


def node_of(file: str) -> str | None:
    """Name the node that writes a file of this name; None where it is no journal."""
    node, dot, rest = file.removesuffix(".jsonl").rpartition(".")
    return node if dot and rest.isdigit() and file.endswith(".jsonl") else None
