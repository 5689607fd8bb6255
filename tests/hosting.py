"""What tests of hosts share: where they can't run, what belongs to a layout, and programs that talk across it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from orchestrator.errors import UsageError
from orchestrator.history import files
from orchestrator.hosts import init
from orchestrator.hosts.layout import require
from tests.compose_file import ROOT
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.history.model import History

#: Answers each TCP byte and each datagram with the same, and prints every datagram.
ECHO = """
import select, socket, sys
listener = socket.create_server(("", 7000))
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("", 7000))
print("listening", flush=True)
links = []
def hear(ready):
    if ready is listener:
        links.append(listener.accept()[0])
    elif ready is datagrams:
        data, sender = datagrams.recvfrom(99)
        print(data.decode(), flush=True)
        datagrams.sendto(data, sender)
    elif data := ready.recv(99):
        ready.sendall(data)
    else:
        links.remove(ready)
        ready.close()
while True:
    for ready in select.select([listener, datagrams, *links], [], [])[0]:
        try:
            hear(ready)
        except OSError:  # the way back is cut
            if ready in links:
                links.remove(ready)
"""

#: Says whether a new connection to a host gets an answer.
REACH = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 7000), timeout=0.5) as link:
        link.sendall(b"x")
        print(link.recv(1).decode())
except OSError as error:
    print(type(error).__name__)
"""

#: Keeps one connection, and says when it stalls and when it goes on.
HOLD = """
import socket, sys
link = socket.create_connection((sys.argv[1], 7000))
link.settimeout(0.3)
link.sendall(b"x")
was = None
while True:
    try:
        is_ = "goes on" if link.recv(1) else "ended"
        link.sendall(b"x")
    except OSError:
        is_ = "stalls"
    if is_ != was:
        print(is_, flush=True)
    was = is_
"""

#: Sends a datagram, and says what comes back.
DATAGRAM = """
import socket, sys
link = socket.socket(type=socket.SOCK_DGRAM)
link.settimeout(0.5)
try:
    link.sendto(sys.argv[2].encode(), (sys.argv[1], 7000))
    print(link.recv(99).decode())
except OSError as error:
    print(type(error).__name__)
"""


def _refused() -> str:
    """Say why no hosts can be laid out here; an empty text where they can."""
    try:
        require()
    except UsageError as error:
        return str(error)
    probe = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        return f"whether namespaces are allowed is not known: {error}"
    return done.stderr.strip() and f"namespaces are refused here: {done.stderr.strip()}"


needs_hosts = pytest.mark.skipif(bool(_why := _refused()), reason=_why or "hosts can be laid out")


def python(source: str, *arguments: str) -> list[str]:
    """Command line of a program that is given as text."""
    return [sys.executable, "-I", "-S", "-c", source, *arguments]


class Belongings:
    """Processes, network namespaces and folders of a command's layout, as they come up."""

    def __init__(self, pid: int) -> None:
        self._owner = psutil.Process(pid)
        #: Of the owner's children, only those whose command lines contain this, and their own, belong to it.
        self.part = ""
        self.processes: set[psutil.Process] = set()
        self.namespaces: set[str] = set()
        self.folders: set[Path] = set()

    def look(self) -> list[str]:
        """Note what there is now; the command lines of all of it."""
        try:
            firsts = [each for each in self._owner.children() if self.part in " ".join(each.cmdline())]
            found = [*firsts, *(other for each in firsts for other in each.children(recursive=True))]
        except psutil.Error:
            return []
        lines = [words for each in found if (words := self._note(each))]
        return [" ".join(words) for words in lines]

    def left(self) -> list[str]:
        """List what still exists."""
        living = [str(each) for each in self.processes if each.is_running()]
        spaces = {space for each in psutil.pids() if (space := _namespace(each)) in self.namespaces}
        return [*living, *spaces, *(str(each) for each in self.folders if each.exists())]

    def _note(self, process: psutil.Process) -> list[str]:
        try:
            words = process.cmdline()
        except psutil.Error:
            return []
        self.processes.add(process)
        if (space := _namespace(process.pid)) not in ("", _namespace(os.getpid())):
            self.namespaces.add(space)
        if init.__file__ in words and (folder := json.loads(words[-1])["folder"]):
            self.folders.add(Path(folder))
        return words


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 -- the link leads to no file
    except OSError:
        return ""


def interfaces() -> set[str]:
    """Names of the machine's own network interfaces."""
    return set(psutil.net_if_addrs())


def named(lines: Iterable[str], word: str) -> list[str]:
    """Command lines that contain a word."""
    return [line for line in lines if word in line]


@contextmanager
def hosts(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command; it is gone after the block."""
    command = [sys.executable, "-m", "orchestrator", "hosts", "credits", "--strategy", "optimistic", "--json"]
    process = subprocess.Popen(
        [*command, "--runs-dir", str(folder / "runs"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def race(folder: Path, *arguments: str, code: int = 0) -> tuple[dict[str, Any], History]:
    """Run the command to its end, after which nothing is left of it; its report's one row, and the history."""
    before = interfaces()
    with hosts(folder, *arguments) as process:
        belongings = Belongings(process.pid)
        wait_until(lambda: bool(named(belongings.look(), "-m orchestrator run")) or process.poll() is not None)
        said, errors = process.communicate(timeout=540)
    assert code == process.returncode, said + errors
    assert 6 == len(belongings.namespaces)
    wait_until(lambda: belongings.left() == [])
    assert before == interfaces()
    (row,) = json.loads(said)["rows"]
    return row, files.read(next(path.parent for path in folder.glob("runs/*/*/effects.parquet")))
