"""What people are told of a run's transactions, and what is found while they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Witness
from orchestrator.verifier.attempted import Attempted
from orchestrator.verifier.verdict import Participant
from tests.unit.histories import deduct, grant, race, transfer
from tests.unit.test_verifier_native import ZERO, native

if TYPE_CHECKING:
    from tests.unit.histories import Row


def test_names_tell_attempt_row_and_value() -> None:
    """In the words that every other witness uses."""
    names = native(race(deduct(0, 5), transfer(0, 1, 3))).names
    assert names.transaction(0) == "operation 0 (deduct 5 from users/0) on node-1, pid 101, slot 0"
    assert names.row(1) == "users/1"
    assert [names.version(0, version) for version in range(4)] == ["", "credits 95", "credits 92", ""]
    assert names.version(2, 1) == ""


def test_details_tell_worker_and_time_on_the_database_clock() -> None:
    """With the error that the mapping may have."""
    draft = race(deduct(0, 5), deduct(0, 3))
    worker = {"node": "node-1", "host": "here", "pid": 101, "slot": 0}
    started = {"token": draft.attempts[0]["token"], "operation": 0, **worker, "start_us": ZERO // 1000}
    assert native(draft).names.details(0) == {**started, "end_us": (ZERO + 1_500_000) // 1000, "error_us": 2}
    draft.crash(0)
    assert native(draft).names.details(0) == {**started, "error_us": 1}
    draft.clocks[0]["error_ns"] = 5_004_001
    assert native(draft).names.details(0) == {**started, "error_us": 5_005}
    draft.clocks.clear()
    del started["start_us"]
    assert native(draft).names.details(0) == started
    draft.processes.clear()
    assert native(draft).names.details(0) == {"token": started["token"], "operation": 0, "slot": 0}


def test_names_tell_what_little_is_known_of_a_stranger() -> None:
    """Its token, where it carried one."""
    draft = race(deduct(0, 5), deduct(1, 3))
    draft.attempts.clear()
    names = native(draft).names
    assert names.details(1) == {"token": draft.effects[1]["writer"]}
    assert names.transaction(0) == "a writer whose attempt is not in the history"


def test_a_read_outside_is_named_with_its_row() -> None:
    """So that it isn't taken for its attempt's transaction."""
    names = native(race(deduct(0, 5)), apart=True).names
    assert names.transaction(0) == (
        "the read of users/0 before the transaction of operation 0 (deduct 5 from users/0) on node-1, pid 101, slot 0"
    )


def test_a_witness_gets_its_attempts_and_operations() -> None:
    """Each once, in the order of its transactions; nobody's token is none."""
    draft = race(deduct(0, 5), deduct(1, 3), deduct(2, 1))
    draft.attempts[1]["operation"] = 99
    names = native(draft, apart=True).names
    assert isinstance(names, Attempted)
    numbers = [n for n in range(6) if names.details(n)["token"] in [a["token"] for a in draft.attempts[:2]]]
    parts = tuple(Participant(number=number, name="") for number in numbers)
    told = names.told(Witness(anomaly="G0", sentence="", transactions=parts))
    assert (tuple(a["token"] for a in draft.attempts[:2]), (0,)) == (told.attempts, told.operations)
    draft.effects[0].update(writer=0, operation=-1)
    draft.attempts.clear()
    lone = native(draft).names
    assert isinstance(lone, Attempted)
    nobody = next(n for n in range(3) if not lone.details(n)["token"])
    told = lone.told(Witness(anomaly="G0", sentence="", transactions=(Participant(number=nobody, name=""),)))
    assert ((), ()) == (told.attempts, told.operations)


def test_a_read_of_what_another_never_committed_is_g1a() -> None:
    """Its writer failed, or is of unknown outcome and left nothing."""
    for outcome in ("fail", "info"):
        draft = race(deduct(0, 5), deduct(0, 3), grant(0, 2))
        draft.refuse(0, "error")["outcome"] = outcome
        draft.effects.pop(0)
        history = native(draft)
        (found,) = history.found
        reader, writer = (history.names.details(number)["operation"] for number in found.transactions)
        assert ("G1a", 1, 0, 0) == (found.anomaly, reader, writer, found.row)
        assert found.sentence == "T1 read users/0 at seq 1, which T2 wrote and never committed."
        assert {"G1a": 1} == dict(history.counts)


@pytest.mark.parametrize("change", [{"writer": 999}, {"seq": 7}])
def test_a_read_of_what_nobody_wrote_is_garbage(change: Row) -> None:
    """A token that is nobody's, or a seq that its owner never installed; the first ten are told, all are counted."""
    draft = race(deduct(0, 5), *(deduct(0, 1) for _ in range(12)))
    for operation in range(1, 13):
        draft.read_of(operation).update({"seq": 1, "writer": draft.effects[0]["writer"], **change})
    history = native(draft)
    assert [("garbage-read", 1)] * 10 == [(found.anomaly, len(found.transactions)) for found in history.found]
    assert {"garbage-read": 12} == dict(history.counts)
    token = change.get("writer", draft.effects[0]["writer"])
    assert history.found[0].sentence == (
        f"T1 read users/0 at seq {change.get('seq', 1)}, written by token {token}, which never installed that."
    )


def test_what_an_aborted_attempt_read_and_what_one_reads_of_its_own_is_no_finding() -> None:
    """Nobody is committed who saw it, and one's own writes may be seen before they are."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.read_of(1)["writer"] = 999
    draft.refuse(1, "error")
    draft.effects.pop()
    own = draft.attempt_of(0)["token"]
    draft.accesses.append({**draft.read_of(0), "seq": 9, "writer": own})
    history = native(draft)
    assert ((), {}) == (history.found, dict(history.counts))
    assert ["garbage-read"] == [found.anomaly for found in native(draft, apart=True).found]
