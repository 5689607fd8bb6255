"""Listings: what is said, and how it is written in much and in little room."""

from __future__ import annotations

import re

import pytest

from orchestrator.explorer.judging import Anomaly
from orchestrator.explorer.listing import Line, lay_out, render
from orchestrator.explorer.listing_text import clip, size
from orchestrator.explorer.model import Ending
from tests.unit.executions import ACCOUNT, BALANCE, SET_BALANCE, Draft, lost_update

OTHER = ("account", 2)
BUMP = "UPDATE account SET balance = balance + %s WHERE id = %s"
MISSING = Anomaly("invariant", "The balance is 110; two deposits of 10 on 100 make 120.", "total")

LOST_UPDATE = """\
step  A: deposit(10)                         B: deposit(10)
   1  SELECT balance FROM account WHERE id = 1  -> 100
   2  │                                      SELECT balance FROM account WHERE id = 1  -> 100
   3  │                                      UPDATE account SET balance = 110 WHERE id = 1  -> 1 row
   4  │                                      COMMIT
   5  UPDATE account SET balance = 110 WHERE id = 1  -> 1 row
   6  COMMIT
Lost update: A read account/1 (balance 100), B read it too and committed 110; then A wrote its own
  110 over it: B's update is lost.
Invariant: The balance is 110; two deposits of 10 on 100 make 120.
Values are filled in for reading; the statements were sent without them."""

SIDE_BY_SIDE = """\
step  A                                                        B
   1  SELECT balance FROM account WHERE id = 1  -> 100
   2  │                                                        SELECT balance FROM account WHERE id = 1  -> 100"""

NARROW = """\
 1  A  SELECT bala… WHERE id = 1  -> 100
 2  B  SELECT bala… WHERE id = 1  -> 100
 3  B  UPDATE account SET bal…  -> 1 row
 4  B  COMMIT
 5  A  UPDATE account SET bal…  -> 1 row
 6  A  COMMIT
Lost update: A read account/1 (balance
  100), B read it too and committed 110;
  then A wrote its own 110 over it: B's
  update is lost.
Values are filled in for reading; the
statements were sent without them."""

WAITS = """\
step  A                                     B
   1  takes its message
   2  UPDATE account SET balance = balance + 10 WHERE id = 1  -> 1 row
   3  │                                     UPDATE account SET balance = 7 WHERE id = 1  waits for A
   4  COMMIT
                                            … UPDATE goes on  -> 1 row
   5  CRASHES before it acknowledges its message
   6                                        INSERT INTO log VALUES ('x')  -> 1 row, committed
   7  takes its message again
   8                                        COMMIT"""


def _waits() -> Draft:
    draft = Draft()
    draft.step(0, "dequeue")
    draft.write(0, ACCOUNT, BUMP, 10, 1)
    waiting = draft.write(1, ACCOUNT, SET_BALANCE, 7, 1)
    draft.waits(waiting, until=draft.commit(0).number)
    draft.crash(0, "acknowledge")
    draft.write(1, ("log", 1), "INSERT INTO log VALUES (%s)", "x", alone=True)
    draft.step(0, "dequeue")
    draft.commit(1)
    return draft


def _lines(text: str) -> list[str]:
    return text.split("\n")


def test_lost_update_fits_in_twelve_lines() -> None:
    """The naive lost update is told from header to sentence in twelve lines."""
    text = render(lay_out(lost_update(), anomalies=[MISSING], titles=["deposit(10)"] * 2))
    assert (LOST_UPDATE, True) == (text, len(_lines(text)) <= 12)


def test_wide_terminals_have_columns_side_by_side() -> None:
    """Where there is room, no line reaches into another worker's column."""
    assert SIDE_BY_SIDE == "\n".join(_lines(render(lay_out(lost_update()), width=140))[:3])


def test_narrow_terminals_have_one_column() -> None:
    """Where there is little room, the worker's name stands in front, and the statement gives way before its row."""
    assert NARROW == render(lay_out(lost_update()), width=40)


def test_waits_crashes_and_redeliveries_are_marked() -> None:
    """It is said who waits for whom, when it goes on, where a worker crashes, and that its message comes again."""
    text = render(lay_out(_waits().done(), story=()))
    assert WAITS == "\n".join(_lines(text)[:-1])


def test_marks_say_what_a_line_is() -> None:
    """The data says it before anything is written."""
    listing = lay_out(_waits().done(), ["ann", "ben"], story=())
    expected = ["step", "step", "blocked", "end", "again", "crash", "step", "redelivery", "end"]
    assert expected == [line.mark for line in listing.lines]
    assert (
        Line(3, 1, "UPDATE account SET balance = 7 WHERE id = 1", "waits for ann", "blocked", (0,)) == listing.lines[2]
    )


def test_four_workers_have_one_column() -> None:
    """More than three columns are none."""
    draft = Draft(4)
    for worker in range(4):
        draft.commit(worker)
    assert [" 1  A  COMMIT", " 2  B  COMMIT", " 3  C  COMMIT", " 4  D  COMMIT"] == _lines(render(lay_out(draft.done())))


def test_four_workers_say_what_they_run() -> None:
    """Titles stand before the lines where there is one column."""
    draft = Draft(4)
    draft.commit(3)
    text = render(lay_out(draft.done(), titles=["a()", "b()", "c()", "d()"]))
    assert ["    A: a()", "    B: b()", "    C: c()", "    D: d()", " 1  D  COMMIT"] == _lines(text)


@pytest.mark.parametrize("width", [40, 72, 80, 100, 140])
@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_no_line_is_wider_than_the_terminal(width: int, workers: int) -> None:
    """Whatever the statements are, nothing wraps."""
    draft = Draft(workers)
    for worker in range(workers):
        long = BALANCE.replace("balance", ", ".join(f"column_{number}" for number in range(30)))
        draft.read(worker, ACCOUNT, long, [("漢字" * 20, "x" * 50)] * 5, "y" * 50)
        failing = draft.write(worker, ACCOUNT, SET_BALANCE, 1, 1)
        failing.error = "UniqueViolation: " + "z" * 300
    draft.endings[0] = Ending(error=ValueError("z" * 300))
    text = render(lay_out(draft.done(), [f"worker {number}" for number in range(workers)]), width)
    assert [] == [line for line in _lines(text) if size(line) > width]


def test_colours_change_nothing_but_the_colour() -> None:
    """Without its colours a coloured listing is the plain one."""
    listing = lay_out(lost_update(), anomalies=[MISSING])
    coloured = re.sub(r"\x1b\[\d+m", "", render(listing, colour=True))
    assert _lines(render(listing)) == [line.rstrip() for line in _lines(coloured)]


def test_each_thing_is_told_once() -> None:
    """What the judge calls the same as the story is not said again."""
    listing = lay_out(lost_update(), anomalies=[Anomaly("lost update", "again", "account/1"), MISSING])
    assert ["account/1", "total"] == [each.witness for each in listing.told]


def test_values_in_the_text_need_no_note() -> None:
    """Where nothing was filled in, nothing is said of it."""
    draft = Draft()
    draft.read(0, ACCOUNT, "SELECT 1", [(1,)])
    listing = lay_out(draft.done())
    assert (False, False) == (listing.filled, "filled in" in render(listing))


@pytest.mark.parametrize(
    ("rows", "count", "expected"),
    [
        ([], 0, "-> no rows"),
        ([(None,)], 1, "-> NULL"),
        ([(1, "a")], 1, "-> (1, 'a')"),
        ([(1,), (2,)], 2, "-> 1, 2"),
        ([(1,), (2,), (3,), (4,), (5,)], 12, "-> 1, 2, 3 and 9 more"),
    ],
)
def test_values_read_are_shown(rows: list[tuple[object, ...]], count: int, expected: str) -> None:
    """A few rows are shown, the others counted."""
    draft = Draft()
    draft.read(0, ACCOUNT, BALANCE, rows, 1).count = count
    assert expected == lay_out(draft.done()).lines[0].answer


def test_errors_are_shown_where_they_come() -> None:
    """An error stands behind its statement, and what comes out of the body behind its last step."""
    draft = Draft()
    draft.write(0, ACCOUNT, SET_BALANCE, 1, 1).error = "SerializationFailure: could not serialize\nDETAIL: x"
    draft.step(0, "rollback")
    draft.endings[0] = Ending(error=KeyError("gone"))
    expected = [
        ("-> SerializationFailure: could not serialize", "error"),
        ("", "end"),
        ("", "ending"),
    ]
    listing = lay_out(draft.done())
    assert (expected, "ends with KeyError: 'gone'") == (
        [(line.answer, line.mark) for line in listing.lines],
        listing.lines[-1].text,
    )


def test_closed_circle_is_answered_at_once() -> None:
    """A statement that closes a deadlock says whom it would wait for, and its error."""
    draft = Draft()
    draft.write(0, ACCOUNT, BUMP, 1, 1)
    closer = draft.write(1, ACCOUNT, BUMP, 1, 1)
    closer.blocked, closer.error = True, "DeadlockDetected: deadlock detected"
    expected = ("waits for A -> DeadlockDetected", "error")
    line = lay_out(draft.done()).lines[1]
    assert expected == (line.answer, line.mark)


def test_wait_for_what_no_row_names() -> None:
    """Where no row says who is waited for, it is who has written; where nobody has, it only waits."""
    draft = Draft(3)
    for row, worker in ((ACCOUNT, 0), (OTHER, 1)):
        record = draft.write(worker, row, BUMP, 1, 1)
        record.blocked, record.answered = True, 99
    draft.records[0].blocked, draft.records[0].answered = False, 0
    last = draft.step(2, "statement", statement="LOCK TABLE x")
    last.blocked, last.answered = True, 99
    assert ["waits for A", "waits for A"] == [line.answer for line in lay_out(draft.done()).lines[1:]]


def test_two_connections_of_a_worker_are_told_apart() -> None:
    """While a worker has another transaction open, a statement shows its connection's number."""
    draft = Draft(1)
    draft.write(0, ACCOUNT, BUMP, 1, 1)
    draft.write(0, OTHER, "DELETE FROM account", session=1)
    draft.commit(0)
    draft.step(0, "commit", session=1)
    assert ["[2] DELETE FROM account", "[1] COMMIT", "COMMIT"] == [
        line.text for line in lay_out(draft.done()).lines[1:]
    ]


def test_unknown_points_are_shown_by_their_kind() -> None:
    """A caller's own point is its own word."""
    draft = Draft(1)
    draft.step(0, "handshake")
    assert ["handshake"] == [line.text for line in lay_out(draft.done()).lines]


def test_message_comes_again_before_whatever_is_next() -> None:
    """Where no point says that a message is taken, its coming again has a line."""
    draft = Draft(1)
    draft.crash(0, "commit")
    draft.write(0, ACCOUNT, "DELETE FROM account")
    expected = ["CRASHES before COMMIT", "(its message comes again)", "DELETE FROM account"]
    assert expected == [line.text for line in lay_out(draft.done()).lines]


def test_crash_names_the_statement() -> None:
    """A worker that crashes before a statement never sent it."""
    draft = Draft(1)
    draft.crash(0, "statement", statement="SELECT 1")
    assert "CRASHES before SELECT 1" == lay_out(draft.done()).lines[0].text


def test_wide_characters_take_two_columns() -> None:
    """A text is cut by what it takes on a terminal."""
    assert ("漢…", 3, "ab", "") == (clip("漢字x", 4), size("漢…"), clip("ab", 2), clip("ab", 0))


def test_empty_execution_is_a_header() -> None:
    """Bodies that do nothing have nothing to list."""
    assert "step  A             B" == render(lay_out(Draft().done()))
