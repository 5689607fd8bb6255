"""Runs that end in every way, faults in force or not: none leaves anything behind, but what waits for `resume`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest

from tests.leavings import Command, Place, Traces
from tests.stand_ins import free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.racing import Racing

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux shows which sockets and namespaces a process has"
)

#: Leaves a process of its own session, which listens, when its stdin ends.
LEAVING: Final = """
import subprocess, sys
listening = "import socket, time; held = socket.create_server(('127.0.0.1', 0)); time.sleep(600)"
left = subprocess.Popen([sys.executable, "-c", listening], stdout=subprocess.DEVNULL, start_new_session=True)
print(left.pid, flush=True)
sys.stdin.read()
"""

RUN: Final = ("run", "credits", "--strategy", "pessimistic", "--grace", "1", "--visibility-timeout", "4", "--json")
#: More than are ever raced here.
LONG: Final = ("--operations", "50000")
#: Some seconds of work, whatever the machine.
SHORT: Final = ("--operations", "300", "--think-min-ms", "20", "--think-max-ms", "20")
#: How long an interrupted run, or one at its time limit, may take to end, seconds.
BOUND: Final = 30.0
#: How long after the orchestrator's death all must be gone, seconds.
KILLED: Final = 10.0


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """A place for runs on embedded services."""
    return Place.on(tmp_path)


@pytest.fixture
def given(racing: Racing, tmp_path: Path) -> Place:
    """A place for runs on given services."""
    return Place.on(tmp_path, racing)


def test_a_look_finds_what_stays(given: Place) -> None:
    """Each kind of leftover is found where it was planted, so that the tests below don't look past it."""
    (given.folder / "runs" / "250101000000abcdef" / "journals").mkdir(parents=True)
    (given.folder / "data" / "rowrace-services-x").mkdir()
    command = subprocess.Popen(
        [sys.executable, "-c", LEAVING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    leaving = Command(given, command, Traces(command.pid))
    assert given.given is not None
    with given.given.database() as session, given.given.broker() as client:
        session.execute("BEGIN")
        client.set("rowrace.250101000000abcdef", 1)
        wait_until(lambda: any(each.startswith("listening") for each in leaving.traces.left()))
        assert 0 == leaving.end()
        pid = int(leaving.out)
        found = given.left(leaving, patience=0)
        client.delete("rowrace.250101000000abcdef")
    psutil.Process(pid).kill()
    leaving.traces.stop()
    kinds = ("process", "listening port", "session", "temporary rowrace", "in the run's folder", "rowrace.2501")
    assert [] == [kind for kind in kinds if not any(each.startswith(kind) for each in found)]
    wait_until(lambda: leaving.traces.left() == [])


def _plan(*entries: str) -> tuple[str, ...]:
    return ("--faults", ",".join(entries))


def _names(entries: tuple[str, ...]) -> set[str]:
    return {entry.partition(":")[0] for entry in entries}


def _await(command: Command, entries: tuple[str, ...]) -> None:
    """Wait until each entry has struck."""
    wait_until(
        lambda: (
            command.process.poll() is not None
            or all(f'["{name}",' in command.place.struck() for name in _names(entries))
        )
    )
    assert command.process.poll() is None, command.process.communicate()


def _rows(command: Command) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command.out)["rows"]
    return found


def _faults_and_ends() -> tuple[str, ...]:
    """Some that are healed in time, and some that are in force for longer than the race takes."""
    return (
        "kill-node:node2:at=300ms:for=1s",
        "partition:node1-broker:at=500ms:for=1s",
        "restart-database:mode=immediate:at=700ms",
        "restart-broker:at=1s",
        "latency:node1-db:delay=1ms:for=60s",
        "long-transaction:for=60s",
        "exhaust-connections:connections=5:for=60s",
    )


def test_a_run_whose_faults_are_in_force_to_the_end(here: Place) -> None:
    """All is healed once the race is over, and what lived under the faults ends like the rest."""
    with here.command(*RUN, *SHORT, "--republish", *_plan(*_faults_and_ends())) as command:
        assert 0 == command.end(), (command.out, command.error)
    assert ["VALID"] == [row["verdict"] for row in _rows(command)]
    assert [] == here.left(command)


def test_a_run_interrupted_under_faults(here: Place) -> None:
    """Ctrl-C while nothing answers any more: all is healed at once, judged by, and ended."""
    entries = (
        "pause-node:node1:for=90s",
        "kill-node:node2:for=90s",
        "partition:orchestrator-db:orchestrator-broker:for=90s",
        "pause-database:at=1500ms:for=90s",
    )
    with here.command(*RUN, *LONG, *_plan(*entries)) as command:
        _await(command, entries)
        command.process.send_signal(signal.SIGINT)
        assert 130 == command.end(), command.error
    assert ["UNKNOWN"] == [row["verdict"] for row in _rows(command)]
    assert command.seconds < BOUND
    assert [] == here.left(command)


def test_a_run_terminated_under_faults_on_given_services(given: Place) -> None:
    """SIGTERM while sessions of faults hold locks and slots: the services are as before."""
    entries = (
        "lock-table:for=90s",  # before a paused node holds rows
        "long-transaction:for=90s",
        "exhaust-connections:connections=5:for=90s",
        "kill-node:node1:for=90s",
        "partition:node2-broker:for=90s",
        "pause-node:node2:for=90s",
    )
    with given.command(*RUN, *LONG, *_plan(*entries)) as command:
        _await(command, entries)
        command.process.send_signal(signal.SIGTERM)
        assert 130 == command.end(), command.error
    assert command.seconds < BOUND
    assert [] == given.left(command)


def test_a_run_at_its_time_limit_under_faults(here: Place) -> None:
    """A poison loop that never ends, and services that are away when time is up."""
    entries = ("poison:operation=3", "stop-database:for=90s", "pause-broker:at=1500ms:for=90s")
    with here.command(*RUN, *LONG, "--timeout", "3", *_plan(*entries)) as command:
        assert 3 == command.end(), command.error
    assert ["UNKNOWN"] == [row["verdict"] for row in _rows(command)]
    assert [] == here.left(command)


def test_a_fault_that_can_not_be_carried_out(here: Place) -> None:
    """It is refused in a sentence when services and nodes are up, and they end."""
    with here.command(*RUN, *_plan("kill-node:node9", "partition:node1-db")) as command:
        assert 2 == command.end()
    assert "there is no node9" in command.error
    assert (1, "") == (command.error.count("\n"), command.out)
    assert [] == here.left(command)


def test_a_fault_of_services_that_are_not_ours(given: Place) -> None:
    """The same on given services, which don't stop."""
    with given.command(*RUN, *_plan("stop-database", "kill-node")) as command:
        assert 2 == command.end()
    assert "stop-database" in command.error
    assert (1, "") == (command.error.count("\n"), command.out)
    assert [] == given.left(command)


@pytest.mark.parametrize("away", ["ROWRACE_DATABASE_URL", "ROWRACE_BROKER_URL"])
def test_a_service_that_can_not_be_reached(given: Place, away: str) -> None:
    """Nothing begins, on the other service neither."""
    scheme = "postgresql" if away == "ROWRACE_DATABASE_URL" else "redis"
    with given.command(*RUN, **{away: f"{scheme}://127.0.0.1:{free_port()}/0"}) as command:
        assert 4 == command.end()
    assert (1, "") == (command.error.count("\n"), command.out)
    assert [] == given.left(command)


WAITS: Final = ("in the run's folder ", "temporary rowrace-services-")


def _killed(place: Place, entries: tuple[str, ...]) -> Command:
    """Kill a run once its faults are in force, and wait until nothing of it lives."""
    with place.command(*RUN, *LONG, *_plan(*entries)) as command:
        _await(command, entries)
        command.process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        command.end()
        wait_until(lambda: command.traces.left() == [])
        assert time.monotonic() - killed < KILLED
    return command


def _clean(place: Place) -> None:
    with place.command("clean") as command:
        assert 0 == command.end(), command.error
    assert [] == command.traces.left()


def test_a_killed_run_leaves_its_data_only(here: Place) -> None:
    """SIGKILL while the database is down, a node is paused and a link is cut; `rowrace clean` removes what waits."""
    entries = ("pause-node:node1:for=90s", "stop-database:for=90s", "partition:node2-broker:for=90s")
    command = _killed(here, entries)
    assert [] == [each for each in here.left(command) if not each.startswith(WAITS)]
    assert 1 == len(list((here.folder / "data").iterdir()))
    _clean(here)
    assert [] == list((here.folder / "data").iterdir())


def test_a_killed_run_leaves_its_schema_only(given: Place) -> None:
    """The sessions of its faults end with it, on services that stay; `rowrace clean` removes what waits."""
    entries = ("lock-table:for=90s", "long-transaction:for=90s", "kill-node:node1:for=90s")
    command = _killed(given, entries)
    run = given.run.name
    waiting = [f"rowrace_{run}_1", f"rowrace.{run}", "unacked", f"-{run}@localhost.celery.pidbox", *WAITS]
    assert [] == [each for each in given.left(command) if not any(part in each for part in waiting)]
    _clean(given)
    assert [] == [each for each in given.left(command) if not each.startswith(WAITS)]
