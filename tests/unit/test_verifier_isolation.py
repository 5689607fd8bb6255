"""Isolation kept: what the level prohibits did not happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from orchestrator.verifier import Facts, Value, judge, verify
from orchestrator.verifier.isolation import isolation_kept
from tests.unit.histories import check, deduct, grant, race
from tests.unit.skews import circular, read_skew, stale_in_session, stale_in_time, write_skew

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft


def stale(isolation: str, strategy: str = "naive") -> Draft:
    """A lost update at this level."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1), isolation=isolation, strategy=strategy)
    draft.read_of(2).update(seq=1, writer=draft.effects[0]["writer"])
    return draft


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_reads_of_committed_writes_keep_every_level(isolation: str) -> None:
    """What a correct store did contradicts no level."""
    draft = race(deduct(0, 5), deduct(0, 3), isolation=isolation)
    assert check(draft, "isolation kept").value is Value.VALID


@pytest.mark.parametrize(
    ("isolation", "strategy", "expected"),
    [
        ("read committed", "naive", Value.VALID),
        ("repeatable read", "naive", Value.INVALID),
        ("serializable", "naive", Value.INVALID),
        ("repeatable read", "naive-autocommit", Value.VALID),
        ("serializable", "naive-autocommit", Value.VALID),
    ],
)
def test_a_lost_update_contradicts_the_levels_above_read_committed(
    isolation: str, strategy: str, expected: Value
) -> None:
    """Unless its read was outside the transaction, where no level protects it; the data is inconsistent anyway."""
    verdict = verify(stale(isolation, strategy).history())
    assert verdict.isolation.value is expected
    assert verdict.value is Value.INVALID


def test_a_read_of_a_write_that_was_never_committed_contradicts_every_level() -> None:
    """G1a, aborted read."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.read_of(1)["writer"] = 999
    found = check(draft, "isolation kept")
    assert found.value is Value.INVALID
    (witness,) = found.witnesses
    assert ("aborted-read", (draft.attempt_of(1)["token"],)) == (witness.anomaly, witness.attempts)
    assert witness.sentence == (
        "A read users/0 at seq 1, written by token 999, but no such state was ever committed. A is operation 1 (deduct"
        " 3 from users/0) on node-2, pid 102, slot 0."
    )


@pytest.mark.parametrize("seq", [7, 2])
def test_a_read_of_a_seq_that_its_writer_never_wrote_contradicts_every_level(seq: int) -> None:
    """The writer committed another seq of the row; that is not what was read."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1))
    draft.read_of(1)["seq"] = seq
    assert check(draft, "isolation kept").found == 1


def test_a_read_of_a_write_without_any_effects_contradicts_every_level() -> None:
    """Where nothing was committed, nothing can be read."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.effects.clear()
    assert check(draft, "isolation kept").found == 1


def test_a_read_of_a_write_that_its_own_transaction_overwrote_contradicts_every_level() -> None:
    """G1b, intermediate read: the first of two writes in one transaction was never a committed state."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1))
    draft.drop(1)
    first, second = draft.effects[:2]
    second.update(writer=first["writer"], txid=first["txid"])
    draft.read_of(2)["writer"] = first["writer"]
    assert check(draft, "isolation kept").value is Value.VALID
    draft.read_of(2)["seq"] = first["seq"]
    found = check(draft, "isolation kept")
    assert found.value is Value.INVALID
    assert ["aborted-read"] == [witness.anomaly for witness in found.witnesses]
    assert "prohibited: " not in found.summary


def test_what_was_found_counts_where_not_all_was_gathered() -> None:
    """A prohibited lost update is proven by what is there."""
    draft = stale("repeatable read")
    draft.meta["drained"] = False
    assert check(draft, "isolation kept").value is Value.INVALID


def test_an_attempt_may_read_its_own_uncommitted_write() -> None:
    """It is no dirty read, whatever became of the attempt."""
    draft = race(deduct(0, 5), deduct(0, 3))
    token = draft.attempt_of(1)["token"]
    draft.accesses.append({**draft.read_of(1), "seq": 9, "writer": token})
    assert check(draft, "isolation kept").value is Value.VALID


def test_a_write_over_what_was_never_committed_contradicts_every_level() -> None:
    """G0, dirty write: the trigger saw another state than the last commit left."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.effects[1]["before"] = '{"id": 0, "credits": 1}'
    draft.accesses.clear()
    found = check(draft, "isolation kept")
    assert found.value is Value.INVALID
    (witness,) = found.witnesses
    assert ("dirty-write", (draft.attempt_of(1)["token"],)) == (witness.anomaly, witness.attempts)
    assert witness.sentence == (
        "A changed users/0 at seq 2 from credits 1, but that is not what the commit of seq 1 left. A is operation 1"
        " (deduct 3 from users/0) on node-2, pid 102, slot 0."
    )


def test_writes_without_reads_are_looked_at_too() -> None:
    """Statements that read and write at once each start where the last commit ended."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.accesses.clear()
    found = check(draft, "isolation kept")
    assert found.value is Value.VALID
    assert found.summary == (
        "read committed: 0 reads of others' writes and 1 overwrite looked at; no anomaly that it prohibits; strongest"
        " model that holds: strong-serializable"
    )


def test_nothing_is_said_where_nobody_met_anothers_write() -> None:
    """Nothing looked at is UNKNOWN."""
    assert check(race(deduct(0, 5)), "isolation kept").value is Value.UNKNOWN


def test_nothing_is_said_of_reads_where_not_all_was_gathered() -> None:
    """The write may be among what is missing."""
    draft = race(deduct(0, 5), deduct(0, 3), drained=False)
    draft.read_of(1)["writer"] = 999
    assert check(draft, "isolation kept").value is Value.UNKNOWN


@pytest.mark.parametrize(
    ("draft", "isolation", "prohibited"),
    [
        (circular, "read committed", True),
        (circular, "serializable", True),
        (read_skew, "read committed", False),
        (read_skew, "repeatable read", True),
        (read_skew, "serializable", True),
        (write_skew, "read committed", False),
        (write_skew, "repeatable read", False),
        (write_skew, "serializable", True),
        (stale_in_session, "serializable", False),
        (stale_in_time, "serializable", False),
    ],
)
def test_each_level_prohibits_its_cycles(draft: Callable[..., Draft], isolation: str, *, prohibited: bool) -> None:
    """Repeatable read is snapshot isolation, which permits write skew; none of them promises an order in time."""
    found = check(draft(isolation=isolation), "isolation kept")
    assert found.value is (Value.INVALID if prohibited else Value.VALID)
    assert (prohibited, prohibited) == (found.found == 1, len(found.witnesses) == 1)
    assert ("; prohibited: " in found.summary) is prohibited
    assert ("; no anomaly that it prohibits; found, and permitted: " in found.summary) is not prohibited


def test_what_survived_is_told_with_what_was_found() -> None:
    """So that a level kept is a statement with evidence."""
    assert check(write_skew(isolation="repeatable read"), "isolation kept").summary == (
        "repeatable read: 1 read of others' writes and 1 overwrite looked at; no anomaly that it prohibits; found, and"
        " permitted: at least 1 G2-item; strongest model that holds: strong-snapshot-isolation"
    )
    assert check(write_skew(isolation="serializable"), "isolation kept").summary == (
        "serializable: 1 read of others' writes and 1 overwrite looked at; prohibited: at least 1 G2-item; strongest"
        " model that holds: strong-snapshot-isolation"
    )


def test_of_several_strongest_models_all_are_told() -> None:
    """Neither implies the other."""
    summary = check(stale_in_session(), "isolation kept").summary
    assert summary.endswith("; strongest model that holds: serializable and strong-read-committed")


def test_a_witness_of_a_cycle_names_its_attempts() -> None:
    """Beside the transactions and the steps."""
    draft = write_skew(isolation="serializable")
    (witness,) = check(draft, "isolation kept").witnesses
    assert {draft.attempt_of(operation)["token"] for operation in (0, 1)} == set(witness.attempts)
    assert ["rw", "rw"] == [step.kind for step in witness.steps]


def test_lost_updates_and_dirty_reads_are_told_in_their_own_words() -> None:
    """What the judgement calls so is not counted again; the cycle that a lost update is has a name of its own."""
    found = check(stale("repeatable read"), "isolation kept")
    assert ["lost-update", "G-single-item"] == [witness.anomaly for witness in found.witnesses]
    assert found.found == 2
    assert "; 0 uncommitted read, 0 overwritten, 1 prohibited lost updates; prohibited: at least 1 G-" in found.summary


def test_a_lost_update_is_told_once_where_it_is_permitted() -> None:
    """With the reason; the other names of it are permitted as well."""
    assert check(stale("read committed"), "isolation kept").summary == (
        "read committed: 2 reads of others' writes and 2 overwrites looked at; 1 lost update not held against it: the"
        " level permits them; no anomaly that it prohibits; found, and permitted: at least 1 G-single-item; strongest"
        " model that holds: strong-read-committed"
    )


def test_reads_outside_the_transaction_hold_nothing_against_any_level() -> None:
    """They are transactions of their own, and saw what was committed."""
    found = check(stale("serializable", "naive-autocommit"), "isolation kept")
    assert found.value is Value.VALID
    assert "1 lost update not held against it: their reads were outside the transaction" in found.summary
    assert "strongest model that holds: strong-serializable" in found.summary


def test_reads_outside_the_transaction_are_held_to_the_level_among_themselves() -> None:
    """A read that saw a write undone by time is told, and permitted."""
    draft = stale_in_time(isolation="serializable", strategy="naive-autocommit")
    assert "found, and permitted: at least 1 G-single-item-realtime" in check(draft, "isolation kept").summary


def test_a_prohibited_cycle_is_proof_where_not_all_was_gathered() -> None:
    """It is there; what is missing can't undo it."""
    found = check(read_skew(isolation="repeatable read", drained=False), "isolation kept")
    assert found.value is Value.INVALID
    assert "strongest" not in found.summary


def test_a_search_that_gave_up_leaves_the_level_open() -> None:
    """Unless it was for what the level permits."""
    for level, expected in (("repeatable read", Value.VALID), ("serializable", Value.UNKNOWN)):
        facts = Facts(race(deduct(0, 5), deduct(0, 3), isolation=level).history())
        sentence = "G2-item: the search among 9 transactions ended at its bound"
        facts.__dict__["dependencies"] = msgspec.structs.replace(facts.dependencies, gave_up=(sentence,))
        found = isolation_kept(facts)
        assert found.value is expected
        assert (sentence in found.summary) is (expected is Value.UNKNOWN)


def test_an_unknown_level_promises_the_least() -> None:
    """Nothing is held against a level that nobody knows."""
    assert check(circular(isolation="chaos"), "isolation kept").value is Value.VALID


def test_the_judgement_is_part_of_the_verdict() -> None:
    """Held to what the level promises, with the session's and the time's order looked at."""
    judgement = verify(write_skew(isolation="repeatable read").history()).dependencies
    assert judgement is not None
    assert ("snapshot-isolation", {"G2-item": 1}) == (judgement.level, judgement.anomalies)
    assert {"G0", "G2-item-process", "G2-item-realtime"} <= set(judgement.checked)
    assert all(witness.attempts for witness in judgement.witnesses)


def test_without_recording_nothing_is_judged() -> None:
    """There are no dependencies to look at."""
    verdict = verify(race(deduct(0, 5), deduct(0, 3), recording=False).history())
    assert verdict.dependencies is None
    assert "the data: nothing was recorded" in verdict.not_checked


def test_where_the_dependencies_can_t_be_worked_out_the_verdict_says_so() -> None:
    """The checks that need them are UNKNOWN; the others stand."""

    class Broken(Facts):
        @property
        def dependencies(self) -> None:  # type: ignore[override]
            raise MemoryError

    verdict = judge(Broken(race(deduct(0, 5), deduct(0, 3)).history()))
    assert verdict.dependencies is None
    assert verdict.isolation.value is Value.UNKNOWN
    assert ["dependencies"] == [each.name for each in verdict.checks if each.value is Value.UNKNOWN]
    assert "crashed: MemoryError" in verdict.isolation.summary


def test_what_the_dependencies_don_t_show_is_said() -> None:
    """Predicates, and whatever else was not recorded."""
    assert ["no predicate reads recorded"] == [
        sentence.partition(": ")[2] for sentence in verify(race(deduct(0, 5), grant(0, 3)).history()).not_checked
    ]
