"""The lines that change while a run or a search goes on."""

from __future__ import annotations

import io
import re
from typing import Final

import pytest

from orchestrator.interrupt import Interrupt
from orchestrator.progress import Counts
from orchestrator.reports.live import LiveView
from orchestrator.reports.live_search import LiveSearch

#: Columns of the terminal.
WIDTH: Final = 80
NODES: Final = {f"node{number}": 1_000 for number in range(1, 9)}


class Terminal(io.StringIO):
    """A terminal that keeps what it is told."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True

    def lines(self) -> list[str]:
        """Give what was shown, without escapes."""
        return [line for line in re.split(r"\x1b\[[0-9;?]*[a-zA-Z]|[\r\n]+", self.getvalue()) if line.strip()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A narrow one."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    return Terminal()


def test_a_run_s_line_is_cut_to_the_terminal_s_width(terminal: Terminal) -> None:
    """It stays one line, and says that there was more."""
    with LiveView(terminal) as watch:
        watch.progress(400, Counts(50, 45, 4, 1, 60, 10, NODES), 2.0)
    (shown,) = set(terminal.lines())  # at its end it is drawn once more, and taken away
    assert (WIDTH, ": published 400/0, settled 50", "…") == (len(shown), shown[:29], shown[-1])


def test_a_search_s_line_is_cut_to_the_terminal_s_width(terminal: Terminal) -> None:
    """However its policy is called."""
    with LiveSearch(terminal, Interrupt()) as watch:
        watch.tell("a-policy" * 8, 1_000, 10, 2.0)
    (shown,) = set(terminal.lines())  # at its end it is drawn once more, and taken away
    assert (WIDTH, "…") == (len(shown), shown[-1])
