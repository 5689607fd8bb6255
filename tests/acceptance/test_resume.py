"""Runs whose orchestrator is killed: all that they started ends, their data wait, and `rowrace resume` ends them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest

from orchestrator import schema, state
from orchestrator.services.process import Birth
from tests.acceptance.racing import HOME
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.racing import Racing

OPERATIONS: Final = 1_500
RUN: Final = ("run", "credits", "--strategy", "pessimistic", "--operations", str(OPERATIONS), "--grace", "1", "--json")
#: How long after the kill all must be gone, seconds.
BOUND: Final = 10.0


@dataclass(frozen=True)
class Here:
    """A place of its own for runs and for the data of their services."""

    folder: Path
    #: URLs of given services.
    given: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """What the command needs to stay in this place."""
        kept = {key: value for key, value in os.environ.items() if key != "ROWRACE_DATABASE_URL"}
        return {
            **kept,
            "PYTHONPATH": str(HOME),
            "ROWRACE_RUNS_DIR": str(self.folder / "runs"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "TMPDIR": str(self.data),
            **dict(self.given),
        }

    @property
    def data(self) -> Path:
        """Where embedded services keep their data."""
        return self.folder / "data"

    @property
    def run(self) -> Path:
        """The one run's folder, once it is there."""
        return next(iter((self.folder / "runs").glob("*")), self.folder / "none yet")

    @contextlib.contextmanager
    def command(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start `rowrace` as a process of its own; it ends with the block at the latest, killed if it must be."""
        with (self.folder / "said").open("a", encoding="utf-8") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env=self.environment,
                start_new_session=True,
            )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def processes(self) -> list[psutil.Process]:
        """Name whatever works here: by its command line, its environment or its folder."""
        return [each for each in psutil.process_iter() if _works_in(each, str(self.folder))]

    def killed(self, arguments: tuple[str, ...], when: Callable[[Here], bool]) -> None:
        """Start a command, kill it as soon as the time has come, and see that nothing outlives it for long."""
        with self.command(*arguments) as process:
            wait_until(lambda: process.poll() is not None or when(self))
            assert process.poll() is None, (self.folder / "said").read_text(encoding="utf-8")
            ours = self.processes()
            births = [birth for each in ours if each.pid != process.pid and (birth := Birth.of(each.pid))]
            ports = {port for each in ours for port in _ports(each)}
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed = time.monotonic()
        wait_until(lambda: not any(birth.lives() for birth in births) and not self.processes())
        assert time.monotonic() - killed < BOUND
        assert not any(map(_listens, ports))

    def told(self, *arguments: str, ends: int = 0) -> dict[str, Any]:
        """Carry a command out and give what it printed."""
        with self.command(*arguments) as process:
            out, _ = process.communicate(timeout=180)
        assert ends == process.returncode, (self.folder / "said").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(out)
        return found

    def left(self) -> list[str]:
        """List what is left of a run that has ended: processes, data, what it would be resumed with."""
        run = self.run
        marks = [*run.glob("state.json*"), *run.glob("journals"), *run.glob("*/published"), *run.glob("*/strikes")]
        data = self.data.glob("rowrace-*")  # a node that had to be killed leaves a folder of Python's own, too
        return [*map(str, self.processes()), *map(str, data), *map(str, marks)]


def _works_in(process: psutil.Process, place: str) -> bool:
    if process.pid == os.getpid():
        return False
    with contextlib.suppress(psutil.Error, OSError):
        if place in " ".join(process.cmdline()) or place in process.environ().values():
            return True
    with contextlib.suppress(psutil.Error, OSError):
        return place in " ".join(process.environ().values()) or process.cwd().startswith(place)
    return False


def _ports(process: psutil.Process) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [each.laddr.port for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    return []


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def starting(here: Here) -> bool:
    """Say whether services have begun to start."""
    return (here.run / "logs" / "postgresql.log").exists()


def standing(here: Here) -> bool:
    """Say whether services stand, and nodes start."""
    found = state.read(here.run)
    return found is not None and found.base is not None


def ended(count: int) -> Callable[[Here], bool]:
    """Say whether so many attempts have ended."""
    return lambda here: _ended(here) >= count


def _ended(here: Here) -> int:
    try:
        return sum(path.read_bytes().count(b'["end"') for path in (here.run / "journals").glob("*/*.jsonl"))
    except FileNotFoundError:  # the run has just ended
        return 0


def judging(here: Here) -> bool:
    """Say whether the last group's history is whole."""
    return any(here.run.glob("*/group.json"))


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """A place that nobody else works in."""
    (tmp_path / "data").mkdir()
    return Here(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The accounting of a run that nobody killed."""
    place = Here(tmp_path_factory.mktemp("undisturbed"))
    place.data.mkdir()
    found = accounting(place.told(*RUN))
    assert [] == place.left()
    return found


def accounting(report: dict[str, Any]) -> dict[str, Any]:
    """Give what must not depend on kills: what was planned and settled, what was lost, and what each check says."""
    (row,) = report["rows"]
    return {
        "verdict": row["verdict"],
        "operations": row["operations"],
        "settled": row["ok"] + row["refused"],
        "info": row["info"],
        "lost": row["lost"],
        "unpublished": row["unpublished"],
        "checks": {each["name"]: (each["verdict"], each["found"]) for each in row["checks"]},
    }


def _moments(count: int) -> list[Any]:
    """Draw moments by what has ended so far, the same ones each time."""
    drawn = random.Random(4).sample(range(1, OPERATIONS), count)  # noqa: S311 -- repeatable, not secret
    return [pytest.param(ended(number), id=f"{number} ended") for number in sorted(drawn)]


FEW: Final = [pytest.param(starting, id="services start"), *_moments(1), pytest.param(judging, id="judging")]
TEN: Final = [
    pytest.param(starting, id="services start"),
    pytest.param(standing, id="nodes start"),
    *_moments(6),
    pytest.param(ended(OPERATIONS), id="all ended"),
    pytest.param(judging, id="judging"),
]


def _kill_and_resume(here: Here, when: Callable[[Here], bool], undisturbed: dict[str, Any]) -> None:
    here.killed(RUN, when)
    waiting = state.read(here.run)
    assert waiting is not None
    if waiting.base is not None:
        assert Path(waiting.base.folder or "") in list(here.data.iterdir())
    report = here.told("resume", here.run.name, "--json")
    assert undisturbed == accounting(report)
    assert any("resumed once" in note for note in report["notes"])
    assert [] == here.left()


@pytest.mark.parametrize("when", FEW)
def test_a_killed_run_is_resumed(here: Here, when: Callable[[Here], bool], undisturbed: dict[str, Any]) -> None:
    """Whenever it was killed, every operation is accounted for as in a run that was not."""
    _kill_and_resume(here, when, undisturbed)


@pytest.mark.prove
@pytest.mark.parametrize("when", TEN)
def test_ten_killed_runs_are_resumed(here: Here, when: Callable[[Here], bool], undisturbed: dict[str, Any]) -> None:
    """The same at ten moments."""
    _kill_and_resume(here, when, undisturbed)


@pytest.mark.prove
def test_a_resumed_run_may_be_killed_too(here: Here, undisturbed: dict[str, Any]) -> None:
    """It waits again, and comes to the same end."""
    here.killed(RUN, ended(200))
    here.killed(("resume", here.run.name), ended(700))
    report = here.told("resume", str(here.run), "--json")
    assert undisturbed == accounting(report)
    assert any("resumed 2 times" in note for note in report["notes"])
    assert [] == here.left()


def test_a_run_that_was_killed_between_its_groups_goes_on_with_the_next(here: Here) -> None:
    """What is whole is judged as it is, and a seed gives the rest."""
    run = ("run", "credits", "requests", "--strategy", "pessimistic", "--operations", "600", "--grace", "1", "--json")
    here.killed(run, lambda place: any(place.run.glob("1-*/group.json")))
    rows = here.told("resume", here.run.name, "--json")["rows"]
    assert [("credits", "VALID", 600), ("requests", "VALID", 600)] == [
        (row["scenario"], row["verdict"], row["ok"] + row["fail"] + row["unpublished"]) for row in rows
    ]
    assert [] == here.left()


def test_a_producer_that_was_killed_goes_on(here: Here) -> None:
    """Requests that were rolled back stay so, those that are committed are fulfilled, once each."""
    run = ("run", "requests", "--strategy", "atomic", "--operations", str(OPERATIONS), "--grace", "1", "--json")
    here.killed(run, ended(300))
    (row,) = here.told("resume", here.run.name, "--json")["rows"]
    assert ("VALID", OPERATIONS * 2 // 3, 0) == (row["verdict"], row["ok"], row["lost"])
    assert [] == here.left()


def test_an_interrupted_resumed_run_ends_as_a_run_does(here: Here) -> None:
    """What was done is judged and reported; nothing waits any more."""
    here.killed(RUN, ended(200))
    # The first node takes up what is queued while the others still start; the race goes on only when all are there.
    _interrupted(here, ended(_ended(here) + 700))
    assert [] == here.left()


def test_a_run_that_is_interrupted_before_it_goes_on_waits_still(here: Here, undisturbed: dict[str, Any]) -> None:
    """Nothing is thrown away that could be brought to its end."""
    here.killed(RUN, ended(200))
    report = _interrupted(here, lambda place: (found := state.read(place.run)) is not None and found.resumed > 0)
    assert ([], True) == (report["rows"], any("waits for `rowrace resume` still" in note for note in report["notes"]))
    assert [] == here.processes()
    assert undisturbed == accounting(here.told("resume", here.run.name, "--json"))
    assert [] == here.left()


def _interrupted(here: Here, when: Callable[[Here], bool]) -> dict[str, Any]:
    """Resume, and press Ctrl-C as soon as the time has come; what is reported."""
    with here.command("resume", here.run.name, "--json") as process:
        wait_until(lambda: process.poll() is not None or when(here))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    report: dict[str, Any] = json.loads(out)
    assert (130, True) == (process.returncode, report["interrupted"])
    return report


@pytest.fixture
def given(racing: Racing, here: Here) -> Here:
    """The same on services that stay."""
    urls = ("ROWRACE_DATABASE_URL", racing.config.database_url), ("ROWRACE_BROKER_URL", racing.config.broker_url)
    return Here(here.folder, tuple((name, url or "") for name, url in urls))


@pytest.mark.parametrize("when", [pytest.param(ended(400), id="400 ended"), pytest.param(judging, id="judging")])
def test_a_killed_run_on_given_services_is_resumed(
    given: Here, racing: Racing, when: Callable[[Here], bool], undisturbed: dict[str, Any]
) -> None:
    """They need be named again; nothing stays on them."""
    given.killed(RUN, when)
    run = given.run.name
    assert when is judging or f"rowrace_{run}_1" in racing.left(run)
    report = given.told("resume", run, "--json")
    assert undisturbed == accounting(report)
    assert ([], []) == (given.left(), racing.left(run))


def test_a_run_whose_data_are_gone_is_not_begun_anew(given: Here, racing: Racing) -> None:
    """It is said in a sentence, and `clean` forgets the run."""
    given.killed(RUN, ended(100))
    run = given.run.name
    with racing.database() as connection:
        schema.drop(connection, f"rowrace_{run}_1")
    assert "are gone" in _refused(given, "resume", run, ends=4)
    assert "give that URL again" in _refused(Here(given.folder), "resume", run, ends=2)
    with given.command("clean") as process:
        out, _ = process.communicate(timeout=60)
    assert (0, True) == (process.returncode, f"what run {run} would be resumed with" in out)
    assert "waits for nothing" in _refused(given, "resume", run, ends=2)
    assert ([], []) == (given.left(), racing.left(run))


def test_a_living_run_is_not_resumed(here: Here) -> None:
    """It is told that it runs; one that nobody knows is told, too."""
    with here.command(*RUN) as process:
        wait_until(lambda: ended(50)(here))
        assert "still runs" in _refused(here, "resume", here.run.name, ends=2)
        process.communicate(timeout=120)
    assert "There is no run unheard-of" in _refused(here, "resume", "unheard-of", ends=2)
    assert [] == here.left()


def _refused(here: Here, *arguments: str, ends: int) -> str:
    """Give the one sentence with which a command is refused."""
    process = subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        capture_output=True,
        text=True,
        env=here.environment,
        check=False,
        timeout=120,
    )
    assert (ends, "", 1) == (process.returncode, process.stdout, process.stderr.count("\n")), process.stderr
    return process.stderr
