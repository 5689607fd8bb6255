"""A run's history as transactions: attempts, their reads and writes in program order, sessions and times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, UNKNOWN
from orchestrator.verifier import Facts
from orchestrator.verifier.native import transactions
from tests.unit.histories import OFFSETS, TURN_NS, deduct, grant, race, transfer
from tests.unit.storms import storm

if TYPE_CHECKING:
    from orchestrator.history.transactions import Transactions
    from tests.unit.histories import Draft, Row

#: When the first operation of `race` begins, on the database clock.
ZERO = 10**15
#: Error of the clocks' only reading in `race`.
ERROR = 1000


def native(draft: Draft, *, apart: bool = False, writers_only: bool = False) -> Transactions:
    """The draft as transactions."""
    return transactions(Facts(draft.history()), outside_reads_apart=apart, writers_only=writers_only)


def story(history: Transactions) -> list[str]:
    """Each transaction's micro-operations: "r0@0 w0@1", a row and a version each."""
    told: list[list[str]] = [[] for _ in history.status]
    operations = zip(history.txn, history.write, history.row, history.version, strict=True)
    for txn, write, row, version in operations:
        told[txn].append(f"{'w' if write else 'r'}{row}@{version}")
    return [" ".join(each) for each in told]


def test_each_attempt_is_a_transaction_that_reads_and_writes_seqs() -> None:
    """A row's seq is its version, and 0 its initial state."""
    history = native(race(deduct(0, 5), transfer(0, 1, 3)))
    assert ["r0@0 w0@1", "r0@1 r1@0 w0@2 w1@1"] == story(history)
    assert [COMMITTED, COMMITTED] == history.status.tolist()


@pytest.mark.parametrize(
    ("outcome", "ended", "effects", "expected"),
    [
        ("ok", None, True, COMMITTED),
        ("info", False, True, COMMITTED),
        ("info", False, False, UNKNOWN),
        ("info", True, False, ABORTED),
        ("fail", None, False, ABORTED),
    ],
)
def test_what_became_of_an_attempt_is_what_settling_says(
    *, outcome: str, ended: bool | None, effects: bool, expected: int
) -> None:
    """An effect makes it committed, a backend that has ended without one aborted."""
    draft = race(deduct(0, 5))
    draft.attempt_of(0).update(outcome=outcome, backend_ended=ended)
    if not effects:
        draft.effects.clear()
    assert [expected] == native(draft).status.tolist()


def test_among_writers_an_attempt_without_effects_counts_as_aborted() -> None:
    """It only read."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.effects.pop()
    assert [COMMITTED, ABORTED] == native(draft, writers_only=True).status.tolist()


@pytest.mark.parametrize("change", [{"writer": 999}, {"seq": 7}, {"seq": 0}])
def test_a_read_that_no_committed_effect_bears_out_has_no_version(change: Row) -> None:
    """Another writer, another seq, or the initial state by somebody: nobody knows what was read."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.read_of(1).update(change)
    assert ["r0@0 w0@1", "r0@-1 w0@2"] == story(native(draft))


def test_a_read_is_borne_out_by_any_effect_at_its_seq() -> None:
    """Two writers installed seq 1: whose state it was, its writer says."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1))
    draft.effects[1]["seq"] = 1
    for writer in draft.effects[:2]:
        draft.read_of(2).update(seq=1, writer=writer["writer"])
        assert "r0@1 w0@3" == story(native(draft))[2]


def test_a_read_of_a_row_that_is_not_there_reads_nothing() -> None:
    """A statement that matched no row, and one that only asks for a lock, are no reads."""
    draft = race(deduct(7, 5))
    draft.accesses.append({**draft.accesses[0], "mode": "l", "key": "0"})
    assert [""] == story(native(draft))


def test_a_statement_that_matched_no_row_wrote_nothing() -> None:
    """The write that made the effect is the one that matched."""
    draft = race(deduct(0, 5))
    read, write = draft.accesses
    draft.accesses = [{**write, "rows": 0}, read, write]
    assert ["r0@0 w0@1"] == story(native(draft))


def test_an_attempt_s_nth_write_of_a_row_made_its_nth_effect() -> None:
    """Reads stand between the writes where the attempt made them."""
    draft = race(deduct(0, 5), deduct(0, 3))
    token = draft.attempt_of(0)["token"]
    read, write = draft.accesses[:2]
    draft.effects[1].update(writer=token, operation=0, txid=draft.effects[0]["txid"])
    draft.accesses = [read, write, {**read, "seq": 1, "writer": token}, write]
    draft.drop(1)
    assert ["r0@0 w0@1 r0@1 w0@2"] == story(native(draft))


def test_effects_whose_writes_nobody_recorded_stand_at_the_end() -> None:
    """A killed process told nothing of its reads, and a swallowed access nothing of where its write was."""
    draft = race(transfer(0, 1, 3), deduct(0, 3))
    draft.accesses = [each for each in draft.accesses if (each["mode"], each["key"]) != ("w", "0")]
    assert ["r0@0 r1@0 w1@1 w0@1", "r0@1 w0@2"] == story(native(draft))
    draft.crash(0)
    assert ["w0@1 w1@1", "r0@1 w0@2"] == story(native(draft))


def test_without_accesses_every_attempt_still_has_its_effects() -> None:
    """However few accesses there are beside them."""
    draft = race(transfer(0, 1, 3), transfer(1, 2, 3), deduct(2, 3))
    draft.accesses.clear()
    assert ["w0@1 w1@1", "w1@2 w2@1", "w2@2"] == story(native(draft))


def test_rows_keep_their_numbers() -> None:
    """Those of the history's columns, whoever wrote them."""
    assert ["r1@0 w1@1", "r0@0 w0@1"] == story(native(race(deduct(1, 5), grant(0, 3))))


def test_writers_that_no_journal_tells_of_are_committed_transactions_without_session_or_time() -> None:
    """Their effects are there, and that is all that is known."""
    draft = race(transfer(0, 1, 3), deduct(0, 3))
    draft.drop(0)
    history = native(draft)
    (stranger,) = np.flatnonzero(history.session < 0).tolist()
    assert "w0@1 w1@1" == story(history)[stranger]
    found = (history.status[stranger], history.invoke[stranger], history.complete[stranger])
    assert (COMMITTED, -NEVER, NEVER) == found


def test_without_a_token_the_database_s_transaction_tells_writers_apart() -> None:
    """Two transactions of nobody are two."""
    draft = race(transfer(0, 1, 3), deduct(0, 3), deduct(0, 2))
    for effect in draft.effects:
        effect.update(writer=0, operation=-1)
    draft.attempts.clear()
    draft.accesses.clear()
    assert {"w0@1 w1@1", "w0@2", "w0@3"} == set(story(native(draft)))


def sessions(draft: Draft) -> list[int]:
    """The session of each operation's only attempt."""
    history = native(draft)
    number = {history.names.details(txn)["operation"]: txn for txn in range(len(history.status))}
    return [int(history.session[number[operation]]) for operation in sorted(number)]


FOUR = (deduct(0, 1), deduct(1, 1), deduct(0, 2), deduct(1, 2))


def test_a_session_is_a_slot_of_a_process() -> None:
    """Its attempts stand in the order of its clock."""
    assert [0, 1, 0, 1] == sessions(race(*FOUR))
    draft = race(*FOUR)
    draft.attempt_of(2)["slot"] = 1
    assert [0, 2, 1, 2] == sessions(draft)


@pytest.mark.parametrize("end", [None, 0])
def test_a_session_ends_at_an_attempt_of_unknown_outcome(end: int | None) -> None:
    """With an effect too: it may have committed after the next one began."""
    draft = race(*FOUR)
    attempt = draft.attempt_of(0)
    attempt.update(outcome="info", end_ns=None if end is None else attempt["end_ns"])
    assert [0, 2, 1, 2] == sessions(draft)


def test_a_session_ends_at_an_attempt_that_claims_no_effect_and_has_one() -> None:
    """Nobody knows when it committed."""
    draft = race(*FOUR)
    draft.attempt_of(0).update(outcome="fail", reason="error")
    assert [0, 2, 1, 2] == sessions(draft)


def test_attempts_that_overlap_are_no_session() -> None:
    """They are not one after the other, whatever their slot says."""
    draft = race(*FOUR)
    draft.attempt_of(2)["start_ns"] = draft.attempt_of(0)["end_ns"] - 1
    assert [0, 2, 1, 2] == sessions(draft)
    draft.attempt_of(2)["start_ns"] = draft.attempt_of(0)["end_ns"]
    assert [0, 1, 0, 1] == sessions(draft)


def times(draft: Draft, operation: int = 0) -> tuple[int, int]:
    """The bounds of the operation's first transaction, from the race's beginning."""
    history = native(draft)
    number = next(n for n in range(len(history.status)) if history.names.details(n).get("operation") == operation)
    return int(history.invoke[number]) - ZERO, int(history.complete[number]) - ZERO


def test_the_clocks_error_widens_a_transaction_s_time() -> None:
    """It began no earlier and ended no later, by a clock that drifts by 100 microseconds a second."""
    end = TURN_NS + TURN_NS // 2
    assert (-ERROR, end + ERROR + end // 10_000) == times(race(deduct(0, 5), deduct(0, 3)))


def test_on_one_clock_times_are_exact() -> None:
    """Nothing is mapped, and nothing is added."""
    start = -OFFSETS[1]
    assert (start, start + TURN_NS + TURN_NS // 2) == times(race(deduct(0, 5)))


@pytest.mark.parametrize("outcome", ["info", "fail"])
def test_an_attempt_without_an_answer_to_its_commit_never_completes(outcome: str) -> None:
    """Its effect may have come at any time after."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.attempt_of(0)["outcome"] = outcome
    assert (-ERROR, NEVER - ZERO) == times(draft)


def test_a_crashed_attempt_never_completes() -> None:
    """Its process left no end."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.crash(0)
    assert (-ERROR, NEVER - ZERO) == times(draft)


def test_a_process_without_clock_readings_has_no_times() -> None:
    """So no order in time is claimed."""
    draft = race(deduct(0, 5), deduct(0, 3))
    del draft.clocks[0]
    assert (-NEVER - ZERO, NEVER - ZERO) == times(draft)
    assert -ERROR + TURN_NS - TURN_NS // 10_000 == times(draft, 1)[0]


def test_reads_outside_the_transaction_are_transactions_of_their_own() -> None:
    """Each before the transaction and in its session, committed even where that was not."""
    draft = race(transfer(0, 1, 3), transfer(0, 1, 200))
    history = native(draft, apart=True)
    assert ["r0@0", "r1@0", "w0@1 w1@1", "r0@1", "r1@1", ""] == story(history)
    assert [0, 0, 0, 1, 1, 1] == history.session.tolist()
    assert [*[COMMITTED] * 5, ABORTED] == history.status.tolist()


def test_a_read_after_a_write_is_the_transaction_s_own() -> None:
    """It stands inside."""
    draft = race(deduct(0, 5))
    read, write = draft.accesses
    draft.accesses = [read, write, {**read, "seq": 1, "writer": read["token"] or draft.attempts[0]["token"]}]
    assert ["r0@0", "w0@1 r0@1"] == story(native(draft, apart=True))


def test_a_read_outside_ends_where_its_attempt_s_next_statement_is_sent() -> None:
    """The last statement of an attempt ends with it."""
    draft = race(transfer(0, 1, 3))
    first, second, write, _ = draft.accesses
    second["at_ns"] = first["at_ns"] + 10
    history = native(draft, apart=True)
    assert [first["at_ns"], second["at_ns"], draft.attempts[0]["start_ns"]] == history.invoke.tolist()
    assert [second["at_ns"], write["at_ns"], draft.attempts[0]["end_ns"]] == history.complete.tolist()
    draft.accesses = draft.accesses[:1]
    draft.refuse(0, "error")
    draft.effects.clear()
    assert draft.attempts[0]["end_ns"] == native(draft, apart=True).complete[0]


PLANS = st.lists(st.builds(transfer, st.integers(0, 1), st.just(2), st.integers(1, 60)), min_size=5, max_size=25)


@given(
    planned=PLANS,
    seed=st.integers(0, 10**6),
    isolation=st.sampled_from(("read committed", "repeatable read")),
    lost=st.sets(st.integers(0, 24), max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_numbers_rise_in_every_session_and_along_the_writers_of_every_row(
    planned: list[tuple[str, Row]], seed: int, isolation: str, lost: set[int]
) -> None:
    """Whatever happened to the workers, and to their journals: so nothing has to be sorted again."""
    draft = storm(planned, seed, isolation=isolation)
    for operation in lost:
        draft.drop(operation)
    history = native(draft, apart=True)
    writes = np.flatnonzero(history.write)
    by_row = writes[np.lexsort((history.version[writes], history.row[writes]))]
    same = np.diff(history.row[by_row]) == 0
    assert (np.diff(history.txn[by_row])[same] >= 0).all()
    started = {attempt["token"]: attempt["start_ns"] for attempt in draft.attempts}
    for session in range(int(history.session.max()) + 1):
        members = np.flatnonzero(history.session == session).tolist()
        starts = [started[history.names.details(member)["token"]] for member in members]
        assert sorted(starts) == starts


@given(planned=PLANS, seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_bounds_hold_what_happened(planned: list[tuple[str, Row]], seed: int) -> None:
    """The trigger's time lies within every transaction's."""
    draft = storm(planned, seed)
    history = native(draft)
    at = {effect["writer"]: effect["at_us"] * 1000 for effect in draft.effects}
    moments = [at.get(history.names.details(number)["token"]) for number in range(len(history.status))]
    for number, moment in enumerate(moments):
        assert moment is None or history.invoke[number] <= moment <= history.complete[number]
