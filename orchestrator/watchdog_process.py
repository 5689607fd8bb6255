"""Ends what a run has started once its orchestrator is gone: run as a file of its own, told by lines on stdin.

A line is `{"add": [pid, start, kind]}`, `{"drop": pid}` or `{"done": true}`; the end of stdin without `done`, or
another parent, means that the orchestrator died.  It imports the standard library only and is started with
`python -I -S`, so that it costs some 20 ms and little memory.  The data that servers leave stay, and are whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from calendar import timegm
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

#: Pause between two looks at processes, and between two at the parent, seconds.
_TICK: Final = 0.05
_PARENT: Final = 1.0
#: How far a start in whole seconds may be from the one that was noted, where the system names no exact one.
_ROUNDED: Final = 1.5


class Kind(StrEnum):
    """What a process is, which says how and in which turn it is ended."""

    NODE = "node"
    PROXY = "proxy"
    DATABASE = "database"
    BROKER = "broker"


class Way(NamedTuple):
    """How processes of a kind are ended."""

    #: Nodes first, so that nobody works on servers that wind down; servers last.
    turn: int
    #: Signals to the process itself, each with the seconds that it may take; the last goes to all that belongs to it.
    steps: tuple[tuple[signal.Signals, float], ...]
    #: True kills what outlives the process at once; a server's own children end by themselves.
    group: bool
    #: Seconds after which its children are killed, so that it ends itself in order; None leaves them alone.
    children: float | None = None


#: All turns together stay below ten seconds.
WAYS: Final = {
    # Warm shutdown: the only one that never drops a message between the broker's pop and its note in `unacked`.  It
    # takes two seconds, and more on a busy machine; servers lose nothing, however they are ended.
    # Where its pool was just given a task it takes 30 s: celery.concurrency.asynpool (5.7) forgets the task in `flush`,
    # and the child waits for its answer to be read (billiard.pool, GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT).  Only
    # without that child the node comes to what it must do: read what the broker has popped for it, and give it back.
    Kind.NODE: Way(0, ((signal.SIGTERM, 6.6), (signal.SIGKILL, 0.6)), group=True, children=3.5),
    Kind.PROXY: Way(1, ((signal.SIGTERM, 0.2), (signal.SIGKILL, 0.2)), group=True),
    # Fast shutdown; one that takes too long becomes an immediate one, after which the server recovers by its log.
    Kind.DATABASE: Way(2, ((signal.SIGINT, 0.9), (signal.SIGQUIT, 0.5), (signal.SIGKILL, 0.4)), group=False),
    Kind.BROKER: Way(2, ((signal.SIGTERM, 1.4), (signal.SIGKILL, 0.4)), group=False),
}


class Seen(NamedTuple):
    """A process as a look at the system shows it."""

    parent: int
    group: int
    start: str
    dead: bool


Table = dict[int, Seen]


class Charge:
    """A process that the run has started, and what belongs to it."""

    def __init__(self, pid: int, start: str, kind: Kind) -> None:
        self.pid = pid
        self.kind = kind
        self.way = WAYS[kind]
        #: Number and start of every process that was seen to belong to it.
        self._known = {pid: start}
        self._step = -1
        self.found = False

    def living(self, table: Table) -> list[int]:
        """Name what still lives of it, itself first."""
        while grown := {pid: seen.start for pid, seen in table.items() if self._owns(pid, seen, table)}:
            self._known.update(grown)
        found = [pid for pid in self._known if self._same(pid, table) and not table[pid].dead]
        self.found = self.found or bool(found)
        return found

    def _owns(self, pid: int, seen: Seen, table: Table) -> bool:
        """Say whether a process not known yet is a child or in the group."""
        if pid in self._known:
            return False
        if seen.parent in self._known and self._same(seen.parent, table):
            return True
        # A number stays its group's for as long as that has members: another leader means another group.
        return seen.group == self.pid and (self.pid not in table or self._same(self.pid, table))

    def _same(self, pid: int, table: Table) -> bool:
        return pid in table and same(self._known[pid], table[pid].start)

    def press(self, living: list[int], elapsed: float) -> None:
        """Send the signal whose turn it is."""
        steps = self.way.steps
        step = sum(elapsed >= sum(patience for _, patience in steps[:end]) for end in range(1, len(steps)))
        if self.way.group and self.pid not in living:
            step = len(steps) - 1
        if step == len(steps) - 1:
            _send(living, steps[-1][0])  # again at each look: a pool may be forking
        elif step > self._step:
            _send([pid for pid in living if pid == self.pid], steps[step][0])
            _send(living, signal.SIGCONT)  # a paused process takes no other signal
        if self.way.children is not None and elapsed >= self.way.children:
            _send([pid for pid in living if pid != self.pid], signal.SIGKILL)
        self._step = step

    def told(self, living: list[int]) -> str:
        """Say what became of it."""
        if living:
            return f"{self.kind} {self.pid}: would not end ({', '.join(map(str, living))})"
        last = f"ended by {self.way.steps[self._step][0].name}" if self.found else "had ended already"
        return f"{self.kind} {self.pid}: {last}"


def end(charges: list[Charge]) -> list[str]:
    """End all of them, turn by turn; what became of each."""
    told: list[str] = []
    for turn in sorted({each.way.turn for each in charges}):
        told += _end([each for each in charges if each.way.turn == turn])
    return told


def _end(charges: list[Charge]) -> list[str]:
    began = time.monotonic()
    limit = max(sum(patience for _, patience in each.way.steps) for each in charges)
    while True:
        table, elapsed = look(), time.monotonic() - began
        living = {each: found for each in charges if (found := each.living(table))}
        if not living or elapsed > limit:
            return [each.told(living.get(each, [])) for each in charges]
        for each, found in living.items():
            each.press(found, elapsed)
        time.sleep(_TICK)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def same(noted: str, found: str) -> bool:
    """Say whether two starts are one; without /proc one is exact and the other in whole seconds."""
    if noted == found or ":" in noted:
        return noted == found
    try:
        return abs(float(noted) - float(found)) < _ROUNDED
    except ValueError:
        return False


def look() -> Table:
    """Look at every process of the system."""
    return _linux() if sys.platform.startswith("linux") else portable()


def _linux() -> Table:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    table: Table = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208 -- names are all that is wanted, and quick
        with contextlib.suppress(OSError), Path(f"/proc/{name}/stat").open("rb") as file:
            # Behind the name, which may hold anything: state, parent, group, and 20th the start in ticks since boot.
            fields = file.read().rpartition(b")")[2].split()
            start = f"{boot}:{fields[19].decode()}"
            table[int(name)] = Seen(int(fields[1]), int(fields[2]), start, dead=fields[0] in (b"Z", b"X"))
    return table


def portable() -> Table:
    """Ask `ps`, as every Unix has it."""
    command = ("ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart=")
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=5)
    table: Table = {}
    for line in done.stdout.splitlines():
        with contextlib.suppress(ValueError):
            pid, parent, group, state, start = line.split(None, 4)
            began = timegm(time.strptime(start.strip(), "%a %b %d %H:%M:%S %Y"))
            table[int(pid)] = Seen(int(parent), int(group), f"{began}", dead=state.startswith("Z"))
    return table


def heard(parent: int) -> list[Charge]:
    """Listen until the orchestrator is done or gone; what is left to end."""
    charges: dict[int, Charge] = {}
    rest = b""
    while True:
        orphaned = os.getppid() != parent  # looked at first: what was said before is then there to be read
        if not select.select([0], [], [], 0 if orphaned else _PARENT)[0]:
            if orphaned:
                break  # somebody else has the other end of the pipe, too
            continue
        if not (data := os.read(0, 65536)):
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "done" in said:
                return []
            if "add" in said:
                pid, start, kind = said["add"]
                charges[pid] = Charge(pid, start, Kind(kind))
            charges.pop(said.get("drop"), None)
    return list(charges.values())


def main(parent: int, log: str) -> None:
    """Watch, end, and leave a line for each process in the log."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its parent anyway, and must not end before
    if charges := heard(parent):
        told = end(charges)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = "".join(f"{now} {each}\n" for each in (f"process {parent}, the orchestrator, is gone", *told))
        with contextlib.suppress(OSError), Path(log).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
