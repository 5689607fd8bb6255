"""`rowrace verify` of histories that other systems made, and of runs at a level."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

import pytest

from orchestrator import foreign
from orchestrator.cli import main
from orchestrator.history import plain
from orchestrator.verifier.dependencies import LEVELS
from tests.documents import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Verify = Callable[..., "Done"]

HEADER = "txn,op,key,version,session,outcome,start,end\n"

#: Both saw the initial state, and both overwrote it.
LOST = HEADER + "1,r,x,0,a,ok,1,9\n1,w,x,1,,,,\n2,r,x,0,b,ok,2,8\n2,w,x,2,,,,\n"
KEPT = HEADER + "1,w,x,1,a,ok,1,2\n2,r,x,1,b,ok,3,4\n2,w,x,2,,,,\n"
NOTHING = HEADER + "1,w,x,1,a,ok,1,2\n"

APPENDS = "".join(
    json.dumps(
        {"index": index, "type": kind, "process": 0, "f": "txn", "value": [["append", "x", 1], ["r", "x", seen]]}
    )
    + "\n"
    for index, (kind, seen) in enumerate([("invoke", None), ("ok", [1])])
)


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Write a file and run the command on it, in an otherwise empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(content: str | bytes | None, *arguments: str, name: str = "h.csv") -> Done:
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.setattr(sys, "argv", ["rowrace", "verify", name, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.mark.parametrize(
    ("content", "code", "verdict"), [(KEPT, 0, "VALID"), (LOST, 1, "INVALID"), (NOTHING, 3, "UNKNOWN")]
)
def test_the_exit_code_is_the_verdict(verify: Verify, content: str, code: int, verdict: str) -> None:
    """0 VALID, 1 INVALID, 3 UNKNOWN, in text and in JSON alike; nothing is said on stderr."""
    done = verify(content)
    assert (code, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(f"{verdict}: h.csv\n")
    as_json = verify(content, "--json")
    found = json.loads(as_json.stdout)
    assert (code, code, verdict) == (as_json.returncode, found["exit_code"], found["verdict"])


def test_json_is_one_object_with_the_promised_keys(verify: Verify) -> None:
    """The same keys whatever was found."""
    promised = (
        "verdict level anomalies at_least not also_not strongest sessions checked not_checked witnesses certificate "
        "gave_up transactions operations exit_code"
    )
    for content in (KEPT, LOST, NOTHING):
        assert promised.split() == list(json.loads(verify(content, "--json").stdout))
    found = json.loads(verify(LOST, "--json").stdout)
    assert 1 == found["anomalies"]["lost-update"]
    assert {"1", "2"} == {each["name"].removeprefix("transaction ") for each in found["witnesses"][0]["transactions"]}
    assert ["G2 and others by predicates: no predicate reads recorded"] == found["not_checked"]


def test_a_witness_s_history_shows_the_same_anomaly(verify: Verify) -> None:
    """What is printed as the smallest history is one."""
    witnesses = json.loads(verify(LOST, "--json").stdout)["witnesses"]
    assert witnesses
    for witness in witnesses:
        lines = "".join(json.dumps(line) + "\n" for line in witness["history"])
        again = json.loads(verify(lines, "--json", name="again.jsonl").stdout)
        assert witness["anomaly"] in again["anomalies"]


def test_what_a_level_permits_is_told_and_not_judged(verify: Verify) -> None:
    """A lost update is nothing that read committed prohibits."""
    done = verify(LOST, "--level", "read-committed")
    assert 0 == done.returncode
    assert "Asked for read-committed: kept; what was found" in done.stdout
    assert "lost-update (1), the first on x" in done.stdout
    assert "Asked for snapshot-isolation: ruled out by " in verify(LOST, "--level", "snapshot-isolation").stdout


@pytest.mark.parametrize("form", ["auto", "plain"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_form_need_not_be_said(verify: Verify, form: str, packed: bool) -> None:  # noqa: FBT001
    """CSV is told by its header, gzip by its first bytes."""
    content = gzip.compress(KEPT.encode()) if packed else KEPT
    assert 0 == verify(content, "--format", form, name="history").returncode


def test_list_append_is_judged_too(verify: Verify) -> None:
    """The form that other checkers take."""
    done = verify(APPENDS, name="history.jsonl")
    assert (0, "VALID: history.jsonl") == (done.returncode, done.stdout.splitlines()[0])
    assert done == verify(APPENDS, "--format", "list-append", name="history.jsonl")


def test_a_folder_of_parquet_is_judged_too(verify: Verify, tmp_path: Path) -> None:
    """The fast way in."""
    (tmp_path / "h.csv").write_text(LOST, encoding="utf-8")
    plain.write_parquet(plain.read(tmp_path / "h.csv"), tmp_path / "folder")
    found = json.loads(verify(None, "--json", name="folder").stdout)
    assert ("INVALID", 1) == (found["verdict"], found["anomalies"]["lost-update"])


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, (), "h.csv: there is no such folder or file"),
        (None, ("--format", "plain"), "h.csv: there is no such folder or file"),
        (None, ("--format", "run"), "h.csv: there is no such folder"),
        (KEPT, ("--format", "run"), "h.csv: there is no such folder"),
        (KEPT, ("--level", "best"), "Unknown level best; levels are PRAM, "),
        (KEPT, ("--format", "list-append"), "h.csv, line 1: "),
        (KEPT, ("--format", "xml"), "Invalid value for '--format': 'xml' is not one of 'auto', 'run', 'list-append', "),
        (HEADER + "1,r,x,-1,,,,\n", (), "h.csv, line 2: version is negative."),
        ("a,b\n1,2\n", (), 'h.csv, line 1: the plain form has no column "a", only txn, op, '),
        (HEADER.replace("op", "opp"), (), 'h.csv, line 1: the plain form has no column "opp"; did you mean op?\n'),
        ("", (), "h.csv: the file is empty."),
        ("1,r,x,0\n", (), "h.csv, line 1: the first line must name the columns (txn, op, key, version …), "),
        (KEPT, ("--level", "PRAM", "--level", "prefix"), "--level is given 2 times; give it once."),
        (KEPT, ("--format", "plain", "--format", "auto"), "--format is given 2 times; give it once."),
        (KEPT, ("--versions", "ordered", "--versions", "ordered"), "--versions is given 2 times; give it once."),
        (
            KEPT,
            ("--versions", "counted", "--format", "run"),
            "--versions is for the plain form alone, and h.csv is taken for run.",
        ),
        (
            APPENDS,
            ("--versions", "ordered"),
            "--versions is for the plain form alone, and h.csv is taken for list-append.",
        ),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(
    verify: Verify, content: str | None, arguments: tuple[str, ...], said: str
) -> None:
    """No traceback, nothing on stdout."""
    done = verify(content, *arguments)
    assert 2 == done.returncode, done
    assert done.stderr.startswith(f"rowrace: {said}"), done.stderr
    assert (1, "") == (len(done.stderr.splitlines()), done.stdout)


def test_a_run_is_not_asked_how_versions_count(verify: Verify, tmp_path: Path) -> None:
    """Nor is the flag passed over silently."""
    (tmp_path / "run" / "1-credits").mkdir(parents=True)
    (tmp_path / "run" / "1-credits" / "group.json").touch()
    done = verify(None, "--versions", "ordered", name="run")
    said = "--versions is for the plain form alone, and run is taken for run."
    assert Done(2, "", f"rowrace: {said}\n") == done


@pytest.mark.parametrize("report", ["{}", '{"rows": 3}', '{"rows": [{}]}', "", "[]"])
def test_a_run_s_report_without_its_rows_is_one_sentence(verify: Verify, tmp_path: Path, report: str) -> None:
    """Nobody could say whether a group is missing."""
    (tmp_path / "run" / "1-credits").mkdir(parents=True)
    (tmp_path / "run" / "1-credits" / "group.json").touch()
    (tmp_path / "run" / "run.json").write_text(report, encoding="utf-8")
    said = "run/run.json: can't be read as a run's report, so groups may be missing unnoticed."
    assert Done(2, "", f"rowrace: {said}\n") == verify(None, name="run")


def test_a_pipe_is_judged_as_a_file_is(verify: Verify, tmp_path: Path) -> None:
    """Whatever comes out of it, packed or not, is called by the pipe's name."""
    os.mkfifo(tmp_path / "pipe")
    for content, code, said in ((LOST, 1, "INVALID: pipe\n"), (APPENDS, 0, "VALID: pipe\n")):
        writer = Thread(daemon=True, target=(tmp_path / "pipe").write_bytes, args=[gzip.compress(content.encode())])
        writer.start()
        done = verify(None, name="pipe")
        writer.join()
        assert (code, "", said) == (done.returncode, done.stderr, done.stdout[: len(said)])


def test_what_does_not_fit_into_memory_is_refused(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with both figures, before anything is read."""
    monkeypatch.setattr(foreign, "available", lambda: 1_000_000)
    done = verify(KEPT)
    said = "judging it takes about 150 MB of memory, and 1 MB are available; judge it where there is more."
    assert Done(2, "", f"rowrace: h.csv: {said}\n") == done


def test_a_terminal_is_told_what_takes_its_time(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr, so that what is found can go elsewhere."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    done = verify(KEPT)
    assert "reading and judging h.csv" in terminal.getvalue()
    assert done.stdout.startswith("VALID: h.csv\n")


def test_the_formats_offered_are_those_there_are() -> None:
    """The flag's words are written down apart, so that help needs no heavy import."""
    from orchestrator.cli.verify import _FORMATS  # noqa: PLC0415 - nothing else needs it

    assert tuple(foreign.Format) == _FORMATS


def test_the_documented_example_prints_what_is_documented(verify: Verify) -> None:
    """docs/foreign-histories.md shows a history and its report."""
    document = (ROOT / "docs" / "foreign-histories.md").read_text(encoding="utf-8")
    blocks = {
        name: document.partition(f"<!-- {name} -->\n```")[2].partition("\n")[2].partition("```")[0]
        for name in ("skew.csv", "skew.jsonl", "skew.txt", "skew.edn", "phantom.csv")
    }
    assert all(blocks.values())
    for name in ("skew.csv", "skew.jsonl"):
        done = verify(blocks[name], "--level", "serializable", name=name)
        shown = blocks["skew.txt"].replace("skew.csv", name).removesuffix("…\n")
        assert (1, shown) == (done.returncode, done.stdout[: len(shown)])
    found = json.loads(verify(blocks["skew.edn"], "--json", name="skew.edn").stdout)
    assert {"G2-item": 1} == found["anomalies"]
    found = json.loads(verify(blocks["phantom.csv"], "--json", name="phantom.csv").stdout)
    assert {"G2": 1} == found["anomalies"]


def test_every_key_of_the_json_is_documented(verify: Verify) -> None:
    """docs/foreign-histories.md names each."""
    document = (ROOT / "docs" / "foreign-histories.md").read_text(encoding="utf-8")
    found = json.loads(verify(LOST, "--json").stdout)
    keys = [*found, *found["witnesses"][0], *found["witnesses"][0]["transactions"][0]]
    assert [] == [key for key in keys if f"`{key}`" not in document]


def test_every_level_is_documented() -> None:
    """docs/foreign-histories.md names each."""
    document = (ROOT / "docs" / "foreign-histories.md").read_text(encoding="utf-8")
    assert [] == [level for level in LEVELS if f"`{level}`" not in document]
