"""Runs that wait: `rowrace resume` lists them and refuses what it can't use, `rowrace clean` finds all of them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from orchestrator import state
from orchestrator.base import Base
from orchestrator.cli import main
from orchestrator.holding import held
from orchestrator.profile import Mode
from orchestrator.services import Origin, waiting
from orchestrator.services import folder as folders
from orchestrator.services.embedded import Pair
from orchestrator.watermark import PUBLISHED_FILE, Watermark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Rowrace = Callable[..., "Done"]

RUN = "261125070242fe862f"
FORGET = f"rowrace clean --forget {RUN}"
OTHER = "261126070242fe862f"
GROUPS = ("1-credits-optimistic-read-committed", "2-credits-atomic-read-committed")
DATABASE, BROKER = "postgresql://u:***@127.0.0.1:1/d", "redis://:***@127.0.0.1:1/0"
GIVEN = Base(database=Origin.GIVEN, broker=Origin.GIVEN, database_url=DATABASE, broker_url=BROKER)


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def rowrace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rowrace:
    """Run the command in a folder of its own, without any of rowrace's variables."""
    for name in [name for name in os.environ if name.startswith("ROWRACE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **variables: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["rowrace", *arguments])
            for name, value in variables.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run that waits."""
    found = tmp_path / "rowrace-runs" / RUN
    (found / "logs").mkdir(parents=True)
    (found / "profile.toml").write_text('strategies = ["optimistic", "atomic"]\n', encoding="utf-8")
    return found


def _waits(folder: Path, base: Base | None = None, **changes: int | tuple[int, ...]) -> None:
    state.write(state.State(run=folder.name, mode=Mode.DISTRIBUTED, base=base, **changes), folder)  # type: ignore[arg-type] # fields of several types


def _embedded(folder: Path) -> Path:
    """Give the run services of its own, and data of theirs."""
    data = folders.create()
    pair = Pair("postgresql://u:secret@127.0.0.1:1/d", "redis://:secret@127.0.0.1:1/0")
    waiting.promise(data, pair, folder / state.STATE_FILE)
    base = Base(
        database=Origin.EMBEDDED, broker=Origin.EMBEDDED, database_url=DATABASE, broker_url=BROKER, folder=str(data)
    )
    _waits(folder, base)
    return data


def test_resume_without_a_run_lists_those_that_wait(rowrace: Rowrace, folder: Path) -> None:
    """When each began, how far it is, what to type; which is meant must be said."""
    (folder / GROUPS[1]).mkdir()
    with Watermark(folder / GROUPS[1] / PUBLISHED_FILE) as mark:
        mark.about_to(0, 250)
    _waits(folder, group=2, done=(1,))
    told = (
        f"{RUN}, begun 2026-11-25 07:02:42 UTC\n"
        f"  1 of 2 groups done; of {GROUPS[1]} 250 of 400 operations published\n"
        f"  rowrace resume {RUN}\n"
    )
    said = "rowrace: Say which run is to be resumed: `rowrace resume RUN`.\n"
    assert Done(2, told, said) == rowrace("resume")


def test_machines_are_told_the_same(rowrace: Rowrace, folder: Path) -> None:
    """One object, with the command for each run, folder and all."""
    _waits(folder, GIVEN)
    done = rowrace("resume", "--runs-dir", str(folder.parent), "--json")
    (found,) = json.loads(done.stdout)["waiting"]
    command = (
        f"rowrace resume {RUN} --runs-dir {folder.parent} --database-url '{DATABASE}' --broker-url 'redis://:***@127"
        ".0.0.1:1/0'"
    )
    assert (RUN, "0 of 2 groups done", command) == (found["run"], found["how_far"], found["command"])


def test_where_no_run_waits_that_is_said(rowrace: Rowrace, folder: Path) -> None:
    """An ended run waits for nothing, and a living one is somebody's."""
    said = "rowrace: No run waits in rowrace-runs (--runs-dir says where runs are).\n"
    assert Done(2, "", said) == rowrace("resume")
    _waits(folder)
    with held(folder):
        assert Done(2, "", said) == rowrace("resume")


@pytest.mark.parametrize(
    ("flag", "url"),
    [
        ("--database-url", "postgresql://127.0.0.1:1/d"),
        ("--broker-url", "redis://127.0.0.1:1/0"),
    ],
)
def test_a_url_for_services_that_the_run_has_is_refused(rowrace: Rowrace, folder: Path, flag: str, url: str) -> None:
    """It would change nothing; the run waits on."""
    data = _embedded(folder)
    done = rowrace("resume", RUN, flag, url)
    name = flag[2:].partition("-")[0]
    said = f"rowrace: Run {RUN} has a {name} of its own, with its data, and goes on with that: leave {flag} away.\n"
    assert Done(2, "", said) == done
    assert (True, True) == (state.read(folder) is not None, data.exists())


def test_a_kept_service_is_not_replaced_either(rowrace: Rowrace, folder: Path) -> None:
    """Its data are there and nowhere else."""
    _waits(folder, Base(database=Origin.KEPT, broker=Origin.KEPT, database_url=DATABASE, broker_url=BROKER))
    done = rowrace("resume", RUN, "--broker-url", "redis://127.0.0.1:1/0")
    assert (2, True) == (done.returncode, "has a broker among the kept services" in done.stderr)


def test_a_given_url_must_be_the_same(rowrace: Rowrace, folder: Path) -> None:
    """The sentence names the flag that was given."""
    _waits(folder, GIVEN)
    done = rowrace("resume", RUN, "--database-url", "postgresql://127.0.0.1:1/other")
    said = f"rowrace: The run stands on {DATABASE}: give that URL again (--database-url).\n"
    assert (2, said) == (done.returncode, done.stderr)


@pytest.mark.parametrize("content", [b"", b'{"run": "2611', b"\xff\xfe", b'{"run": "\xff", "mode": "distributed"}'])
def test_an_unreadable_state_is_told_and_cleaned(rowrace: Rowrace, folder: Path, content: bytes) -> None:
    """Its data go at once, found by the mark that leads to the state."""
    data, others = _embedded(folder), folders.create()
    (folder / state.STATE_FILE).write_bytes(content)
    done = rowrace("resume", RUN)
    assert (2, 1, True) == (done.returncode, done.stderr.count("\n"), "can't be read, so the run can't" in done.stderr)
    assert f"  {state.STATE_FILE} can't be read, so it can't be resumed\n  {FORGET}\n" in rowrace("resume").stdout
    said = f"Removed data {data}\nRemoved what run {RUN} would be resumed with\n"
    assert Done(0, said, "") == rowrace("clean")
    assert (False, True, None) == (data.exists(), others.exists(), state.read(folder))


@pytest.mark.parametrize("arguments", [("clean",), ("clean", "--forget", RUN)])
def test_a_folder_in_the_state_s_place_is_told_and_cleaned(
    rowrace: Rowrace, folder: Path, arguments: tuple[str, ...]
) -> None:
    """Whatever is in it: the run would wait for as long as it is there."""
    (folder / state.STATE_FILE / "within").mkdir(parents=True)
    done = rowrace("resume", RUN)
    assert (2, 1, True) == (done.returncode, done.stderr.count("\n"), "can't be read, so the run can't" in done.stderr)
    assert Done(0, f"Removed what run {RUN} would be resumed with\n", "") == rowrace(*arguments)
    assert (None, True) == (state.read(folder), folder.exists())


def test_gone_data_are_told_before_anybody_tries(rowrace: Rowrace, folder: Path) -> None:
    """What to type is what helps."""
    folders.remove(_embedded(folder))
    assert f"  its data are gone, so it can't be resumed\n  {FORGET}\n" in rowrace("resume").stdout


@pytest.mark.parametrize("damage", ["state", "profile", "data"])
def test_what_is_told_for_a_run_that_is_lost_leaves_the_others(rowrace: Rowrace, folder: Path, damage: str) -> None:
    """They wait on, with their data."""
    other = shutil.copytree(folder, folder.with_name(OTHER))
    lost, data = _embedded(folder), _embedded(other)
    if damage == "state":
        (folder / state.STATE_FILE).write_bytes(b"")
    elif damage == "profile":
        (folder / "profile.toml").write_bytes(b"\xff")
    else:
        folders.remove(lost)
    (command, _) = (each["command"] for each in json.loads(rowrace("resume", "--json").stdout)["waiting"])
    assert FORGET == command
    assert 0 == rowrace(*shlex.split(command)[1:]).returncode
    assert (None, False) == (state.read(folder), lost.exists())
    assert (True, True) == (state.read(other) is not None, data.exists())


@pytest.mark.parametrize("way", ["..", "link"])
def test_data_are_found_on_any_way_to_the_run(rowrace: Rowrace, folder: Path, tmp_path: Path, way: str) -> None:
    """Over a folder above, and over a link."""
    data = _embedded(folder)
    runs = tmp_path / "temporary" / ".." / "rowrace-runs"
    if way == "link":
        runs = tmp_path / "link"
        runs.symlink_to(folder.parent)
    assert "  0 of 2 groups done\n" in rowrace("resume", "--runs-dir", str(runs)).stdout
    said = f"Removed data {data}\nRemoved what run {RUN} would be resumed with\n"
    assert Done(0, said, "") == rowrace("clean", "--runs-dir", str(runs))


def test_a_name_without_a_time_is_no_obstacle(rowrace: Rowrace, folder: Path) -> None:
    """The other runs are listed as ever."""
    _waits(folder)
    _waits(shutil.copytree(folder, folder.with_name("999999999999fe862f")))
    told = rowrace("resume").stdout
    assert (True, True) == (f"{RUN}, begun 2026-11-25 07:02:42 UTC\n" in told, "begun at no time that" in told)


def test_a_run_whose_services_are_elsewhere_is_told_and_left(rowrace: Rowrace, folder: Path) -> None:
    """Without URLs, and with those of a server that can't be reached any more."""
    _waits(folder, GIVEN)
    told = (
        f"Left waiting: run {RUN}, on {DATABASE} and {BROKER}: clean with these URLs, or if they are gone with"
        f" `rowrace clean --forget {RUN}`.\n"
    )
    assert Done(0, told, "") == rowrace("clean", "--folders")
    urls = {"ROWRACE_DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d", "ROWRACE_BROKER_URL": "redis://:p@127.0.0.1:1/0"}
    gone = rowrace("clean", **urls)
    assert (4, told, 1) == (gone.returncode, gone.stdout, gone.stderr.count("\n"))
    assert state.read(folder) is not None


@pytest.mark.parametrize("given", ["database", "broker"])
def test_a_run_that_stands_on_a_given_service_too_is_left(rowrace: Rowrace, folder: Path, given: str) -> None:
    """What it has there would stay, and nobody would know whose it is."""
    data = _embedded(folder)
    found = state.read(folder)
    assert found is not None
    assert found.base is not None
    base = msgspec.structs.replace(found.base, **{given: Origin.GIVEN})
    _waits(folder, base)
    done = rowrace("clean")
    assert (0, True) == (done.returncode, done.stdout.startswith(f"Left waiting: run {RUN}, on {DATABASE} and"))
    assert (True, True) == (data.exists(), state.read(folder) is not None)
    assert f"Removed data {data}\n" in rowrace("clean", "--forget", RUN).stdout


def test_a_run_is_forgotten_by_name(rowrace: Rowrace, folder: Path) -> None:
    """Its services are not asked; a dry run says what the next one removes."""
    _waits(folder, GIVEN)
    said = rowrace("clean", "--forget", RUN, "--dry-run", ROWRACE_DATABASE_URL="postgresql://127.0.0.1:1/d").stdout
    assert f"Would remove what run {RUN} would be resumed with\n" == said
    assert said.replace("Would remove", "Removed") == rowrace("clean", "--forget", RUN).stdout
    assert (None, True) == (state.read(folder), folder.exists())
    said = f"rowrace: No run {RUN} waits in rowrace-runs: `rowrace resume` without a run lists those that do"
    assert rowrace("clean", "--forget", RUN).stderr.startswith(said)
