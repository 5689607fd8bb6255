"""`rowrace hosts`: a race across hosts by docker-compose.yml's commands; nothing is left of it, however it ends."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from orchestrator.again import again
from orchestrator.reports import table
from tests.hosting import Belongings, hosts, interfaces, named, needs_hosts, race
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs_hosts, pytest.mark.timeout(300)]


def test_a_race_spans_the_hosts(tmp_path: Path) -> None:
    """Two hosts were promised, two took part, and nothing is left of any afterwards."""
    row, history = race(tmp_path, "--operations", "150")
    assert "VALID" == row["verdict"]
    assert (2, 2) == (history.meta.min_nodes, history.meta.min_hosts)
    assert {"worker1", "worker2"} == set(history.processes["host"].to_pylist())
    (report,) = tmp_path.glob("runs/*/report.txt")
    verified = [*table.words(again(report.parent))]
    for said in (
        f"run it again with: rowrace hosts --profile {report.parent}/profile.toml",
        f"It stood on {history.meta.rung}.",
    ):
        assert said in report.read_text()
        assert any(said in line for line in verified)
    assert history.meta.rung.startswith("the layout's own PostgreSQL")


def test_a_worker_that_ends_is_started_again(tmp_path: Path) -> None:
    """A worker killed in mid-race comes back as declared, its host takes part again, and nothing is lost."""
    with hosts(tmp_path, "--operations", "600", "--visibility-timeout", "3") as process:
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
    with hosts(tmp_path, "--operations", "100000") as process:
        belongings = Belongings(process.pid)
        wait_until(lambda: bool(named(belongings.look(), moment)))
        process.kill()
        process.wait()
        wait_until(lambda: belongings.left() == [])
    assert before == interfaces()
    assert belongings.folders


def test_an_interrupted_command_reports_and_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends the race on the orchestrator's host in order: a report, exit code 130, nothing left."""
    with hosts(tmp_path, "--operations", "100000") as process:
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
        (["--no-synchronous-commit"], "synchronous_commit = false reaches spawned workers only"),
        (["--faults", "partition:worker1-database:when=pop"], "when=pop is for one pair, of a worker host"),
        (["--compose", "nothing.yml"], "can't be read (No such file or directory)"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    """What can't be run on hosts is refused with exit code 2."""
    with hosts(tmp_path, *arguments) as process:
        _, errors = process.communicate(timeout=60)
    assert 2 == process.returncode
    assert said in errors
    assert "Traceback" not in errors
