"""Losses and duplicates, each named, with the fault that fell into a loss's window and what the second attempt ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier.blame import Blame
from orchestrator.verifier.columns import prepare
from orchestrator.verifier.verdict import Named, Value
from tests.unit.histories import TURN_NS, check, deduct, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft

#: When operation 2's attempt begins and ends, by the database's clock.
BEGAN_US = 10**12 + 2 * TURN_NS // 1000
ENDED_US = BEGAN_US + 1_500

POP = "without an attempt it is consistent with a loss between the broker's pop and its note in `unacked`."


@pytest.fixture
def draft() -> Draft:
    """Operation 2 has one attempt, on node-1, which left no end and no effect."""
    draft = race(grant(0, 1), deduct(1, 5), grant(2, 1))
    draft.crash(2, backend_ended=True)
    draft.effects.pop()
    return draft


def strike(draft: Draft, name: str, struck_us: int, detail: str | None = None, healed_us: int | None = None) -> None:
    """Write a fault down."""
    draft.faults.append({"name": name, "struck_us": struck_us, "healed_us": healed_us, "detail": detail})


def blamed(draft: Draft) -> tuple[tuple[str, ...], str]:
    """The faults and the story of the last operation, which is the only lost one."""
    (named,) = check(draft, "lost operations").named
    assert check(draft, "lost operations").witnesses[0].sentence.endswith(f"it is lost. {named.note}")
    return named.faults, named.note


def test_a_loss_is_laid_to_the_next_strike_after_its_last_attempt_began(draft: Draft) -> None:
    """Not to the one before, nor to later ones; the worker is named with its host."""
    strike(draft, "pause", BEGAN_US + 9_000, "node2 got SIGSTOP")
    strike(draft, "kill-node", BEGAN_US + 1_000, "node1 got SIGKILL")
    strike(draft, "kill-child", BEGAN_US - 1_000, "node1's child 999 got SIGKILL")
    story = "Its last attempt began on node-1 (host here), pid 101; kill-node struck 0.001 s later (node1 got SIGKILL)."
    assert (("kill-node",), story) == blamed(draft)


def test_a_strike_that_names_the_attempt_s_process_is_likelier_than_the_next_one(draft: Draft) -> None:
    """As a whole number: pid 1011 is another process."""
    strike(draft, "restart-broker", BEGAN_US + 1_000)
    strike(draft, "kill-child", BEGAN_US + 2_000, "node-1's child 1011 got SIGKILL")
    assert ("restart-broker",) == blamed(draft)[0]
    strike(draft, "kill-child", BEGAN_US + 3_000, "node-1's child 101 got SIGKILL")
    assert "kill-child struck 0.003 s later (node-1's child 101 got SIGKILL)." in blamed(draft)[1]


def test_the_first_strike_within_the_window_that_names_the_process_counts(draft: Draft) -> None:
    """Those before the window are none of it, and later ones found the process gone."""
    strike(draft, "partition", BEGAN_US - 9_000, "pid 101 reconnects", BEGAN_US - 8_000)
    strike(draft, "kill-child", BEGAN_US + 2_000, "node-1's child 101 got SIGKILL")
    strike(draft, "kill-node", BEGAN_US + 4_000, "node-1 got SIGKILL, and 101 went with it")
    assert ("kill-child",) == blamed(draft)[0]
    del draft.faults[1:]
    assert ((), "No fault struck after that, and none was in force.") == blamed(draft)


def test_a_strike_at_the_very_moment_struck_no_time_later(draft: Draft) -> None:
    """It was not in force before."""
    strike(draft, "kill-child", BEGAN_US)
    assert blamed(draft)[1].endswith("pid 101; kill-child struck 0.000 s later.")


def test_a_strike_that_names_the_process_may_have_begun_before_the_attempt(draft: Draft) -> None:
    """Its time is read before it looks for whom to strike."""
    strike(draft, "kill-child", BEGAN_US - 9_000, "node-1's child 101 got SIGKILL", BEGAN_US - 8_000)
    strike(draft, "kill-child", BEGAN_US + 2_000_000, "node-1's child 999 got SIGKILL", BEGAN_US + 2_001_000)
    assert "kill-child struck 2.000 s later (node-1's child 999 got SIGKILL)." in blamed(draft)[1]
    strike(draft, "kill-child", BEGAN_US - 500, "node-1's child 101 got SIGKILL", BEGAN_US + 3_000)
    assert blamed(draft)[1].endswith("pid 101; kill-child was in force (node-1's child 101 got SIGKILL).")


def test_a_fault_that_was_in_force_is_named_where_none_struck_afterwards(draft: Draft) -> None:
    """The last one that had not been healed."""
    strike(draft, "partition", BEGAN_US - 9_000, "node1 - broker", BEGAN_US + 50_000)
    strike(draft, "pause", BEGAN_US - 8_000, "node2", BEGAN_US - 1_000)
    strike(draft, "kill-child", BEGAN_US - 7_000)
    faults, story = blamed(draft)
    assert (("partition",), True) == (faults, story.endswith("pid 101; partition was in force (node1 - broker)."))


@pytest.mark.parametrize(("healed_us", "faults"), [(BEGAN_US, ("partition",)), (BEGAN_US - 1, ())])
def test_a_fault_is_in_force_until_it_is_healed(draft: Draft, healed_us: int, faults: tuple[str, ...]) -> None:
    """At the moment of healing, it still is."""
    strike(draft, "partition", BEGAN_US - 9_000, None, healed_us)
    assert faults == blamed(draft)[0]


def test_nothing_is_blamed_where_nothing_fell_into_the_window(draft: Draft) -> None:
    """And where nothing was broken at all, nothing is said of it."""
    assert check(draft, "lost operations").witnesses[0].sentence.endswith("running: it is lost.")
    strike(draft, "kill-child", BEGAN_US - 9_000)
    assert ((), "No fault struck after that, and none was in force.") == blamed(draft)


def test_an_attempt_that_ended_counts_from_its_end(draft: Draft) -> None:
    """Its retry was lost after that."""
    attempt = draft.attempt_of(2)
    attempt.update(outcome="fail", reason="serialization", end_ns=attempt["start_ns"] + 3 * TURN_NS // 2)
    strike(draft, "kill-child", BEGAN_US + 100)
    strike(draft, "restart-broker", ENDED_US + 2_000)
    story = "Its last attempt ended on node-1 (host here), pid 101; restart-broker struck 0.002 s later."
    assert (("restart-broker",), story) == blamed(draft)


def test_without_an_attempt_all_that_struck_is_told(draft: Draft) -> None:
    """The most frequent first, and what that is consistent with."""
    draft.drop(2)
    for name in ("restart-broker", "kill-in-pop", "kill-in-pop"):
        strike(draft, name, BEGAN_US)
    struck = "In its window, which is the run, struck: kill-in-pop 2 times, restart-broker 1 time; "
    assert (("kill-in-pop", "restart-broker"), struck + POP) == blamed(draft)


def test_without_a_clock_all_that_struck_is_told(draft: Draft) -> None:
    """The attempt's time means nothing beside that of faults."""
    draft.clocks.clear()
    strike(draft, "kill-child", BEGAN_US)
    story = "No clock tells which fault fell into its last attempt; kill-child 1 time struck."
    assert (("kill-child",), story) == blamed(draft)


def test_a_strike_within_the_clock_s_error_is_not_ruled_out(draft: Draft) -> None:
    """The attempt may have begun before it."""
    for clock in draft.clocks:
        clock["error_ns"] = TURN_NS
    strike(draft, "kill-child", BEGAN_US - 500)
    assert (("kill-child",), True) == (blamed(draft)[0], blamed(draft)[1].endswith("kill-child was in force."))


@pytest.mark.parametrize(("error_ns", "faults"), [(1_000, ("kill-child",)), (999, ())])
def test_strikes_are_told_to_the_microsecond(draft: Draft, error_ns: int, faults: tuple[str, ...]) -> None:
    """So what struck a microsecond before the clock's error did, perhaps, strike within it."""
    for clock in draft.clocks:
        clock.update(mono_ns=draft.attempt_of(2)["start_ns"], error_ns=error_ns)
    strike(draft, "kill-child", BEGAN_US - 2)
    assert faults == blamed(draft)[0]


def test_a_clock_may_read_zero_when_an_attempt_ends(draft: Draft) -> None:
    """That is an end like any other."""
    draft.processes.append({"process": 3, "node": "node-3", "host": "there", "pid": 103, "pool": "prefork"})
    draft.clocks.append({"process": 3, "mono_ns": 0, "offset_ns": ENDED_US * 1000, "error_ns": 1000})
    draft.attempt_of(2).update(process=3, start_ns=-TURN_NS, end_ns=0, outcome="fail", reason="serialization")
    strike(draft, "restart-broker", ENDED_US + 1_000)
    story = "Its last attempt ended on node-3 (host there), pid 103; restart-broker struck 0.001 s later."
    assert story == blamed(draft)[1]


def test_the_first_attempt_of_all_is_an_attempt() -> None:
    """Its place is zero, which is no sign of there being none."""
    draft = race(grant(0, 1), deduct(1, 5))
    draft.crash(0, backend_ended=True)
    draft.effects.pop(0)
    strike(draft, "kill-child", BEGAN_US)
    assert blamed(draft)[1].endswith("pid 101; kill-child struck 0.002 s later.")


def test_an_attempt_of_an_unknown_process_has_no_worker_to_name(draft: Draft) -> None:
    """Its clock may be known all the same."""
    draft.processes.clear()
    strike(draft, "kill-child", BEGAN_US + 1_000, "pid 0")
    assert "began on an unknown node, pid unknown; kill-child struck" in Blame(prepare(draft.history())).of(2).sentence


def test_a_fault_that_never_struck_hides_no_loss(draft: Draft) -> None:
    """All was gathered, so what is missing is lost; a gap in what was gathered may hold it."""
    draft.meta["unmet"] = ("fault kill-node:at=9s never struck",)
    assert Value.INVALID == check(draft, "lost operations").value
    draft.meta["gaps"] = ("a journal is missing",)
    assert Value.UNKNOWN == check(draft, "lost operations").value


def test_every_loss_is_named(draft: Draft) -> None:
    """However many there are; witnesses are the first ten."""
    for _ in range(20):
        draft.add_operation(grant(0, 1))
    found = check(draft, "lost operations")
    assert ([*range(2, 23)], 21, 10) == ([each.operation for each in found.named], found.found, len(found.witnesses))


REDELIVERED = "the second one ran a redelivery"
MARKED = "the second one ran a message that was not marked as redelivered"
RETRIED = "the second one was attempt 2 of its delivery: a retry"


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"redelivered": True, "attempt": 1}, REDELIVERED),
        ({"redelivered": True, "attempt": 2}, REDELIVERED),
        ({"redelivered": False, "attempt": 2}, RETRIED),
        ({"redelivered": False, "attempt": 1}, MARKED),
    ],
)
def test_a_duplicate_says_what_its_second_attempt_ran(changes: dict[str, Any], note: str) -> None:
    """By time, not by token."""
    draft = race(grant(0, 1), grant(0, 1))
    draft.attempt_of(1).update(operation=0, token=1, **changes)
    draft.effects_of(1)[0].update(operation=0, writer=1)
    found = check(draft, "applied once")
    assert (Named(operation=0, anomaly="applied-twice", note=note),) == found.named
    assert found.witnesses[0].sentence.startswith("Operation 0 (grant 1 to users/0) was applied twice: A (")
    assert found.witnesses[0].sentence.endswith(f" in transaction 1001. {note.capitalize()}.")


def test_a_duplicate_of_the_first_attempt_of_all_is_a_retry() -> None:
    """Unless its delivery's first attempt was never heard of: then nobody knows what came before."""
    draft = race(grant(0, 1), grant(0, 1))
    draft.attempt_of(1).update(operation=0, attempt=2)
    draft.effects_of(1)[0].update(operation=0)
    assert [RETRIED] == [each.note for each in check(draft, "applied once").named]
    draft.effects[0].update(writer=99)
    assert [MARKED] == [each.note for each in check(draft, "applied once").named]


def test_a_duplicate_of_one_attempt_or_of_an_unheard_one_is_said_to_be_so() -> None:
    """There is no second attempt to tell of."""
    draft = race(grant(0, 1), grant(0, 1))
    draft.effects_of(1)[0].update(operation=0, writer=draft.attempts[0]["token"])
    assert ["both transactions are one attempt's"] == [each.note for each in check(draft, "applied once").named]
    draft.effects_of(0)[1].update(writer=99)
    assert ["the second one's attempt is not in the history"] == [
        each.note for each in check(draft, "applied once").named
    ]


def test_every_duplicate_is_named() -> None:
    """However many there are, each once; witnesses are the first ten."""
    draft = race(*(grant(0, 1) for _ in range(36)))
    for number in range(12, 36):
        draft.effects_of(number)[0].update(operation=number % 12)
        draft.attempts[number].update(operation=number % 12)
    found = check(draft, "applied once")
    assert ([*range(12)], 12, 10) == ([each.operation for each in found.named], found.found, len(found.witnesses))
    assert "was applied 3 times: A (" in found.witnesses[0].sentence
