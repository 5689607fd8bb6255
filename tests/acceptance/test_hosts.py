"""`rowrace hosts`: a race across hosts, cut and healed, by docker-compose.yml's commands; nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.history import files
from tests.compose_file import ROOT
from tests.hosting import Belongings, interfaces, named, needs_hosts
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.history.model import History

pytestmark = [needs_hosts, pytest.mark.timeout(300)]

#: A cut of each kind, one way and both, of a worker from the database, from the broker, and from both.
PLAN = (
    "partition:worker1-database:at=300ms:for=1s",
    "partition:worker2-broker:at=1500ms:for=1s:how=route:way=to",
    "partition:worker1-database:worker1-broker:at=2700ms:for=1s:way=from",
    "partition:worker2-database:at=3900ms:for=1s:how=link",
)


@contextmanager
def _hosts(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
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


def _race(folder: Path, *arguments: str) -> tuple[dict[str, Any], History]:
    """Run the command to its end; its report, and the history of its one group."""
    before = interfaces()
    with _hosts(folder, *arguments) as process:
        belongings = Belongings(process.pid)
        wait_until(lambda: bool(named(belongings.look(), "-m orchestrator run")) or process.poll() is not None)
        said, errors = process.communicate(timeout=240)
    assert 0 == process.returncode, said + errors
    assert 6 == len(belongings.namespaces)
    wait_until(lambda: belongings.left() == [])
    assert before == interfaces()
    report: dict[str, Any] = json.loads(said)
    return report, files.read(next(path.parent for path in folder.glob("runs/*/*/effects.parquet")))


def test_a_race_spans_the_hosts(tmp_path: Path) -> None:
    """Two hosts were promised, two took part, and nothing is left of any afterwards."""
    report, history = _race(tmp_path, "--operations", "150")
    assert ["VALID"] == [each["verdict"] for each in report["rows"]]
    assert (2, 2) == (history.meta.min_nodes, history.meta.min_hosts)
    assert {"worker1", "worker2"} == set(history.processes["host"].to_pylist())


def test_hosts_are_cut_and_healed(tmp_path: Path) -> None:
    """Cut from the database, from the broker and from both, one way and both, the race loses nothing."""
    report, history = _race(tmp_path, "--operations", "700", "--rows", "30", "--republish", "--faults", ",".join(PLAN))
    assert ["VALID"] == [each["verdict"] for each in report["rows"]]
    assert PLAN == history.meta.faults
    struck = history.faults.to_pylist()
    assert [
        "cut worker1 and database (silent)",
        "cut worker2 to broker (route)",
        "cut worker1 from database, worker1 from broker (silent)",
        "cut worker2 and database (link)",
    ] == [each["detail"] for each in struck]
    assert [] == [each for each in struck if not each["healed_us"] or each["healed_us"] - each["struck_us"] < 900_000]


def test_a_worker_that_ends_is_started_again(tmp_path: Path) -> None:
    """A worker killed in mid-race comes back as declared, its host takes part again, and nothing is lost."""
    with _hosts(tmp_path, "--operations", "600", "--visibility-timeout", "3") as process:
        belongings = Belongings(process.pid)
        wait_until(lambda: bool(belongings.look()) and bool(list(tmp_path.glob("runs/*/*/attempts.parquet"))))
        workers = [each for each in belongings.processes if each.is_running() and "celery" in each.cmdline()]
        first = min(workers, key=lambda each: each.pid)  # a pool's processes come after their main process
        first.kill()
        said, errors = process.communicate(timeout=240)
    assert "The service on host worker" in errors
    assert (0, ["VALID"]) == (process.returncode, [each["verdict"] for each in json.loads(said)["rows"]])
    wait_until(lambda: belongings.left() == [])


@pytest.mark.parametrize("moment", ["hosts/init.py", "celery", "-m orchestrator run"])
def test_a_killed_command_leaves_nothing(tmp_path: Path, moment: str) -> None:
    """SIGKILL while hosts come up, while services start or in mid-race: processes, namespaces and data are gone."""
    before = interfaces()
    with _hosts(tmp_path, "--operations", "100000") as process:
        belongings = Belongings(process.pid)
        wait_until(lambda: bool(named(belongings.look(), moment)))
        process.kill()
        process.wait()
        wait_until(lambda: belongings.left() == [])
    assert before == interfaces()
    assert belongings.folders


def test_an_interrupted_command_reports_and_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends the race on the orchestrator's host in order: a report, exit code 130, nothing left."""
    with _hosts(tmp_path, "--operations", "100000") as process:
        belongings = Belongings(process.pid)
        wait_until(lambda: bool(belongings.look()) and bool(list(tmp_path.glob("runs/*/*/attempts.parquet"))))
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=120)
    assert 130 == process.returncode, errors
    assert json.loads(said)["interrupted"]
    wait_until(lambda: belongings.left() == [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "3"], "There is one node on each worker host: leave --nodes away, and say --worker-hosts."),
        (["--faults", "partition:worker3-database"], "There is no host worker3"),
        (["--faults", "partition:worker1"], "worker1 names no two hosts; write worker1-database."),
        (["--faults", "partition:worker1-broker:how=link:way=to"], "a link is down both ways"),
        (["--mode", "eager"], "Hosts are for real workers: leave --mode away."),
        (["--compose", "nothing.yml"], "can't be read (No such file or directory)"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    """What can't be run on hosts is refused with exit code 2."""
    with _hosts(tmp_path, *arguments) as process:
        _, errors = process.communicate(timeout=60)
    assert 2 == process.returncode
    assert said in errors
    assert "Traceback" not in errors
