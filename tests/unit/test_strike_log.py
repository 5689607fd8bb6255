"""The log of strikes: what a killed run's history still knows of its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.faults.strike_log import STRIKES_FILE, StrikeLog, read
from orchestrator.faults.striker import Strike

if TYPE_CHECKING:
    from pathlib import Path

_HEALED = Strike("pause-node", 10, 20, "node1 was paused")
_FORCE = Strike("pause-node", 30, None, "node2 was paused")


def test_without_a_log_nothing_struck(tmp_path: Path) -> None:
    """The run was killed before."""
    assert [] == read(tmp_path / STRIKES_FILE, 99)


def test_what_was_in_force_ended_with_the_run(tmp_path: Path) -> None:
    """A healed strike is one strike, in whichever order its lines came; the other ended at the latest when resumed."""
    with StrikeLog(tmp_path / STRIKES_FILE) as log:
        for strike in (_HEALED, _HEALED._replace(healed_us=None), _FORCE):
            log.note(strike)
    assert [_HEALED, _FORCE._replace(healed_us=99)] == read(tmp_path / STRIKES_FILE, 99)


def test_a_torn_line_says_nothing(tmp_path: Path) -> None:
    """What stands around it counts."""
    path = tmp_path / STRIKES_FILE
    with StrikeLog(path) as log:
        log.note(_HEALED)
    with path.open("ab") as file:
        file.write(b'\n["pause')
    with StrikeLog(path) as log:
        log.note(_FORCE)
    assert [_HEALED, _FORCE._replace(healed_us=99)] == read(path, 99)
