"""Isolation kept: what the level prohibits did not happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Value, verify
from tests.unit.histories import check, deduct, race

if TYPE_CHECKING:
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
    assert found.witnesses[0].anomaly == "aborted-read"


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
    assert check(draft, "isolation kept").value is Value.INVALID


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
    assert found.witnesses[0].anomaly == "dirty-write"


def test_writes_without_reads_are_looked_at_too() -> None:
    """Statements that read and write at once each start where the last commit ended."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.accesses.clear()
    assert (
        check(draft, "isolation kept").summary == "read committed: 0 reads of others' writes and 1 overwrite looked at"
    )


def test_nothing_is_said_where_nobody_met_anothers_write() -> None:
    """Nothing looked at is UNKNOWN."""
    assert check(race(deduct(0, 5)), "isolation kept").value is Value.UNKNOWN


def test_nothing_is_said_of_reads_where_not_all_was_gathered() -> None:
    """The write may be among what is missing."""
    draft = race(deduct(0, 5), deduct(0, 3), drained=False)
    draft.read_of(1)["writer"] = 999
    assert check(draft, "isolation kept").value is Value.UNKNOWN
