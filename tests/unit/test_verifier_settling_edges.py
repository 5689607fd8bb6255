"""Settling and lost updates at their edges: who settled an operation, and what each write had seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.verifier import Check, Value, Witness
from orchestrator.verifier import settling as settling_
from orchestrator.verifier.columns import REASONS, prepare
from orchestrator.verifier.facts import Facts
from orchestrator.verifier.settling import OUTCOMES
from orchestrator.verifier.updates import superseded
from tests.unit.histories import OFFSETS, check, deduct, grant, race

if TYPE_CHECKING:
    from orchestrator.verifier.settling import Settled
    from tests.unit.histories import Draft

#: Tokens of the attempts of operations 0 to 2.
FIRST, SECOND, THIRD = (1 << 32) + 1, (2 << 32) + 2, (1 << 32) + 3


def settled(draft: Draft) -> Settled:
    """What became of everything."""
    return Facts(draft.history()).settled


def ended(draft: Draft, operation: int, process: int, turn: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # a column's value
    """One more attempt of the operation, which ends at this time of the database's clock."""
    time = 10**15 + turn - OFFSETS[process]
    token = (process << 32) + 100 + turn
    return draft.add_attempt(operation, token=token, process=process, start_ns=time, end_ns=time, **changes)


def test_outcomes_have_the_codes_of_their_names() -> None:
    """Each constant is the place of its word."""
    words = [word.upper() for word in OUTCOMES]
    assert ["OK", "FAIL", "INFO", "LOST", "UNPUBLISHED"] == words
    assert [*range(5)] == [getattr(settling_, word) for word in words]


def test_outcomes_are_counted() -> None:
    """Of operations."""
    draft = race(deduct(0, 5), deduct(0, 900), deduct(1, 3))
    draft.add_operation(grant(0, 1))
    found = settled(draft)
    assert [2, 1, 0, 1, 0] == [found.count(outcome) for outcome in range(5)]
    assert [0, 1, 0, 3] == found.operations.tolist()


def test_effects_are_counted_by_attempt() -> None:
    """Those of a token that nobody knows count for no attempt."""
    draft = race(deduct(0, 5), deduct(0, 900), deduct(1, 3))
    draft.effects.append({**draft.effects[1], "key": "2"})
    assert [1, 2, 0] == settled(draft).effects.tolist()
    draft.effects[0]["writer"] = 77
    assert [0, 2, 0] == settled(draft).effects.tolist()


def test_an_effect_makes_any_attempt_ok() -> None:
    """Whatever it said itself, and whatever became of its backend."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1))
    draft.refuse(0, "version")
    draft.crash(1, backend_ended=True)
    assert [0, 0, 0] == settled(draft).attempts.tolist()
    draft.effects.clear()
    assert [1, 0, 1] == settled(draft).attempts.tolist()


def test_a_failed_attempt_stays_failed_whatever_became_of_its_backend() -> None:
    """Only what is unknown is decided by that."""
    draft = race(deduct(0, 900))
    draft.attempts[0]["backend_ended"] = False
    assert [1] == settled(draft).attempts.tolist()


def test_the_first_ok_settles_an_operation() -> None:
    """By the database's clock, however the processes' clocks stand; one without end comes last."""
    draft = race(grant(0, 1))
    draft.drop(0)
    draft.attempts.append({**race(grant(0, 1)).attempts[0], "token": 1, "end_ns": None, "outcome": "ok"})
    ended(draft, 0, 1, 9)
    ended(draft, 0, 2, 5)
    ended(draft, 0, 1, 7, outcome="fail", reason="error")
    found = settled(draft)
    tokens = prepare(draft.history()).attempts.token.tolist()
    assert [1, (1 << 32) + 107, (1 << 32) + 109, (2 << 32) + 105] == tokens
    assert [3] == found.by.tolist()
    assert [-1] == found.reason.tolist()


@pytest.mark.parametrize("turns", [(5, 9), (9, 5), (5, 9, 7, 6)])
def test_the_first_of_any_number_of_oks_settles(turns: tuple[int, ...]) -> None:
    """Of one process too."""
    draft = race(grant(0, 1))
    draft.drop(0)
    draft.attempts.append({**race(grant(0, 1)).attempts[0], "operation": 77})
    for turn in turns:
        ended(draft, 0, 1, turn)
    tokens = prepare(draft.history()).attempts.token
    assert (1 << 32) + 105 == tokens[settled(draft).by[0]]


def test_an_ok_at_the_clocks_zero_comes_before_later_ones() -> None:
    """It has an end as any other."""
    draft = race(grant(0, 1))
    draft.attempts[0].update(start_ns=0, end_ns=0)
    later = draft.add_attempt(0)
    assert draft.attempts[0]["token"] < later["token"]
    draft.attempts[0]["token"], later["token"] = later["token"], draft.attempts[0]["token"]
    assert [1] == settled(draft).by.tolist()


def test_of_many_final_ends_at_once_the_greatest_token_settles() -> None:
    """So that the same history is always told the same way."""
    draft = race(deduct(0, 900))
    for reason in ["error"] * 40 + ["deadlock"]:
        draft.add_attempt(0, start_ns=draft.attempts[0]["start_ns"], end_ns=draft.attempts[0]["end_ns"], reason=reason)
    found = settled(draft)
    assert [[41], "deadlock"] == [found.by.tolist(), REASONS[found.reason[0]]]


def test_an_effect_settles_what_its_attempt_ran_and_not_what_the_session_carried() -> None:
    """Where both are known, and differ, somebody carried the wrong operation."""
    draft = race(grant(0, 1))
    number = draft.add_operation(grant(0, 1))
    draft.effects[0]["operation"] = number
    assert ["ok", "lost"] == [OUTCOMES[code] for code in settled(draft).operations]


def test_an_ok_without_end_settles_where_it_is_the_only_one() -> None:
    """An effect tells of it."""
    draft = race(grant(0, 1))
    draft.crash(0)
    assert [0] == settled(draft).by.tolist()


def test_an_effect_alone_settles_by_no_attempt() -> None:
    """Nobody has heard of the one that wrote it."""
    draft = race(grant(0, 1))
    draft.drop(0)
    found = settled(draft)
    assert [[0], [-1], [-1]] == [found.operations.tolist(), found.by.tolist(), found.reason.tolist()]


@pytest.mark.parametrize(("turns", "reason"), [((5, 9), "deadlock"), ((9, 5), "version"), ((7, 7), "deadlock")])
def test_the_last_final_end_tells_why_an_operation_failed(turns: tuple[int, int], reason: str) -> None:
    """By the database's clock; of two at once, the one with the greater token."""
    draft = race(deduct(0, 5), deduct(1, 5))
    draft.drop(0)
    draft.effects.clear()
    ended(draft, 0, 1, turns[0], outcome="fail", reason="version", final=True)
    ended(draft, 0, 2, turns[1], outcome="fail", reason="deadlock", final=True)
    ended(draft, 0, 1, 50, outcome="fail", reason="error", final=False)
    found = settled(draft)
    assert "fail" == OUTCOMES[found.operations[0]]
    assert reason == REASONS[found.reason[0]]


def test_a_final_attempt_without_end_settles_nothing() -> None:
    """It may still run."""
    draft = race(deduct(0, 900))
    draft.attempts[0].update(end_ns=None)
    found = settled(draft)
    assert ["lost", [-1], [-1]] == [OUTCOMES[found.operations[0]], found.by.tolist(), found.reason.tolist()]


def test_an_end_at_the_clocks_zero_is_one() -> None:
    """A clock may begin anywhere."""
    draft = race(deduct(0, 900))
    draft.attempts[0].update(start_ns=0, end_ns=0)
    found = settled(draft)
    assert ["fail", "insufficient"] == [OUTCOMES[found.operations[0]], REASONS[found.reason[0]]]


def test_attempts_of_no_operation_settle_none() -> None:
    """Not the last one either."""
    draft = race(grant(0, 1), grant(0, 1))
    draft.drop(1)
    draft.effects.pop()
    draft.add_attempt(77, outcome="ok", final=True)
    assert [[0, 3], [0, -1]] == [settled(draft).operations.tolist(), settled(draft).by.tolist()]


def test_an_unconfirmed_operation_with_an_attempt_is_settled_by_it() -> None:
    """Somebody got the message."""
    draft = race(deduct(0, 900), deduct(0, 900))
    for operation in draft.operations:
        operation["confirmed"] = False
    draft.drop(1)
    assert ["fail", "unpublished"] == [OUTCOMES[code] for code in settled(draft).operations]


ACCESSES = st.lists(
    st.tuples(
        st.sampled_from((FIRST, SECOND, THIRD, 77)), st.sampled_from("rwl"), st.integers(0, 1), st.integers(-1, 5)
    ),
    max_size=10,
)
EFFECTS = st.lists(st.tuples(st.sampled_from((FIRST, SECOND, THIRD, 77)), st.integers(0, 1)), max_size=6)


def stormy(reads: list[tuple[int, str, int, int]], writes: list[tuple[int, int]]) -> Draft:
    """Reads of (token, mode, key, seq) and writes of (token, key), on top of three attempts."""
    draft = race(grant(0, 1), grant(0, 1), grant(1, 1))
    read, write = draft.accesses[0], draft.effects[0]
    draft.accesses = [
        {**read, "token": token, "mode": mode, "key": str(key), "seq": None if seq < 0 else seq}
        for token, mode, key, seq in reads
    ]
    seqs = [0, 0]
    draft.effects = []
    for token, key in writes:
        seqs[key] += 1
        draft.effects.append({**write, "writer": token, "key": str(key), "seq": seqs[key], "txid": token})
    return draft


@given(reads=ACCESSES, writes=EFFECTS)
@settings(max_examples=120, deadline=None)
def test_each_write_is_held_to_the_newest_state_that_its_attempt_read(
    reads: list[tuple[int, str, int, int]], writes: list[tuple[int, int]]
) -> None:
    """Below its own seq; it is stale where another's write came after that."""
    draft = stormy(reads, writes)
    found = Facts(draft.history()).reads
    effects = sorted(draft.effects, key=lambda effect: (effect["key"], effect["seq"]))
    seqs, stale = [], []
    for place, effect in enumerate(effects):
        known = effect["writer"] != 77
        seen = [
            seq
            for token, mode, key, seq in reads
            if known and mode != "w" and (token, str(key)) == (effect["writer"], effect["key"])
        ]
        newest = max((seq for seq in seen if 0 <= seq < effect["seq"]), default=-1)
        others = [
            other["seq"]
            for other in effects[:place]
            if other["key"] == effect["key"] and other["writer"] != effect["writer"] and other["seq"] > newest
        ]
        seqs.append(newest)
        stale.append(newest >= 0 and bool(others))
    assert [seqs, stale] == [found.seq.tolist(), found.stale.tolist()]
    assert [effect["writer"] == 77 for effect in effects] == found.unknown.tolist()


def test_writes_of_attempts_without_end_are_unknown() -> None:
    """Nobody knows what they read."""
    draft = race(grant(0, 1), grant(0, 1))
    draft.attempts[0]["end_ns"], draft.attempts[1]["end_ns"] = 0, None
    assert [False, True] == Facts(draft.history()).reads.unknown.tolist()


def test_a_write_is_no_read_of_what_it_returned() -> None:
    """An attempt that only wrote has seen nothing before."""
    draft = race(grant(0, 1), grant(0, 1))
    draft.read_of(1).update(mode="w", seq=0)
    found = Facts(draft.history()).reads
    assert [[0, -1], [False, False]] == [found.seq.tolist(), found.stale.tolist()]


def test_only_the_last_write_of_a_transaction_counts() -> None:
    """Each but the last of one row, token and transaction is superseded."""
    draft = race(*(grant(0, 1) for _ in range(4)), grant(1, 1))
    for effect in draft.effects:
        effect.update(writer=FIRST, txid=7)
    assert [True, True, True, False, False] == superseded(prepare(draft.history())).tolist()
    draft.effects[1]["txid"] = 8
    assert [False, False, True, False, False] == superseded(prepare(draft.history())).tolist()
    draft.effects[3]["writer"] = SECOND
    assert [False] * 5 == superseded(prepare(draft.history())).tolist()
    draft.effects.clear()
    assert [] == superseded(prepare(draft.history())).tolist()


def lost(draft: Draft) -> Check:
    """The check's finding."""
    return check(draft, "lost updates")


def test_writes_are_counted_by_what_is_known_of_their_reads() -> None:
    """After a read, without one, and with reads unknown."""
    draft = race(grant(0, 1), grant(0, 1), grant(0, 1), grant(0, 1))
    summary = "0 lost updates in 4 writes that followed a read"
    assert Check(name="lost updates", value=Value.VALID, summary=summary) == lost(draft)
    draft.accesses = [access for access in draft.accesses if access["token"] != SECOND]
    summary = "0 lost updates in 3 writes that followed a read; 1 write without a read before it"
    assert summary == lost(draft).summary
    draft.crash(2)
    summary = (
        "0 lost updates in 2 writes that followed a read; 1 write without a read before it; 1 write with reads unknown"
    )
    assert summary == lost(draft).summary
    draft.crash(3)
    draft.crash(0)
    summary = (
        "0 lost updates in 0 writes that followed a read; 1 write without a read before it; 3 writes with reads unknown"
    )
    assert summary == lost(draft).summary


def test_a_lost_update_over_several_writes_is_told_whole() -> None:
    """The oldest one that was not seen is named, the others are counted, own ones and seen ones are not."""
    draft = race(*(deduct(0, amount) for amount in (1, 2, 3, 4, 5)))
    draft.read_of(4)["seq"] = 1
    draft.effects[2].update(writer=draft.effects[4]["writer"])
    witness = Witness(
        anomaly="lost-update",
        sentence=(
            "A read users/0 at seq 1, B committed seq 2 (credits 99 -> credits 97) (and 1 more write),"
            " then A overwrote it with seq 5 (credits 90 -> credits 85) without having seen it: B's write is lost."
            " A is operation 4 (deduct 5 from users/0) on node-1, pid 101, slot 0;"
            " B is operation 1 (deduct 2 from users/0) on node-2, pid 102, slot 0."
        ),
        attempts=((1 << 32) + 5, SECOND),
        operations=(4, 1),
        row="users/0",
    )
    found = lost(draft)
    assert witness == found.witnesses[-1]
    draft.read_of(4)["seq"] = 0
    assert "(and 2 more writes)" in lost(draft).witnesses[-1].sentence


def test_a_lost_update_of_nobodys_operation_names_none() -> None:
    """Its row and tokens are there all the same."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.read_of(1)["seq"] = 0
    draft.effects[0]["operation"] = -1
    witness = lost(draft).witnesses[0]
    assert [(1,), (SECOND, FIRST), "users/0"] == [witness.operations, witness.attempts, witness.row]


def test_lost_updates_stop_at_the_row_before() -> None:
    """A write of the row that happens to stand before is none of this row's."""
    draft = race(deduct(0, 5), deduct(1, 3), deduct(1, 2))
    draft.read_of(2)["seq"] = 0
    found = lost(draft)
    assert 1 == found.found
    assert "more write" not in found.witnesses[0].sentence
    assert (THIRD, SECOND) == found.witnesses[0].attempts
