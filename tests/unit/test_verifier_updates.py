"""Lost updates: an attempt overwrote a write that it had not seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.verifier import Value
from orchestrator.verifier.facts import Facts
from tests.unit.histories import check, deduct, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft


def naive() -> Draft:
    """Two deductions read 100, and the second writes over the first."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.read_of(1).update(seq=0, version=1, writer=0)
    draft.effects[1]["after"] = json.dumps({"id": 0, "credits": 97})
    draft.rows[0]["final"] = draft.effects[1]["after"]
    return draft


def test_writes_over_the_newest_state_lose_nothing() -> None:
    """Reads of the state that is overwritten are what they should be."""
    assert check(race(deduct(0, 5), deduct(0, 3), grant(0, 1)), "lost updates").value is Value.VALID


def test_a_lost_update_is_told_in_words() -> None:
    """The witness names both attempts, their workers, the row, the seqs and the values."""
    draft = naive()
    found = check(draft, "lost updates")
    assert found.value is Value.INVALID
    assert found.found == 1
    witness = found.witnesses[0]
    assert witness.row == "users/0"
    assert witness.attempts == (draft.attempts[1]["token"], draft.attempts[0]["token"])
    assert witness.operations == (1, 0)
    assert witness.sentence == (
        "A read users/0 at seq 0, B committed seq 1 (credits 100 -> credits 95), then A overwrote it with seq 2"
        " (credits 95 -> credits 97) without having seen it: B's write is lost."
        " A is operation 1 (deduct 3 from users/0) on node-2, pid 102, slot 0;"
        " B is operation 0 (deduct 5 from users/0) on node-1, pid 101, slot 0."
    )


def test_several_unseen_writes_are_one_lost_update() -> None:
    """One overwriting effect counts once, and the witness counts what it overwrote."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1))
    draft.read_of(2)["seq"] = 0
    found = check(draft, "lost updates")
    assert found.found == 1
    assert "(and 1 more write)" in found.witnesses[0].sentence


def test_an_attempt_may_overwrite_its_own_write() -> None:
    """A row written twice in one transaction needs no second read."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.attempt_of(1)["operation"] = 0
    draft.effects[1].update(writer=draft.effects[0]["writer"], operation=0)
    draft.read_of(0)["seq"] = 0
    draft.accesses = [access for access in draft.accesses if access["token"] == draft.effects[0]["writer"]]
    assert check(draft, "lost updates").value is Value.VALID


def test_another_writer_between_two_own_writes_is_seen() -> None:
    """Own writes hide no foreign one that came before them."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1))
    draft.effects[2]["writer"] = draft.effects[1]["writer"]
    draft.read_of(1)["seq"] = 0
    draft.accesses = [access for access in draft.accesses if access["token"] == draft.effects[1]["writer"]]
    assert check(draft, "lost updates").found == 2


def test_a_second_fresher_read_counts() -> None:
    """What counts is the newest state read before the write."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.accesses.append({**draft.read_of(1), "seq": 0})
    assert check(draft, "lost updates").value is Value.VALID


def test_a_read_after_the_write_does_not_count() -> None:
    """Seeing one's own write afterwards is no excuse for having overwritten another's."""
    draft = naive()
    draft.accesses.append({**draft.read_of(1), "seq": 2})
    assert check(draft, "lost updates").found == 1


def test_a_read_of_another_row_does_not_count() -> None:
    """Reads are matched with writes of the same row."""
    draft = naive()
    draft.read_of(1)["key"] = "1"
    assert check(draft, "lost updates").value is Value.VALID


def test_writes_without_reads_are_counted_apart() -> None:
    """A statement that reads and writes at once overwrites nothing unseen."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.accesses = [access for access in draft.accesses if access["mode"] == "w"]
    found = check(draft, "lost updates")
    assert found.value is Value.VALID
    assert found.summary == "0 lost updates in 0 writes that followed a read; 2 writes without a read before it"


def test_reads_of_a_killed_process_are_unknown() -> None:
    """Effects whose attempt left no end are counted, not judged."""
    draft = naive()
    draft.crash(1)
    found = check(draft, "lost updates")
    assert found.value is Value.VALID
    assert "1 write with reads unknown" in found.summary


def test_stale_effects_are_marked_one_by_one() -> None:
    """The array has a flag per effect, in the order of rows and seqs."""
    assert Facts(naive().history()).reads.stale.tolist() == [False, True]
