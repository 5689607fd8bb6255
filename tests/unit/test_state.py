"""What a run leaves written: its state comes back as it was, and a watermark says no more than it knows."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from orchestrator import state, watermark
from orchestrator.base import Base
from orchestrator.errors import UsageError
from orchestrator.profile import Mode
from orchestrator.services import Origin
from orchestrator.state import Standing
from orchestrator.watermark import Range, Watermark

if TYPE_CHECKING:
    from pathlib import Path

_BASE = Base(
    database=Origin.EMBEDDED,
    broker=Origin.GIVEN,
    database_url="postgresql://rowrace:***@127.0.0.1:5432/postgres",
    broker_url="redis://:***@127.0.0.1:6379/0",
    folder="a folder",
)
_BEGUN = state.State(run="abcd", mode=Mode.DISTRIBUTED)


@pytest.mark.parametrize(
    "written",
    [
        _BEGUN,
        state.State(
            run="abcd", mode=Mode.DISTRIBUTED, keep=True, base=_BASE, group=2, created=True, done=(1,), resumed=3
        ),
    ],
)
def test_a_state_comes_back(tmp_path: Path, written: state.State) -> None:
    """Whatever is known so far."""
    state.write(_BEGUN, tmp_path)
    state.write(written, tmp_path)
    assert written == state.read(tmp_path)


def test_a_state_is_private_and_alone(tmp_path: Path) -> None:
    """Half a file is never seen, nor left."""
    state.write(_BEGUN, tmp_path)
    assert {state.STATE_FILE: 0o600} == {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}


def test_a_resolved_run_waits_no_more(tmp_path: Path) -> None:
    """It needs none of what it would be resumed with."""
    state.write(_BEGUN, tmp_path)
    state.resolve(tmp_path)
    state.resolve(tmp_path)
    assert state.read(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"no json"])
def test_an_unreadable_state_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    """Nobody guesses how far a run was."""
    (tmp_path / state.STATE_FILE).write_bytes(content)
    with pytest.raises(UsageError, match=r"\A[^\n]+ can't be read, so the run can't be resumed: [^\n]+\Z"):
        state.read(tmp_path)


def test_groups_follow_each_other() -> None:
    """A group is under way, its schema whole, its history whole."""
    laid_out = _BEGUN.begun(1).laid_out(99)
    steps = [_BEGUN.begun(1), laid_out, laid_out.ended().begun(2).ended()]
    assert [(1, False, 0, ()), (1, True, 99, ()), (0, False, 0, (1, 2))] == [
        (each.group, each.created, each.began_us, each.done) for each in steps
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a group's watermark is."""
    return tmp_path / watermark.PUBLISHED_FILE


def test_without_a_watermark_nothing_was_published(path: Path) -> None:
    """The run was killed before."""
    assert ((), (), (), 0) == (*watermark.read(path), watermark.read(path).end())


def test_confirmed_batches_are_merged(path: Path) -> None:
    """They follow each other."""
    with Watermark(path) as mark:
        for first in (0, 500, 1000):
            mark.about_to(first, first + 500)
            mark.confirmed(first, first + 500)
    assert ((Range(0, 1500),), (), (), 1500) == (*watermark.read(path), watermark.read(path).end())


def test_a_batch_that_was_not_confirmed_is_in_doubt(path: Path) -> None:
    """It may have been delivered."""
    with Watermark(path) as mark:
        mark.about_to(0, 500)
        mark.confirmed(0, 500)
        mark.about_to(500, 1000)
    assert ((Range(0, 500),), (Range(500, 1000),), (), 1000) == (*watermark.read(path), watermark.read(path).end())


def test_a_batch_that_was_tried_again_is_in_no_doubt(path: Path) -> None:
    """One confirmation is enough; and one that is published again after it was confirmed stays so."""
    with Watermark(path) as mark:
        mark.about_to(0, 500)
        mark.about_to(0, 500)
        mark.confirmed(0, 500)
        mark.about_to(0, 500)
    assert ((Range(0, 500),), (), ()) == watermark.read(path)


@pytest.mark.parametrize("kept", range(1, 54))
def test_a_torn_line_says_nothing(path: Path, kept: int) -> None:
    """What stands before it counts, and so does what a resumed run writes after it."""
    with Watermark(path) as mark:
        mark.about_to(0, 500)
        whole = path.stat().st_size
        mark.confirmed(0, 500)
    torn = path.read_bytes()[: min(whole + kept, path.stat().st_size - 2)]
    path.write_bytes(torn)
    assert ((), (Range(0, 500),), ()) == watermark.read(path)
    with Watermark(path) as mark:
        mark.about_to(500, 600)
        mark.confirmed(500, 600)
    assert ((Range(500, 600),), (Range(0, 500),), ()) == watermark.read(path)


def test_what_is_published_once_more_is_counted(path: Path) -> None:
    """As often as it was, and apart from what is published for the first time."""
    with Watermark(path) as mark:
        mark.about_to(0, 500)
        mark.confirmed(0, 500)
        mark.again([3, 7])
        mark.again([7])
    assert ((Range(0, 500),), (), (3, 7, 7)) == watermark.read(path)


def test_a_step_is_in_the_folder_before_it_is_taken(tmp_path: Path) -> None:
    """Only a run that an earlier process has brought somewhere keeps its data through an error."""
    fresh = Standing(tmp_path, _BEGUN)
    fresh.step(_BEGUN.begun(1))
    assert (fresh.now, False) == (state.read(tmp_path), fresh.keeps)
    assert Standing(tmp_path, msgspec.structs.replace(_BEGUN, base=_BASE)).keeps


def test_what_can_not_be_resumed_is_not_written_down(tmp_path: Path) -> None:
    """A run on hosts that end with it waits for nothing."""
    standing = state.Standing(tmp_path, state.State(run="abcd", mode=Mode.DISTRIBUTED, keep=False), lasting=False)
    standing.step(standing.now.begun(1))
    assert (1, None) == (standing.now.group, state.read(tmp_path))
