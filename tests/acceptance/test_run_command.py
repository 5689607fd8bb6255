"""The command as people run it: embedded services, Ctrl-C, SIGTERM, missing workers, memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.acceptance.racing import HOME
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from tests.acceptance.racing import Racing


def _newest(folder: Path, known: set[Path]) -> list[Path]:
    return [path for path in (folder.iterdir() if folder.is_dir() else ()) if path not in known]


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT, signal.SIGINT]], ids=str
)
def test_interrupted_in_the_middle(racing: Racing, signals: list[signal.Signals]) -> None:
    """What was gathered is judged and shown, exit 130, and nothing is left behind; a second signal changes nothing."""
    runs = racing.config.runs_dir
    known = set(_newest(runs, set()))
    process = racing.command("run", "--strategy", "optimistic,atomic", "--operations", "20000", "--json")
    wait_until(lambda: any(racing.effects(path.name) > 50 for path in _newest(runs, known)))
    for number in signals:
        process.send_signal(number)
    out, error = process.communicate(timeout=90)
    assert 130 == process.returncode, error
    found = json.loads(out)
    assert ["UNKNOWN"] == [row["verdict"] for row in found["rows"]]
    assert (True, 130) == (found["interrupted"], found["exit_code"])
    assert [] == racing.left(Path(found["run"]).name)


def test_interrupted_while_starting(racing: Racing) -> None:
    """Ctrl-C before anything is raced ends with 130 too, and stops the nodes that were started."""
    runs = racing.config.runs_dir
    known = set(_newest(runs, set()))
    process = racing.command("run", "--json")
    wait_until(lambda: any(list(path.glob("logs/node1.log")) for path in _newest(runs, known)))
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert 130 == process.returncode, error
    found = json.loads(out)
    assert [] == found["rows"]
    assert [] == racing.left(Path(found["run"]).name)


def test_without_workers_nothing_starts(racing: Racing) -> None:
    """Expected nodes that nobody started are one sentence and exit code 4."""
    process = racing.command("run", "--workers", "external", "--expect-nodes", "9")
    out, error = process.communicate(timeout=60)
    assert (4, "") == (process.returncode, out)
    assert "9 are expected" in error
    assert 1 == len(error.splitlines())


def test_embedded_services_come_and_go_with_the_run(tmp_path: Path) -> None:
    """Without any URL a run brings its own services, and leaves no process, whatever it raced."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROWRACE_")}
    environment |= {"PYTHONPATH": str(HOME), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = ("run", "credits", "--strategy", "naive,pessimistic", "--operations", "200", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=120,
    )
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert ["INVALID", "VALID"] == [row["verdict"] for row in found["rows"]]
    assert "embedded PostgreSQL" in found["rung"]
    assert [] == [process for process in psutil.process_iter() if _mentions(process, Path(found["run"]).name)]
    logs = {name: (Path(found["run"]) / "logs" / f"{name}.log").read_text() for name in ("postgresql", "valkey")}
    assert "database system is shut down" in logs["postgresql"]
    assert "ready to exit" in logs["valkey"]
    again = subprocess.run(
        [sys.executable, "-m", "orchestrator", "verify", found["run"], "--json"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert ["INVALID", "VALID"] == [row["verdict"] for row in json.loads(again.stdout)["rows"]]
    texts = [path.read_bytes() for path in Path(found["run"]).rglob("*") if path.is_file()]
    assert not any(b"postgresql://" in text for text in texts)  # no URL, so no password, is written down


def _mentions(process: psutil.Process, run: str) -> bool:
    try:
        return any(run in part for part in process.cmdline())
    except psutil.Error:
        return False


#: Runs a command and says the most memory that it held, in kB. A process of its own, since the kernel counts what a
#: process was before `exec`, too: a fork of this one, large as it is.
_MEASURING = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def _peak(racing: Racing, operations: int) -> float:
    """Run as many operations, and give the orchestrator's peak memory in MB."""
    arguments = ("--operations", str(operations), "--rows", "1000", "--think-max-ms", "0", "--per-message", "50")
    command = ("run", "credits", "--strategy", "optimistic", *arguments, "--json")
    done = subprocess.run(
        [sys.executable, "-c", _MEASURING, sys.executable, "-m", "orchestrator", *command],
        env=racing.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    (row,) = json.loads(done.stdout)["rows"]
    assert (operations, 0, 0) == (row["ok"] + row["fail"], row["info"], row["lost"]), done.stderr
    return int(done.stderr.split()[-1]) / 1e3


def test_memory_stays_within_bounds(racing: Racing) -> None:
    """The orchestrator stays under 220 MB: a short run shows that it doesn't begin high."""
    assert _peak(racing, 10_000) < 220


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_memory_of_a_hundred_thousand_operations(racing: Racing) -> None:
    """A hundred thousand operations, every one accounted for, in under 600 MB, of which the compiler takes some 200."""
    assert _peak(racing, 100_000) < 600
