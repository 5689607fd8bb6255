"""Dependencies: committed writers could have run one after another; what else there is, is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from orchestrator.verifier import Facts, Value, verify
from orchestrator.verifier.levels import listed, prohibited, undecided, witnesses
from orchestrator.verifier.serializable import serializable_writers
from orchestrator.verifier.verdict import Judgement, Witness
from tests.unit.histories import anomalies, check, deduct, grant, race, transfer
from tests.unit.skews import circular, read_skew, stale_in_session, stale_in_time, write_skew

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.verifier import Check
    from tests.unit.histories import Draft

NAME = "dependencies"


def held(draft: Draft, level: str | None = None) -> Check:
    """The check's finding, held to a level."""
    return next(check for check in verify(draft.history(), level).checks if check.name == NAME)


def test_writers_one_after_another_are_serializable() -> None:
    """And the order that shows it is told."""
    found = check(race(deduct(0, 5), transfer(0, 1, 3), grant(1, 2)), NAME)
    assert found.value is Value.VALID
    assert found.summary.startswith("3 committed writers: 4 dependencies among 3 committed transactions")


@pytest.mark.parametrize(
    ("draft", "anomaly"), [(read_skew, "G-single-item"), (write_skew, "G2-item"), (circular, "G1c")]
)
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_cycle_of_writers_is_inconsistent_at_every_level(
    draft: Callable[..., Draft], anomaly: str, isolation: str
) -> None:
    """Whether the level permits it or not."""
    found = check(draft(isolation=isolation), NAME)
    assert found.value is Value.INVALID
    assert found.found == 1
    assert [anomaly] == [witness.anomaly for witness in found.witnesses]
    assert f"1 {anomaly}" in found.summary


def test_a_witness_tells_attempts_operations_workers_and_steps() -> None:
    """All that is known, as data."""
    draft = read_skew()
    (witness,) = check(draft, NAME).witnesses
    tokens = {draft.attempt_of(operation)["token"]: operation for operation in (0, 1)}
    assert set(tokens) == set(witness.attempts)
    assert [tokens[token] for token in witness.attempts] == list(witness.operations)
    assert {"rw", "wr"} == {step.kind for step in witness.steps}
    assert {"node-1", "node-2"} == {each.details["node"] for each in witness.transactions}
    assert "at seq 1 (credits 103)" in witness.sentence
    assert "operation 0 (transfer 3 from users/0 to users/1) on node-1, pid 101, slot 0" in witness.sentence


def test_a_lost_update_is_a_cycle_too() -> None:
    """Both names are told, the first witness of each before the second of any."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1), deduct(0, 2))
    for operation in (1, 2, 3):
        draft.read_of(operation).update(seq=0, writer=0)
    found = check(draft, NAME)
    assert [{"G-single-item", "lost-update"}] * 2 == [
        {witness.anomaly for witness in found.witnesses[at : at + 2]} for at in (0, 2)
    ]


def test_who_only_read_is_not_judged() -> None:
    """Attempts that claim to be done and changed nothing saw half of a transfer: no writer is concerned."""
    draft = read_skew()
    draft.effects = draft.effects_of(0)
    found = check(draft, NAME)
    assert found.value is Value.VALID
    assert found.summary.endswith("; seen by reads alone, not judged: at least 1 G-single-item, 1 garbage-read")


@pytest.mark.parametrize("draft", [stale_in_session, stale_in_time])
def test_a_stale_read_is_reported_and_not_judged(draft: Callable[..., Draft]) -> None:
    """Its session, or its time, says that it was stale; another order of the writers explains it."""
    found = check(draft(), NAME)
    suffix = "process" if draft is stale_in_session else "realtime"
    assert found.value is Value.VALID
    assert f"; reported, not judged: at least 1 G-single-item-{suffix}" in found.summary


@pytest.mark.parametrize(
    ("draft", "level", "expected"),
    [
        (stale_in_time, "serializable", Value.VALID),
        (stale_in_time, "strong-session-serializable", Value.VALID),
        (stale_in_time, "strict-serializable", Value.INVALID),
        (stale_in_session, "serializable", Value.VALID),
        (stale_in_session, "strong-session-serializable", Value.INVALID),
        (stale_in_session, "strong-serializable", Value.INVALID),
        (write_skew, "read-committed", Value.INVALID),
    ],
)
def test_a_level_that_was_asked_for_is_held_to_as_well(
    draft: Callable[..., Draft], level: str, expected: Value
) -> None:
    """Beside what every run's data must keep."""
    verdict = verify(draft(min_overlaps=0).history(), level)
    assert verdict.value is expected
    found = next(check for check in verdict.checks if check.name == NAME)
    assert found.value is expected
    assert found.found == len(found.witnesses)
    assert (f"not {level}: " in found.summary) == (expected is Value.INVALID and draft is not write_skew)
    assert "reported" not in found.summary or expected is Value.VALID


def test_a_session_s_stale_read_breaks_a_guarantee_as_well() -> None:
    """It did not read what it had written."""
    found = held(stale_in_session(), "strong-session-serializable")
    assert ["read-your-writes-violation", "G-single-item-process"] == sorted(
        (witness.anomaly for witness in found.witnesses), key=len, reverse=True
    )


def test_reads_before_the_transaction_belong_to_their_writer() -> None:
    """That they were outside is no excuse: what was written rested on them."""
    draft = race(deduct(0, 5), deduct(0, 3), strategy="naive-autocommit", isolation="serializable")
    draft.read_of(1).update(seq=0, writer=0)
    found = check(draft, NAME)
    assert found.value is Value.INVALID
    assert {"lost-update", "G-single-item"} == {witness.anomaly for witness in found.witnesses}


def test_blind_writes_depend_on_each_other_too() -> None:
    """An atomic statement tells no read, and its order of writes is looked at."""
    draft = race(deduct(0, 5), deduct(0, 3))
    draft.accesses.clear()
    found = check(draft, NAME)
    assert found.value is Value.VALID
    assert found.summary.startswith("2 committed writers: 1 dependencies among 2 committed transactions")


def test_writers_that_share_nothing_are_serializable_in_any_order() -> None:
    """So is nobody at all: where no two depend on each other, no order can be wrong."""
    assert check(race(deduct(0, 5), deduct(1, 3)), NAME).value is Value.VALID
    assert check(race(), NAME).value is Value.VALID


def test_writers_of_which_nobody_knows_what_they_read_are_counted() -> None:
    """Killed processes, and those whose journals are missing."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(1, 2), deduct(2, 2))
    draft.crash(0)
    draft.drop(2)
    assert "; 2 writers with reads unknown" in check(draft, NAME).summary


def test_a_cycle_is_proof_where_not_all_was_gathered() -> None:
    """And where there is none, nothing is claimed."""
    assert check(read_skew(drained=False), NAME).value is Value.INVALID
    found = check(race(deduct(0, 5), deduct(0, 3), drained=False), NAME)
    assert found.value is Value.UNKNOWN
    assert found.summary.endswith("; not everything was gathered")


def test_a_version_that_nobody_wrote_proves_nothing_where_not_all_was_gathered() -> None:
    """Its writer may be among what is missing."""
    for drained, expected in ((True, Value.INVALID), (False, Value.UNKNOWN)):
        draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1), drained=drained)
        del draft.effects[1]
        assert check(draft, NAME).value is expected
        assert ("version-gap" in anomalies(draft, NAME)) == drained


def twice(version: int = 2, seq: int = 2) -> Draft:
    """Two attempts that installed the version."""
    draft = race(deduct(0, 5), deduct(0, 3), deduct(0, 1))
    draft.effects[1].update(version_after=version, seq=seq)
    return draft


@pytest.mark.parametrize(("drained", "expected"), [(True, Value.INVALID), (False, Value.UNKNOWN)])
def test_a_writer_that_read_what_was_never_committed_is_no_part_of_any_order(*, drained: bool, expected: Value) -> None:
    """Unless the write may be among what was not gathered."""
    draft = race(deduct(0, 5), deduct(1, 3), drained=drained)
    draft.read_of(1).update(seq=1, writer=999)
    found = check(draft, NAME)
    assert found.value is expected
    assert ["garbage-read"] * drained == [witness.anomaly for witness in found.witnesses]


def test_a_version_installed_twice_is_a_broken_compare_and_set() -> None:
    """Both attempts compared it with what they had read, and neither was refused."""
    found = check(draft := twice(), NAME)
    (witness,) = found.witnesses
    assert (Value.INVALID, 1, "duplicate-version", "users/0") == (
        found.value,
        found.found,
        witness.anomaly,
        witness.row,
    )
    assert (tuple(effect["writer"] for effect in draft.effects[:2]), (0, 1)) == (witness.attempts, witness.operations)
    assert witness.sentence.startswith(
        "A at seq 1 (credits 100 -> credits 95) and B at seq 2 (credits 95 -> credits 92) both installed version 2 of"
        " users/0"
    )
    assert "; 1 version installed twice (duplicate-version)" in found.summary


def test_three_installations_of_one_version_are_one_version_installed_twice() -> None:
    """Versions are counted, and another row's are its own."""
    draft = twice()
    draft.effects[2]["version_after"] = 2
    assert 1 == check(draft, NAME).found
    draft.effects.append({**draft.effects[2], "key": "1", "seq": 1})
    assert 1 == check(draft, NAME).found


def test_an_attempt_may_install_a_version_again() -> None:
    """A row that one transaction writes twice is one change; without versions nothing is compared."""
    draft = twice()
    draft.effects[1]["writer"] = draft.effects[0]["writer"]
    draft.accesses.clear()
    assert Value.VALID is check(draft, NAME).value
    draft = twice()
    for effect in draft.effects:
        effect.update(version_before=None, version_after=None)
    assert Value.VALID is check(draft, NAME).value


def test_a_seq_installed_twice_is_told_once() -> None:
    """By the judgement, which goes by seqs."""
    draft = twice(seq=1)
    del draft.effects[2]
    draft.accesses.clear()
    found = check(draft, NAME)
    assert (1, ["duplicate-version"]) == (found.found, [witness.anomaly for witness in found.witnesses])


def judgement(**changes: object) -> Judgement:
    """A judgement with little in it."""
    return msgspec.structs.replace(
        Judgement(
            value=Value.VALID,
            level="serializable",
            anomalies={},
            at_least=(),
            ruled_out=(),
            also_ruled_out=(),
            strongest=(),
            sessions={},
            checked=(),
            not_checked=(),
            certificate="",
        ),
        **changes,
    )


def test_a_search_that_gave_up_leaves_open_what_it_looked_for() -> None:
    """Writers can't be called serializable, unless the class does not matter to the level."""
    for anomaly, expected in (("G2-item", Value.UNKNOWN), ("G2-item-realtime", Value.VALID)):
        facts = Facts(race(deduct(0, 5), deduct(0, 3)).history())
        sentence = f"{anomaly}: the search among 9 transactions ended at its bound"
        facts.__dict__["dependencies"] = msgspec.structs.replace(facts.dependencies, gave_up=(sentence,))
        found = serializable_writers(facts)
        assert found.value is expected
        assert sentence in found.summary
        assert serializable_writers(facts, "strict-serializable").value is Value.UNKNOWN


def test_what_a_level_prohibits_is_told_with_its_counts() -> None:
    """Its own anomalies, those of weaker levels, and none that absence proves where not all was gathered."""
    found = judgement(anomalies={"G1a": 2, "G0": 1, "G-single-item": 4}, at_least=("G-single-item",))
    assert prohibited(found, "read-committed", complete=True) == {"G1a": 2, "G0": 1}
    assert prohibited(found, "read-committed", complete=False) == {"G0": 1}
    assert prohibited(found, "strict-serializable", complete=True) == found.anomalies
    assert listed(found, found.anomalies) == "2 G1a, 1 G0, at least 4 G-single-item"


def test_undecided_is_what_matters_to_the_level() -> None:
    """A search for what the level permits may give up."""
    found = judgement(gave_up=("G0: it ended", "G2-item: it ended"))
    assert undecided(found, "read-committed") == ("G0: it ended",)
    assert undecided(found, "serializable") == found.gave_up


def test_witnesses_of_all_anomalies_come_before_seconds_of_any() -> None:
    """Ten of them, and of no other anomaly."""
    told = tuple(Witness(anomaly=name, sentence=f"{name}{at}") for name in ("G0", "G1c", "G2") for at in range(7))
    found = witnesses(judgement(witnesses=told), ["G2", "G0"])
    assert ["G00", "G20", "G01", "G21"] == [witness.sentence for witness in found[:4]]
    assert 10 == len(found)
    assert () == witnesses(judgement(witnesses=told), [])
