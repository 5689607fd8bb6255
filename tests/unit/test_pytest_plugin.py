"""The pytest plugin, run by a pytest of its own; what it explores with is a stand-in that a token or a file decides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.documents import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]

#: Tokens as the stand-in below tells them apart.
GIVEN, SECOND, DIVERGING = (f"cs1.sqlite.own.00000000.AB.{digit * 8}" for digit in "123")

#: Finds while the file `racy` is there, and says a sample while `sampled` is, with what that holds as its remark; notes
#: each call in `calls`.
STAND_IN = """
import sys
import types
from pathlib import Path

HERE = Path(__file__).parent


def explore(*bodies, replay=None, known=(), **settings):
    from orchestrator.errors import UsageError
    from orchestrator.explorer.scheduler import Divergence

    with (HERE / "calls").open("a") as calls:
        calls.write(f"{len(bodies)} {replay or ' '.join(known) or None} {sorted(settings)}\\n")
    if replay and replay.endswith("2") and "names" not in settings:
        raise UsageError("The token is of another scenario.")
    if replay and replay.endswith("3"):
        raise Divergence("step 3 asks for worker 1, which has ended")
    racy, sampled = (HERE / "racy").exists(), HERE / "sampled"
    replay = replay or next((each for each in known if racy and each != "cs1.other"), None)
    token = replay or "cs1.token"
    failure = types.SimpleNamespace(
        name="lost update", sentence="A's write is lost.", token=token, listing="  A      B\\n  read   read", count=2
    )
    return types.SimpleNamespace(
        found=racy, anomalies={"lost update": 2} if racy else {}, schedules=6, complete=not sampled.exists(),
        seconds=0.004, token=token if racy else None, listing="  A      B\\n  read   read" if racy or replay else None,
        policy="replay" if replay else "dpor", remark=sampled.read_text() if sampled.exists() else None,
        failures=(failure,) if racy else (),
    )


module = types.ModuleType("orchestrator.explore")
module.explore = explore
sys.modules["orchestrator.explore"] = module
"""

TEST = """
def body():
    pass


def test_bodies(rowrace):
    rowrace.explore(body, body, budget=1.0)
"""


class Session:
    """A folder with a test in it, and how its runs end."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.folder = pytester.path
        pytester.makeconftest(STAND_IN)
        pytester.makepyfile(test_it=TEST)

    @property
    def kept(self) -> Path:
        """The file of found schedules."""
        return self.folder / ".rowrace-found.json"

    def tests(self) -> object:
        """What that file holds."""
        return json.loads(self.kept.read_text())["tests"]

    def calls(self) -> list[str]:
        """How the stand-in was called since last asked."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines()
        path.unlink()
        return lines

    def switch(self, name: str, *, on: bool) -> None:
        """Make the stand-in behave otherwise."""
        path = self.folder / name
        path.touch() if on else path.unlink()

    def pytest(self, *arguments: str) -> pytest.RunResult:
        """Run pytest, with this plugin and no other."""
        return self._pytester.runpytest_subprocess("-p", "orchestrator.pytest_plugin", *arguments)

    def run(self, *arguments: str, passed: int = 0, failed: int = 0) -> str:
        """Run pytest; gives what it printed."""
        done = self.pytest(*arguments)
        done.assert_outcomes(passed=passed, failed=failed)
        return done.stdout.str()


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A folder whose test explores two bodies."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return Session(pytester)


def test_a_test_without_anomaly_passes(session: Session) -> None:
    """A complete search that finds nothing passes, is given the settings, and leaves no file."""
    session.run(passed=1)
    assert ["2 None ['budget']"] == session.calls()
    assert not session.kept.exists()


def test_a_failure_shows_what_helps(session: Session) -> None:
    """Sentence, listing, extent, token and the command that replays it are shown, and no traceback."""
    session.switch("racy", on=True)
    said = session.run(failed=1)
    for line in (
        "FOUND: lost update",
        "A's write is lost.",
        "  A      B",
        "Replay: pytest test_it.py::test_bodies --rowrace-replay cs1.token",
        "Its tokens are kept in .rowrace-found.json, and replayed first from now on.",
    ):
        assert line in said
    assert "test_it.py:7" not in said


def test_found_schedules_are_replayed_first(session: Session) -> None:
    """What failed is kept, is known to the next call while it fails, and is removed when it no longer does."""
    session.switch("racy", on=True)
    session.run(failed=1)
    assert {"test_it.py::test_bodies": {"0": ["cs1.token"]}} == session.tests()
    session.calls()
    assert "A schedule that was found before still fails." in session.run(failed=1)
    assert ["2 cs1.token ['budget']"] == session.calls()
    assert {"test_it.py::test_bodies": {"0": ["cs1.token"]}} == session.tests()
    session.switch("racy", on=False)
    session.run(passed=1)
    assert ["2 cs1.token ['budget']"] == session.calls()
    assert not session.kept.exists()


def test_a_schedule_that_no_longer_fits_is_searched_for_anew(session: Session) -> None:
    """A kept token of bodies that have changed says nothing; the search does."""
    session.kept.write_text(json.dumps({"tests": {"test_it.py::test_bodies": {"0": ["cs1.other"]}}}))
    session.switch("racy", on=True)
    session.run(failed=1)
    assert ["2 cs1.other ['budget']"] == session.calls()
    assert {"test_it.py::test_bodies": {"0": ["cs1.token"]}} == session.tests()


def test_others_entries_stay(session: Session) -> None:
    """A test that did not run keeps its entry; one whose file is gone loses it."""
    others = {"test_it.py::test_b": {"0": ["cs1.b"]}, "test_gone.py::test_c": {"0": ["cs1.c"]}}
    session.kept.write_text(json.dumps({"tests": others}))
    session.switch("racy", on=True)
    session.run(failed=1)
    assert {
        "test_it.py::test_b": {"0": ["cs1.b"]},
        "test_it.py::test_bodies": {"0": ["cs1.token"]},
    } == session.tests()


def test_a_sample_does_not_pass_by_itself(session: Session) -> None:
    """A search that was not complete fails the test that does not accept that, and says how it would pass."""
    session.switch("sampled", on=True)
    said = session.run(failed=1)
    assert "Give it a larger budget, or let a sample pass: accept_sample=True." in said
    (session.folder / "test_it.py").write_text(TEST.replace("budget=1.0", "accept_sample=True"))
    session.run(passed=1)


def test_no_budget_is_advised_for_bodies_without_an_end(session: Session) -> None:
    """Where the limit of steps has ended schedules, what helps is another body."""
    (session.folder / "sampled").write_text("1 schedule was ended after thousands of steps")
    said = session.run(failed=1)
    assert "A body asks again and again for what another one does" in said
    assert "larger budget" not in said


def test_a_token_is_replayed_alone(session: Session) -> None:
    """`--rowrace-replay` runs one schedule, and shows it also where it is fine."""
    said = session.run("--rowrace-replay", f" {GIVEN} ", passed=1)
    assert [f"2 {GIVEN} ['budget']"] == session.calls()
    assert "NOT FOUND: this schedule shows no anomaly." in said
    assert "  A      B" in said
    session.switch("racy", on=True)
    assert f"--rowrace-replay {GIVEN}" in session.run("--rowrace-replay", GIVEN, failed=1)
    assert not session.kept.exists()


def test_a_replay_that_diverges_fails(session: Session) -> None:
    """A token that the bodies no longer follow is one sentence."""
    said = session.run("--rowrace-replay", DIVERGING, failed=1)
    assert "rowrace: step 3 asks for worker 1, which has ended" in said


def test_a_token_belongs_to_one_call(session: Session) -> None:
    """Of a test's calls the one that made a token replays it, the others search; one that none takes fails it."""
    (session.folder / "test_it.py").write_text(f"{TEST}    rowrace.explore(body, body, names=('a', 'b'))\n")
    assert "NOT FOUND: this schedule shows no anomaly." in session.run("--rowrace-replay", SECOND, passed=1)
    assert [
        f"2 {SECOND} ['budget']",
        "2 None ['budget']",
        f"2 {SECOND} ['names']",
    ] == session.calls()
    (session.folder / "test_it.py").write_text(TEST)
    said = session.run("--rowrace-replay", SECOND, failed=1)
    assert "rowrace: The token is of another scenario." in said
    assert "traceback" not in said.lower()


def test_what_is_no_token_ends_the_run_before_its_first_test(session: Session) -> None:
    """A slip of the hand is one line, and no test has run."""
    done = session.pytest("--rowrace-replay", "GARBAGE")
    assert pytest.ExitCode.USAGE_ERROR == done.ret
    assert ["ERROR: rowrace: This is no schedule token: it begins with 'GARBAGE' instead of 'cs1'."] == [
        each for each in done.stderr.lines if each
    ]
    assert not (session.folder / "calls").exists()


def test_the_command_fits_where_pytest_was_called(session: Session) -> None:
    """The replay command names the test as seen from where pytest was started, quoted where a shell needs that."""
    inner = session.folder / "inner"
    inner.mkdir()
    parametrized = TEST.replace("def test", "import pytest\n@pytest.mark.parametrize('x', ['a b'])\ndef test")
    (session.folder / "test_it.py").write_text(parametrized.replace("(rowrace)", "(rowrace, x)"))
    session.switch("racy", on=True)
    session._pytester.makeini("[pytest]")
    os.chdir(inner)
    said = session.run("--rootdir", "..", "..", failed=1)
    assert "Replay: pytest '../test_it.py::test_bodies[a b]' --rowrace-replay cs1.token" in said


def test_the_file_may_lie_elsewhere(session: Session) -> None:
    """An ini option moves the file."""
    session._pytester.makeini("[pytest]\nrowrace_found = kept/races.json")
    session.switch("racy", on=True)
    session.run(failed=1)
    assert (session.folder / "kept" / "races.json").is_file()
    assert not session.kept.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"tests": {"a": 1}}', '{"tests": {"a": {"0": [1]}}}'])
def test_a_broken_file_is_told_at_once(session: Session, text: str) -> None:
    """A file that rowrace did not write stops the run before its first test."""
    session.kept.write_text(text)
    done = session.pytest()
    assert pytest.ExitCode.USAGE_ERROR == done.ret
    assert ".rowrace-found.json does not hold what rowrace wrote" in done.stderr.str()


def test_reports_of_another_process_are_kept(session: Session) -> None:
    """What a test found travels with its report, as pytest-xdist needs: a worker writes nothing itself."""
    session._pytester.makeconftest(
        STAND_IN
        + """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.workerinput = {}

def pytest_runtest_logreport(report):
    import json
    data = report._to_json()
    (HERE / "report").write_text(json.dumps(data["rowrace"] if "rowrace" in data else None))
"""
    )
    session.switch("racy", on=True)
    session.run(failed=1)
    assert not session.kept.exists()
    assert {"calls": {"0": ["cs1.token"]}, "said": []} == json.loads((session.folder / "report").read_text())


def test_a_sqlite_path_is_the_tests_own(session: Session) -> None:
    """Each test has a path of its own, the same all through the test, in a folder that is there."""
    (session.folder / "test_it.py").write_text(
        """
seen = set()

def test_one(rowrace):
    assert rowrace.sqlite_path == rowrace.sqlite_path
    assert rowrace.sqlite_path.parent.is_dir()
    seen.add(rowrace.sqlite_path)

def test_two(rowrace):
    assert rowrace.sqlite_path not in seen
"""
    )
    session.run("-p", "no:randomly", passed=2)


def test_pytest_finds_the_plugin() -> None:
    """Installing the project gives pytest the plugin."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"rowrace": "orchestrator.pytest_plugin"} == declared["project"]["entry-points"]["pytest11"]


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    """Those who don't explore pay nothing for the plugin."""
    code = (
        "import sys, orchestrator.pytest_plugin; print(*sorted({'sqlalchemy', 'psycopg', 'celery'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "" == done.stdout.strip()
