"""The command line: what is printed where, and what it ends with; nothing here starts a service."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from orchestrator import toml
from orchestrator.api import race
from orchestrator.cli import main
from orchestrator.errors import UsageError
from orchestrator.plan import digest
from orchestrator.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    Rowrace = Callable[..., "Done"]

HOME = Path(__file__).resolve().parents[2]


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def rowrace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rowrace:
    """Run the command in an empty folder, without any of rowrace's variables."""
    for name in [name for name in os.environ if name.startswith("ROWRACE_")]:
        monkeypatch.delenv(name)
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


def test_help_documents_every_exit_code(rowrace: Rowrace) -> None:
    """What a command ends with is no secret."""
    done = rowrace("--help")
    assert 0 == done.returncode
    for code in (
        "0    Every verdict",
        "1    A verdict",
        "2    Wrong usage",
        "3    UNKNOWN",
        "4    A service",
        "130  Inter",
    ):
        assert code in done.stdout


def test_every_key_has_its_flag(rowrace: Rowrace) -> None:
    """Whatever a profile says can be said on the command line."""
    text = rowrace("run", "--help").stdout
    flags = [key.flag for key in toml.known() if key.path != ("scenarios",)]
    assert [] == [flag for flag in flags if f"{flag} " not in text and f"{flag}," not in text]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", ""), "SCENARIO takes one or more names"),
        (
            ("run", "--expect-hosts", "2", "--nodes", "1"),
            "hosts (--expect-hosts) is 2 and above nodes (--expect-nodes), 1",
        ),
        (
            ("run", "--faults", "stop-database", "--database-url", "postgresql://u:secret@127.0.0.1:1/d"),
            "Fault «stop-database» needs a database of the run's own, and --database-url names another: leave that",
        ),
        (("run", "--mistakes", "unchecked-rowcount", "--strategy", "atomic"), "mistakes has unchecked-rowcount, which"),
        (("flower",), "Flower needs a broker: first `rowrace services up`, or give --broker-url"),
        (("run", "loans"), "Unknown scenario loans"),
        (("run", "--strategy", "hope"), "Unknown strategy hope"),
        (("run", "--republish", "--no-recording"), "republish needs recording: without it nobody knows"),
        (("run", "--operations", "-5"), "--operations takes an integer of 0 or more"),
        (("run", "--mode", "eager", "--strategy", "pessimistic"), "Strategy pessimistic is not on this rung"),
        (("run", "--profile", "none.toml"), "none.toml: can't be read"),
        (("run", "--database-url", "mysql://u:secret@h/d"), "--database-url must look like postgresql://"),
        (("run", "--profile", ""), "--profile takes a path, not an empty text."),
        (("run", "--runs-dir", ""), "--runs-dir takes a path, not an empty text."),
        (("run", "--junit", ""), "--junit takes a path, not an empty text."),
        (("run", "--junit", "none/result.xml"), "--junit none/result.xml: it can't be written (no such file"),
        (("run", "--junit", "."), "Invalid value for '--junit': File '.' is a directory."),
        (("run", "--operatoins", "5"), "No such option"),
        (("verify", ""), "PATH takes a path, not an empty text."),
        (("verify", "nowhere"), "nowhere: there is no such folder"),
        (("run", "--faults", ","), "--faults is ',', with nothing between the commas: write something, or leave it"),
        (("resume", "--junit", "x.xml"), "--junit is for a run that is resumed: say which, `rowrace resume RUN`"),
        (("resume", "--republish"), "--republish is for a run that is resumed: say which, `rowrace resume RUN`"),
        (("resume", "--no-republish"), "--republish is for a run that is resumed: say which, `rowrace resume RUN`"),
        (("plan", "--rows", "0"), "--rows takes an integer of 1 or more"),
        (("profile", "--seed", "x"), "--seed takes an integer of 0 or more"),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(rowrace: Rowrace, arguments: tuple[str, ...], said: str) -> None:
    """No traceback, no password, nothing on stdout, no folder left."""
    done = rowrace(*arguments)
    assert 2 == done.returncode
    assert done.stderr.startswith(f"rowrace: {said}")
    assert 1 == len(done.stderr.splitlines())
    assert "" == done.stdout
    assert "secret" not in done.stderr


def test_an_unknown_flag_gets_a_suggestion(rowrace: Rowrace) -> None:
    """What click finds is told as what we find, with the flag that was meant."""
    assert "--operations" in rowrace("run", "--operatoins", "5").stderr


def test_a_checked_junit_file_is_left_as_it_was(rowrace: Rowrace, tmp_path: Path) -> None:
    """Whether it can be written is found out without a trace."""
    (tmp_path / "old.xml").write_text("old", encoding="utf-8")
    for name in ("new.xml", "old.xml"):
        assert 4 == rowrace("run", "--junit", name, "--broker-url", "redis://127.0.0.1:1/0").returncode
    assert "old" == (tmp_path / "old.xml").read_text(encoding="utf-8")
    assert not (tmp_path / "new.xml").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device without room")
@pytest.mark.parametrize("arguments", [("version",), ("run", "--mode", "eager", "--operations", "5")])
def test_a_full_stdout_is_one_sentence_and_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Nothing is wrong with the program where its output has no room: no traceback."""
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HOME), "XDG_STATE_HOME": str(tmp_path)}
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment, check=False
        )
    assert (2, "rowrace: Output can't be written: no space left on device.") == (
        done.returncode,
        done.stderr.splitlines()[-1],
    )


def test_a_closed_stdout_is_one_sentence_and_2(tmp_path: Path) -> None:
    """Who starts it without a stdout is told so, and nothing that is opened later takes stdout's place."""
    command = f"{shlex.quote(sys.executable)} -c 'from orchestrator.cli import main; main()' explore credits >&-"
    environment = {**os.environ, "PYTHONPATH": str(HOME), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", command], stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert (2, "rowrace: Output can't be written: stdout is closed.\n") == (done.returncode, done.stderr)


def test_output_that_nobody_reads_ends_by_no_verdict_s_code(tmp_path: Path) -> None:
    """A reader that has gone, as `head` does, makes no history INVALID."""
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", "version"]
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "w") as pipe:
        done = subprocess.run(
            command,
            stdout=pipe,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HOME)},
            cwd=tmp_path,
            check=False,
        )
    assert (141, b"") == (done.returncode, done.stderr)


def test_a_junit_file_without_room_hides_no_result(rowrace: Rowrace) -> None:
    """The report is printed, and the file told in one sentence."""
    if not Path("/dev/full").exists():
        pytest.skip("the system has no device without room")
    done = rowrace("run", "--mode", "eager", "--strategy", "naive", "--junit", "/dev/full")
    assert 2 == done.returncode
    assert "rowrace: --junit /dev/full: it can't be written (no space left on device)." in done.stderr
    assert "INVALID" in done.stdout


def test_version_has_a_flag(rowrace: Rowrace) -> None:
    """The flag that every command line has says what the command says."""
    assert rowrace("version") == rowrace("--version")


def test_unknown_key_in_a_profile_names_file_and_key(rowrace: Rowrace, tmp_path: Path) -> None:
    """A typing error in a file is found before anything starts."""
    (tmp_path / "mine.toml").write_text("operatoins = 5\n", encoding="utf-8")
    done = rowrace("run", "--profile", "mine.toml")
    assert (2, "rowrace: mine.toml: unknown key operatoins; did you mean operations?\n") == (
        done.returncode,
        done.stderr,
    )


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("ROWRACE_DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/db"),
        ("ROWRACE_BROKER_URL", "redis://:secret@127.0.0.1:1/0"),
    ],
)
def test_a_service_that_does_not_answer_is_one_sentence_and_4(rowrace: Rowrace, variable: str, url: str) -> None:
    """A given URL is used or is an error: nothing is embedded in its place."""
    done = rowrace("run", **{variable: url})
    assert 4 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert "127.0.0.1:1" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("flag", "url"),
    [("--database-url", "postgresql://user:secret@127.0.0.1:1/db"), ("--broker-url", "redis://:secret@127.0.0.1:1/0")],
)
def test_a_service_given_by_a_flag_is_corrected_there(rowrace: Rowrace, flag: str, url: str) -> None:
    """Who gave a flag need not know of a variable."""
    done = rowrace("run", flag, url)
    assert 4 == done.returncode
    assert f"correct {flag}" in done.stderr
    assert "ROWRACE_" not in done.stderr


def test_an_empty_fault_plan_is_none(rowrace: Rowrace) -> None:
    """Who clears a variable in a script means no faults."""
    assert "faults = []" in rowrace("profile", "--faults", "", "--faults", "").stdout


def test_a_pipe_is_as_wide_as_columns_says(rowrace: Rowrace) -> None:
    """A table where it fits."""
    assert 60 == max(map(len, rowrace("faults", COLUMNS="60").stdout.splitlines()))
    assert "fault                 targets          options" in rowrace("faults", COLUMNS="160").stdout


def test_plan_prints_the_digest(rowrace: Rowrace) -> None:
    """The printed digest is the plan's."""
    done = rowrace("plan", "credits", "config", "--operations", "20", "--seed", "3")
    profile = Profile(operations=20, seed=3)
    assert "".join(f"{digest(profile, name)}  {name}\n" for name in ("credits", "config")) == done.stdout


def test_plan_lists_operations(rowrace: Rowrace) -> None:
    """Each operation is a line of JSON: number, kind, params."""
    lines = [json.loads(line) for line in rowrace("plan", "config", "--operations", "3", "--list").stdout.splitlines()]
    assert [0, 1, 2] == [line[0] for line in lines]


def test_a_printed_profile_prints_the_same_again(rowrace: Rowrace, tmp_path: Path) -> None:
    """Flags become a file that says the same."""
    first = rowrace("profile", "config", "--strategy", "naive,atomic", "--isolation", "repeatable-read", "--nodes", "3")
    (tmp_path / "printed.toml").write_text(first.stdout, encoding="utf-8")
    assert first.stdout == rowrace("profile", "--profile", "printed.toml").stdout


@pytest.mark.parametrize("where", ["flag", "environment", "embedded"])
def test_an_eager_profile_may_ask_for_what_its_database_can(rowrace: Rowrace, where: str) -> None:
    """On a database eager mode has every strategy and level; nobody connects to it for a profile."""
    url = "postgresql://127.0.0.1:1/nobody"
    flags = {"flag": ("--database-url", url), "embedded": ("--database", "embedded")}.get(where, ())
    environment = {"ROWRACE_DATABASE_URL": url} if where == "environment" else {}
    asked = ("credits", "--mode", "eager", "--strategy", "pessimistic", "--isolation", "repeatable-read")
    assert 2 == rowrace("profile", *asked).returncode
    done = rowrace("profile", *asked, *flags, **environment)
    assert (0, "") == (done.returncode, done.stderr)
    assert 'strategies = [\n    "pessimistic",\n]' in done.stdout
    assert 0 == rowrace("plan", *asked, **environment).returncode


def test_eager_race_end_to_end(rowrace: Rowrace, tmp_path: Path) -> None:
    """Without any service a race is run, judged and verified again; naive is caught, exit 0 as expected."""
    done = rowrace("run", "credits", "--mode", "eager", "--strategy", "all", "--json", "--junit", "result.xml")
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert {"naive": "INVALID", "optimistic": "VALID", "atomic": "VALID"} == {
        row["strategy"]: row["verdict"] for row in found["rows"]
    }
    assert "eager" in found["rung"]
    assert 'tests="3" failures="0" errors="0"' in (tmp_path / "result.xml").read_text(encoding="utf-8")
    folder = Path(found["run"])
    assert {"profile.toml", "run.json", "report.txt"} <= {each.name for each in folder.iterdir()}
    again = rowrace("verify", str(folder), "--json")
    assert 1 == again.returncode  # INVALID is among the verdicts
    assert [row["verdict"] for row in found["rows"]] == [row["verdict"] for row in json.loads(again.stdout)["rows"]]
    valid = next(folder.glob("3-*"))
    assert 0 == rowrace("verify", str(valid)).returncode


def test_verify_notices_a_missing_group(rowrace: Rowrace) -> None:
    """What is gone can't be VALID; notes of the run are told again, and a group names its run's profile."""
    folder = Path(
        json.loads(rowrace("run", "--mode", "eager", "--strategy", "atomic,optimistic", "--json").stdout)["run"]
    )
    first, second = sorted(folder.glob("[0-9]-*"))
    told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**told, "notes": ["Not shown here."]}), encoding="utf-8")
    (first / "group.json").unlink()
    again = rowrace("verify", str(folder))
    assert 3 == again.returncode
    assert f"Missing: group {first.name} " in again.stdout
    assert "Not shown here." in again.stdout
    one = rowrace("verify", str(second))
    assert 0 == one.returncode
    assert f"rowrace run --profile {folder}/profile.toml" in one.stdout


def test_a_misspelt_setting_gets_a_suggestion() -> None:
    """The API tells an unknown key as a profile's file does."""
    with pytest.raises(UsageError, match="The settings: unknown key strategy; did you mean strategies"):
        race(None, {"strategy": "naive"}, keep=False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--strategy", "naive", "--expect", "valid"), 1, "not as expected"),
        (("--strategy", "atomic", "--expect", "invalid"), 3, "control not provoked"),
        (("--strategy", "atomic", "--operations", "0"), 3, "unknown"),
        (("--strategy", "optimistic", "--max-conflict-rate", "0"), 1, "gate failed"),
    ],
)
def test_exit_codes_of_judged_runs(rowrace: Rowrace, arguments: tuple[str, ...], code: int, said: str) -> None:
    """1 where a verdict or a gate is not as it should be, 3 where nothing was shown."""
    done = rowrace("run", "credits", "--mode", "eager", *arguments)
    assert code == done.returncode, done.stderr
    assert f"({said})" in done.stdout


def test_a_report_in_a_file_is_not_truncated(rowrace: Rowrace) -> None:
    """Where stdout is no terminal the table is as wide as it needs, plain, and whole."""
    done = rowrace("run", "--mode", "eager", "--strategy", "naive", COLUMNS="40", FORCE_COLOR="")
    header = next(line for line in done.stdout.splitlines() if "scenario" in line)
    for column in ("strategy", "give-ups", "overlaps", "p99 ms", "ops/s", "verdict", "expected"):
        assert column in header
    assert "\x1b" not in done.stdout


def test_clean_finds_nothing_where_nothing_is(rowrace: Rowrace) -> None:
    """Without services and folders there is nothing to remove."""
    assert Done(0, "Nothing to remove.\n", "") == rowrace("clean", "--folders")


def test_clean_removes_folders_of_ended_runs(rowrace: Rowrace, tmp_path: Path) -> None:
    """A dry run says what the next one removes."""
    rowrace("run", "--mode", "eager", "--operations", "5")
    said = rowrace("clean", "--folders", "--dry-run").stdout
    assert said.startswith("Would remove folder ")
    assert said.replace("Would remove", "Removed") == rowrace("clean", "--folders").stdout
    assert [] == list((tmp_path / "rowrace-runs").iterdir())


def test_services_status_says_that_nothing_is_up(rowrace: Rowrace) -> None:
    """Nothing up is exit code 4."""
    assert Done(4, "Nothing is up.\n", "") == rowrace("services", "status")


def test_importing_the_public_api_imports_no_worker() -> None:
    """People who have a package called `worker` themselves can import rowrace."""
    heavy = ("worker", "celery", "orchestrator")
    code = f"import rowrace, sys; print([name for name in sys.modules if name.split('.')[0] in {heavy}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HOME, check=True)
    assert "[]\n" == done.stdout
