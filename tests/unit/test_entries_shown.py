"""What `rowrace faults` and `rowrace gallery` print: whole names at any width, and defaults that hold."""

from __future__ import annotations

import io
import os
import re
from typing import Final, NoReturn

import pytest
from rich import console

from orchestrator.faults import KNOWN
from orchestrator.faults.model import WORDS
from orchestrator.faults.plan import parse
from orchestrator.gallery import FAILURES, Shown
from orchestrator.hosts import faults as hosts
from orchestrator.reports import entries, faults, gallery
from orchestrator.verifier.verdict import Value
from worker.mistakes import Mistake

#: What must be given beside the option whose default is tried.
NEEDED: Final = {
    "failpoint": "failpoint:in-commit:action=kill:operation=1",
    "clock-skew": "clock-skew:node1",
    "reset": "reset:node1-db:after=1",
}
#: The other half of what a clock must be told.
BESIDE: Final = {"skew": "drift=5ppm", "drift": "skew=5s"}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        """Claim to be one."""
        return True


def _shown(name: str) -> Shown:
    return Shown(
        failure=FAILURES[name],
        verdict=Value.INVALID,
        anomalies={"ok-without-effect": 1_234, "unfulfilled-request": 20},
        witness="operation 17 is said to have taken effect, and no row has an effect of it; ok-without-effect.",
        prevented_verdict=Value.VALID,
        folders=("one", "two"),
    )


@pytest.fixture(params=[80, 100, 110, 120, 130, 140, 150, 160, 200])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """A terminal of a width."""
    monkeypatch.setattr(console.Console, "size", console.ConsoleDimensions(request.param, 50))
    monkeypatch.setenv("NO_COLOR", "1")
    return _Terminal()


def _words(terminal: _Terminal) -> set[str]:
    """Give the words that stand whole in one line; escapes end none."""
    return set(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue()).replace(",", " ").split())


def test_no_name_of_a_fault_is_broken(terminal: _Terminal) -> None:
    """Nor an option's with its default, nor a mistake's."""
    faults.render(terminal)
    options = {
        name if default.startswith(WORDS) else f"{name}={default}"
        for kind in KNOWN.values()
        for name, default in kind.options.items()
    }
    assert set() == {*KNOWN, *Mistake, *options} - _words(terminal)


def test_no_name_of_a_failure_is_broken(terminal: _Terminal) -> None:
    """Nor an anomaly's, in the table and in the evidence."""
    gallery.render([_shown(name) for name in FAILURES], len(FAILURES), terminal)
    names = {*FAILURES, "ok-without-effect", "unfulfilled-request", "INVALID", "VALID"}
    assert set() == names - _words(terminal)


@pytest.mark.parametrize("columns", ["60", "80", "120", "160", "200", "0", None])
def test_what_is_no_terminal_is_as_wide_as_columns_says(columns: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or as the terminal behind a pipe; without either there is room for a table."""

    def no_terminal(_handle: int) -> NoReturn:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", no_terminal)
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert int(columns or 0) or 200 == entries.console(io.StringIO()).width


@pytest.mark.parametrize(("columns", "first"), [("60", "bandwidth"), ("80", "bandwidth"), ("160", "fault  ")])
def test_a_pipe_gets_a_table_where_one_fits(columns: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than COLUMNS says."""
    monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    faults.render(stream)
    lines = stream.getvalue().strip().splitlines()
    assert (True, True) == (lines[0].startswith(first), max(map(len, lines)) <= int(columns))


@pytest.mark.parametrize(("columns", "first"), [("60", "lost-early-ack\n"), ("250", "failure  ")])
def test_the_gallery_is_laid_out_alike(columns: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sentences are a line each."""
    monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    gallery.render([_shown("lost-early-ack")], 1, stream)
    assert stream.getvalue().strip().startswith(first)


def _given(name: str, option: str) -> tuple[str, str]:
    """Write an entry without the option, and the same with its default."""
    kind = {**KNOWN, "partition hosts": hosts.FAULTS["partition"]}[name]
    bare = name.partition(" ")[0]
    target = {"": "", "LINK[:LINK...]": ":node1-db", "HOST-HOST": ":worker1-database"}.get(kind.targets, "")
    entry = NEEDED.get(name, f"{bare}{target}")
    if option in BESIDE:
        entry += f":{BESIDE[option]}"
    return entry, f"{entry}:{option}={kind.options[option]}"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name, kind in {**KNOWN, "partition hosts": hosts.FAULTS["partition"]}.items()
        for option, default in kind.options.items()
        if not default.startswith(WORDS)
    ],
)
def test_a_default_is_what_holds(name: str, option: str) -> None:
    """An entry that says it is read like one that doesn't."""
    known = {**KNOWN, **hosts.FAULTS} if name == "partition hosts" else KNOWN
    read = known[name.partition(" ")[0]].check
    assert read is not None
    without, with_it = (read(parse([entry], known)[0]) for entry in _given(name, option))
    assert without == with_it


def test_machines_are_told_the_defaults() -> None:
    """As a plan writes them, or in parentheses what holds."""
    found = {each["name"]: each["defaults"] for each in faults.as_json()["faults"]}
    assert {"delay": "50ms", "jitter": "0s", "way": "both"} == found["latency"]
    assert {"operation": "(must be given)"} == found["poison"]
