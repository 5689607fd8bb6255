"""A node that a run spawns for itself: its process, its process group, its command line and environment."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

import worker
from orchestrator.broker import queue_of, unacked_of
from orchestrator.services import launch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.fleet.model import Place
    from orchestrator.profile import Profile

#: A node that a run has spawned for itself (`address`).
OWNED: Final = re.compile(r"node[0-9]+-[0-9]{12}[0-9a-f]{6}@localhost")
#: Pause between two looks, seconds, and how long killed processes may take to be gone.
TICK: Final = 0.05
_PATIENCE: Final = 5.0
#: Pause between two looks at a process that was killed, seconds.
_WAIT: Final = 0.002


class Node:
    """One incarnation of a node: from its start to its end."""

    def __init__(self, name: str, child: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.child = child
        self._began = time.monotonic()
        #: Its end was seen and its process group is empty; the system may give its number away from here on.
        self.swept = False

    def lives(self) -> bool:
        """Say whether its main process still runs; one that has ended keeps its number until it is swept."""
        return self.child.returncode is None and not _ended(self.child)

    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._began

    def children(self) -> list[int]:
        """Number the processes that its main process has started."""
        if not self.lives():
            return []
        try:
            return sorted(each.pid for each in psutil.Process(self.child.pid).children() if _runs(each))
        except psutil.Error:
            return []

    def signal(self, number: int) -> None:
        """Signal the main process, which may have ended."""
        if not self.swept:
            with contextlib.suppress(OSError):
                os.kill(self.child.pid, number)

    def resume(self) -> None:
        """Continue whatever of it is stopped: a stopped process hears no other signal."""
        if not self.swept:
            with contextlib.suppress(OSError):
                os.killpg(self.child.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the main process and its pool at once."""
        if not self.swept:
            with contextlib.suppress(OSError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.signal(signal.SIGKILL)
            while self.lives():
                time.sleep(_WAIT)
            sweep([self])


def spawn(profile: Profile, place: Place, name: str) -> Node:
    """Start a node in a session of its own, so that the terminal's Ctrl-C doesn't reach it before us.

    It is stopped when the *thread* that calls this ends (the kernel counts by threads): call it on one that lives
    for as long as the fleet does.
    """
    order: launch.Order = {
        "rights": "same",
        "uid": 0,
        "gid": 0,
        "parent": os.getpid(),
        # Warm shutdown: a cold one may drop the message that the broker is just handing out.
        "signal": signal.SIGTERM,
        "detach": False,
        "argv": list(_command(profile, place, name)),
    }
    environment = _environment(profile, place, name)
    for folder in (place.journals, Path(environment["TMPDIR"])):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place.logs / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            launch.command(order),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=os.sep,
            start_new_session=True,
        )
    return Node(name, child)


def sweep(nodes: Iterable[Node]) -> None:
    """Kill what is left of ended nodes' pools, which outlive them: each node leads a process group of its own."""
    ended = [node for node in nodes if not node.swept and not node.lives()]
    groups = {node.child.pid for node in ended}
    deadline = time.monotonic() + _PATIENCE
    while (members := _members(groups)) and time.monotonic() < deadline:
        for process in members:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(TICK)
    for node in ended:
        node.swept = True
        node.child.wait()


def address(run: str, name: str) -> str:
    """Name the node on the broker, where other runs have a node1 too."""
    return f"{name}-{run}@localhost"


def _ended(child: subprocess.Popen[bytes]) -> bool:
    """Say whether a child has ended, without reaping it: until then nobody else gets its number, or its group's."""
    if not sys.platform.startswith("linux"):
        return child.poll() is not None
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # it was reaped
        return True


def _members(groups: set[int]) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if _group(each) in groups and _runs(each)] if groups else []


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except OSError:
        return None


def _runs(process: psutil.Process) -> bool:
    """Say whether a process is more than an entry that waits to be reaped."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _command(profile: Profile, place: Place, name: str) -> tuple[str, ...]:
    """Write the node's command line; nothing in it is secret."""
    return (
        *(sys.executable, "-m", "celery", "-A", "worker", "worker"),
        *("-n", address(place.run, name), "-Q", queue_of(place.run)),
        *("--pool", profile.pool.value, "--concurrency", str(profile.concurrency)),
        *("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        *(("--events",) if profile.events else ()),
        *place.settings.get(name, ()),
    )


def _environment(profile: Profile, place: Place, name: str) -> dict[str, str]:
    """Hand the node its credentials and settings, and the packages that we import ourselves."""
    home = str(Path(worker.__file__).resolve().parent.parent)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", "")))),
        "ROWRACE_DATABASE_URL": place.database_url,
        "ROWRACE_BROKER_URL": place.broker_url,
        "ROWRACE_JOURNAL_DIR": str(place.journals),
        "ROWRACE_NODE": name,
        "ROWRACE_VISIBILITY_TIMEOUT": str(profile.visibility_timeout),
        "ROWRACE_PREFETCH": str(profile.prefetch),
        # Another run's nodes may have another visibility timeout.
        "ROWRACE_UNACKED": unacked_of(place.run),
        # A prefork pool makes a folder, which stays when the node is killed; here it goes with the journals.
        "TMPDIR": str(place.journals / "temporary"),
        **place.common,
        **place.extra.get(name, {}),
    }
