"""The watchdog ends what a killed orchestrator had started, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from orchestrator import watchdog_process
from orchestrator.services.process import Birth
from orchestrator.watchdog import Kind, Watchdog, watchdog
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., tuple[subprocess.Popen[str], list[Birth]]]

#: Starts programs, tells the watchdog of them, names them, and waits to be killed.
_ORCHESTRATOR = """\
import json, signal, subprocess, sys
from pathlib import Path
from orchestrator.services.process import Birth
from orchestrator.watchdog import Kind, Watchdog

watching = Watchdog(Path(sys.argv[1]))
births = [Birth.of(watching.pid)]
for kind, program in json.loads(sys.argv[2]):
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE)
    births.append(Birth.of(child.pid))
    watching.add(births[-1], Kind(kind))
    births += [Birth.of(int(pid)) for pid in child.stdout.readline().split()]
print(json.dumps([[birth.pid, birth.start] for birth in births]), flush=True)
signal.pause()
"""

_BEGIN = "import os, signal, subprocess, sys, time; "
_DEAF = "[signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)]; "
_WAIT = "[time.sleep(60) for _ in iter(int, 1)]"

OBEDIENT = f"{_BEGIN}print(flush=True); {_WAIT}"
DEAF = f"{_BEGIN}{_DEAF}print(flush=True); {_WAIT}"
#: Says that it is up, and stands still.
PAUSED = f"{_BEGIN}print(flush=True); os.kill(os.getpid(), signal.SIGSTOP); {_WAIT}"
#: Names a child that takes no notice of anything, and ends at once when it is told to.
POOL = (
    f"{_BEGIN}child = subprocess.Popen([sys.executable, '-c', {DEAF!r}], stdout=subprocess.PIPE); "
    "child.stdout.readline(); signal.signal(signal.SIGTERM, lambda *_: os._exit(0)); "
    f"print(child.pid, flush=True); {_WAIT}"
)
#: The same, but it ends only after its child, as a worker in its warm shutdown does.
JOINING = POOL.replace("os._exit(0)", "child.wait() and os._exit(0)")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the watchdog writes what it did."""
    return tmp_path / "watchdog.log"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that ends when it is told to."""
    with subprocess.Popen([sys.executable, "-c", OBEDIENT], start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def run(log: Path) -> Iterator[Start]:
    """Runs an orchestrator; its process, and the watchdog with all that was started, of which nothing stays."""
    with contextlib.ExitStack() as stack:

        def started(*programs: tuple[Kind, str]) -> tuple[subprocess.Popen[str], list[Birth]]:
            command = [sys.executable, "-c", _ORCHESTRATOR, str(log), json.dumps(programs)]
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            births = [Birth(pid, start) for pid, start in json.loads(process.stdout.readline())]
            stack.callback(_kill, births)
            return process, births

        yield started


def _kill(births: list[Birth]) -> None:
    for birth in births:
        if birth.lives():
            os.kill(birth.pid, signal.SIGKILL)


def _lives(births: list[Birth]) -> list[bool]:
    return [birth.lives() for birth in births]


@pytest.mark.parametrize(
    ("kind", "program", "told"),
    [
        (Kind.NODE, OBEDIENT, "ended by SIGTERM"),
        (Kind.NODE, DEAF, "ended by SIGKILL"),
        (Kind.NODE, PAUSED, "ended by SIGTERM"),
        (Kind.NODE, POOL, "ended by SIGKILL"),
        (Kind.NODE, JOINING, "ended by SIGTERM"),
        (Kind.PROXY, OBEDIENT, "ended by SIGTERM"),
        (Kind.DATABASE, PAUSED, "ended by SIGINT"),
        (Kind.DATABASE, DEAF, "ended by SIGKILL"),
        (Kind.BROKER, OBEDIENT, "ended by SIGTERM"),
    ],
)
def test_all_ends_within_ten_seconds(run: Start, log: Path, kind: Kind, program: str, told: str) -> None:
    """Whether it obeys, is deaf, stands still, has a pool that outlives it, or waits for its pool to end."""
    process, births = run((kind, program))
    assert all(_lives(births))
    killed = time.monotonic()
    process.kill()
    wait_until(lambda: not any(_lives(births)))
    assert time.monotonic() - killed < 10
    first, second = log.read_text().splitlines()
    assert first.endswith(f"process {process.pid}, the orchestrator, is gone")
    assert second.endswith(f" {kind} {births[1].pid}: {told}")


def test_servers_end_after_the_nodes(run: Start, tmp_path: Path) -> None:
    """Nobody works on a server that winds down."""
    noted = tmp_path / "noted"
    server = f"{_BEGIN}signal.signal(signal.SIGINT, lambda *_: open({str(noted)!r}, 'w')); print(flush=True); {_WAIT}"
    process, (_, database, node) = run((Kind.DATABASE, server), (Kind.NODE, DEAF))
    process.kill()
    wait_until(noted.exists)
    assert (True, False) == (database.lives(), node.lives())
    wait_until(lambda: not database.lives())


def test_it_holds_nothing_of_the_orchestrator_s_but_the_pipe(run: Start) -> None:
    """Whoever reads the orchestrator's output sees its end when the orchestrator ends."""
    process, (watching, node) = run((Kind.NODE, DEAF))
    process.kill()
    assert process.stdout is not None
    assert "" == process.stdout.read()
    assert (True, watching.pid) == (node.lives(), os.getsid(watching.pid))
    wait_until(lambda: not watching.lives())


def test_another_holder_of_the_pipe_does_not_hide_the_orchestrator_s_death(
    child: subprocess.Popen[bytes], log: Path
) -> None:
    """A process that the orchestrator forked has its end of the pipe, too."""
    script = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=0, start_new_session=True); " + _WAIT
    reader, writer = os.pipe()
    command = [sys.executable, "-c", script, sys.executable, "-I", "-S", watchdog_process.__file__]
    with subprocess.Popen(["/bin/sh", "-c", 'exec "$@" $$ "$0"', str(log), *command], stdin=reader) as process:
        os.close(reader)
        birth = _birth(child)
        os.write(writer, json.dumps({"add": [birth.pid, birth.start, Kind.NODE]}).encode() + b"\n")
        wait_until(lambda: len(psutil.Process(process.pid).children()) == 1)
        process.kill()
        assert -signal.SIGTERM == child.wait(10)
    wait_until(log.exists)
    os.close(writer)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows which signals are ignored")
def test_signals_do_not_end_it_before_the_orchestrator(run: Start) -> None:
    """Ctrl-C and a job's cancellation reach every process that they can find."""
    process, (watching, node) = run((Kind.NODE, OBEDIENT))
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    wait_until(lambda: all(_ignored(watching.pid) >> (number - 1) & 1 for number in numbers))
    for number in numbers:
        os.kill(watching.pid, number)
    process.kill()
    wait_until(lambda: not node.lives())


def _ignored(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:"))


def test_in_order_it_just_ends(child: subprocess.Popen[bytes], log: Path) -> None:
    """A run that ended has ended what it started."""
    with watchdog(log) as watching:
        watching.add(_birth(child), Kind.NODE)
    assert (False, True, False) == (watching.lives(), child.poll() is None, log.exists())


def test_after_a_failure_it_ends_what_is_left(child: subprocess.Popen[bytes], log: Path) -> None:
    """A run that failed may not have come to ending it."""

    def fail() -> None:
        with watchdog(log) as watching:
            watching.add(_birth(child), Kind.NODE)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert -signal.SIGTERM == child.wait(10)


def test_what_was_dropped_is_left_alone(child: subprocess.Popen[bytes], log: Path) -> None:
    """Its number may be another's by now."""
    watching = Watchdog(log)
    watching.add(_birth(child), Kind.NODE)
    watching.drop(child.pid)
    watching.leave()
    assert (True, False) == (child.poll() is None, log.exists())


def test_a_later_process_of_the_same_number_is_left_alone(child: subprocess.Popen[bytes], log: Path) -> None:
    """The number is the system's to give away."""
    watching = Watchdog(log)
    watching.add(Birth(child.pid, "another start"), Kind.NODE)
    watching.leave()
    assert child.poll() is None
    assert log.read_text().endswith(f"node {child.pid}: had ended already\n")


def test_a_run_goes_on_without_it(child: subprocess.Popen[bytes], log: Path) -> None:
    """Somebody may have killed it."""
    watching = Watchdog(log)
    os.kill(watching.pid, signal.SIGKILL)
    wait_until(lambda: not watching.lives())
    watching.add(_birth(child), Kind.NODE)
    watching.done()
    assert child.poll() is None


def _birth(child: subprocess.Popen[bytes]) -> Birth:
    found = Birth.of(child.pid)
    assert found is not None
    return found
