"""Columns: tables in any order become arrays that index each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.verifier import columns as columns_
from orchestrator.verifier.columns import CONFLICTS, OUTCOMES, REASONS, REFUSALS, prepare
from orchestrator.verifier.facts import Facts
from tests.unit.histories import deduct, grant, race, transfer

if TYPE_CHECKING:
    from orchestrator.verifier.columns import Columns
    from tests.unit.histories import Draft

#: Tokens of the attempts of operations 0 to 3.
FIRST, SECOND, THIRD, FOURTH = (1 << 32) + 1, (2 << 32) + 2, (1 << 32) + 3, (2 << 32) + 4


def scrambled() -> Draft:
    """Four operations, every table the wrong way round."""
    draft = race(deduct(0, 5), transfer(2, 1, 3), grant(2, 1), deduct(1, 900))
    for name in ("operations", "attempts", "accesses", "effects", "processes", "clocks"):
        getattr(draft, name).reverse()
    return draft


def by(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """The rows sorted by these columns."""
    return sorted(rows, key=lambda row: tuple(row[name] for name in names))


def told(columns: Columns, table: str, names: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Each array holds the column of its rows, -1 for a null."""
    for array, name in names.items():
        expected = [-1 if row[name] is None else row[name] for row in rows]
        assert expected == getattr(getattr(columns, table), array).tolist(), array


def test_operations_stand_by_number() -> None:
    """With kinds and parameters of their own."""
    draft = scrambled()
    draft.operations[0]["confirmed"] = False
    operations = prepare(draft.history()).operations
    assert [0, 1, 2, 3] == operations.number.tolist()
    assert ["deduct", "transfer", "grant", "deduct"] == [operations.kinds[kind] for kind in operations.kind]
    assert [row["params"] for row in draft.operations[::-1]] == operations.params.to_pylist()
    assert [True, True, True, False] == operations.confirmed.tolist()


def test_operations_say_whether_they_were_requested_and_published_again() -> None:
    """Nobody knows of a request where none is needed."""
    draft = scrambled()
    draft.operations[0].update(requested=True, republished=2)
    draft.operations[1].update(requested=False)
    operations = prepare(draft.history()).operations
    assert [-1, -1, 0, 1] == operations.requested.tolist()
    assert [0, 0, 0, 2] == operations.republished.tolist()


def test_two_operations_stand_by_number_too() -> None:
    """Few are sorted as many are."""
    draft = race(grant(0, 1), deduct(0, 5))
    draft.operations.reverse()
    operations = prepare(draft.history()).operations
    assert [0, 1] == operations.number.tolist()
    assert ["grant", "deduct"] == [operations.kinds[kind] for kind in operations.kind]


def test_operations_of_one_number_keep_their_order() -> None:
    """The sort is stable: which of the two is called the second one doesn't change from run to run."""
    draft = race(*(grant(0, 1) for _ in range(40)))
    draft.operations = [
        {**row, "operation": row["operation"] % 2, "params": str(row["operation"])} for row in draft.operations
    ]
    params = [int(text) for text in prepare(draft.history()).operations.params.to_pylist()]
    assert [*range(0, 40, 2), *range(1, 40, 2)] == params


def test_attempts_stand_by_token() -> None:
    """With the places of their operations, codes of their words, and -1 for what is not known."""
    draft = scrambled()
    draft.attempt_of(2).update(end_ns=None, outcome="perhaps", backend_ended=True, slot=7, final=False)
    draft.attempt_of(1).update(outcome="info", reason="lost-connection", operation=77, redelivered=True, attempt=3)
    draft.attempt_of(0)["detail"] = "Oops"
    columns, rows = prepare(draft.history()), by(draft.attempts, "token")
    assert [FIRST, THIRD, SECOND, FOURTH] == columns.attempts.token.tolist()
    assert [0, 2, -1, 3] == columns.attempts.operation.tolist()
    names = {"process": "process", "slot": "slot", "start": "start_ns", "end": "end_ns", "final": "final"}
    told(columns, "attempts", names, rows)
    assert [0, 2, 2, 1] == columns.attempts.outcome.tolist()
    assert [-1, -1, 7, 0] == columns.attempts.reason.tolist()
    assert [False, True, False, False] == columns.attempts.backend_ended.tolist()
    assert [False, False, True, False] == columns.attempts.redelivered.tolist()
    assert [1, 1, 3, 1] == columns.attempts.ordinal.tolist()
    assert ["Oops", None, None, None] == columns.attempts.detail.to_pylist()


def test_attempts_of_one_token_keep_their_order() -> None:
    """The sort is stable."""
    draft = race(*(grant(0, 1) for _ in range(40)))
    for place, attempt in enumerate(draft.attempts):
        attempt.update(token=1 + place % 2, slot=place)
    assert [*range(0, 40, 2), *range(1, 40, 2)] == prepare(draft.history()).attempts.slot.tolist()


def test_accesses_keep_their_order() -> None:
    """They name their attempts by place and their rows by number."""
    draft = scrambled()
    draft.accesses[0]["token"] = 5
    draft.accesses[1]["mode"] = "l"
    columns = prepare(draft.history())
    places = {token: place for place, token in enumerate(columns.attempts.token.tolist())}
    assert [places.get(row["token"], -1) for row in draft.accesses] == columns.accesses.attempt.tolist()
    assert [row["mode"] == "w" for row in draft.accesses] == columns.accesses.write.tolist()
    assert [int(row["key"]) for row in draft.accesses] == columns.accesses.row.tolist()
    names = {"seq": "seq", "writer": "writer", "at": "at_ns", "rows": "rows"}
    told(columns, "accesses", names, draft.accesses)


def test_effects_stand_by_row_and_seq() -> None:
    """Their texts keep the order of the file; `order` leads to them."""
    draft = scrambled()
    draft.effects_of(0)[0].update(version_before=None, at_us=17)
    draft.effects_of(2)[0].update(writer=77, operation=77, version_after=None)
    columns, rows = prepare(draft.history()), by(draft.effects, "key", "seq")
    names = {"seq": "seq", "version_before": "version_before", "version_after": "version_after", "token": "writer"}
    told(columns, "effects", {**names, "txid": "txid", "at_us": "at_us"}, rows)
    effects = columns.effects
    assert [0, 1, 2, 2] == effects.row.tolist()
    assert [0, 2, 2, -1] == effects.attempt.tolist()
    assert [0, 1, 1, -1] == effects.operation.tolist()
    assert [row["before"] for row in rows] == effects.before.take(effects.order).to_pylist()
    assert [row["after"] for row in rows] == effects.after.take(effects.order).to_pylist()


def test_rows_are_numbered_as_they_are_named() -> None:
    """The planned ones first, in their order, then those of accesses, then those of effects, each once."""
    draft = race(grant(0, 1), grant(1, 1))
    draft.rows = [draft.rows[2], draft.rows[0]]
    draft.accesses[0]["key"] = "9"
    draft.accesses[1].update(relation="configs", key="9")
    draft.effects[0].update(relation="others", key="9")
    columns = prepare(draft.history())
    names = ["users/2", "users/0", "users/9", "configs/9", "users/1", "others/9"]
    assert names == [columns.rows.name(row) for row in range(len(names))]
    assert [2, 3, 4, 4] == columns.accesses.row.tolist()
    assert {("users", "2"): 0, ("users", "0"): 1}.items() <= columns.rows.numbers.items()
    assert 2 == columns.rows.planned
    assert [4, 5] == columns.effects.row.tolist()
    assert ["users", "users", "users", "configs", "users", "others"] == columns.rows.relations
    assert ["2", "0", "9", "9", "1", "9"] == columns.rows.keys


def test_planned_rows_bring_their_columns() -> None:
    """Initial and final states, versions, seqs and writers; -1 where the row is gone."""
    draft = race(grant(0, 1), grant(1, 1))
    draft.rows[2].update(final=None, final_version=None, final_seq=None, final_writer=None, initial_version=4)
    rows = prepare(draft.history()).rows
    assert [row["initial"] for row in draft.rows] == rows.initial.to_pylist()
    assert [row["final"] for row in draft.rows] == rows.final.to_pylist()
    assert [[1, 1, 4], [2, 2, -1]] == [rows.initial_version.tolist(), rows.final_version.tolist()]
    assert [[1, 1, -1], [FIRST, SECOND, -1]] == [rows.final_seq.tolist(), rows.final_writer.tolist()]


def test_a_row_listed_twice_leaves_nothing_to_say() -> None:
    """Nobody knows which of the two is meant."""
    draft = race(grant(0, 1))
    draft.rows.append(draft.rows[0])
    with pytest.raises(ValueError, match=r"^a row is listed twice$"):
        prepare(draft.history())


def test_clocks_stand_by_process_and_time() -> None:
    """Four arrays beside each other."""
    draft = race(grant(0, 1))
    readings = [(2, 5, 50, 500), (1, 9, 90, 900), (1, 3, 30, 300), (2, 1, 10, 100)]
    names = ("process", "mono_ns", "offset_ns", "error_ns")
    draft.clocks = [dict(zip(names, reading, strict=True)) for reading in readings]
    found = np.array(prepare(draft.history()).clocks).T
    assert sorted(readings) == [tuple(row) for row in found.tolist()]


def test_processes_are_known_by_number() -> None:
    """Node, host, pid and pool."""
    processes = prepare(race(grant(0, 1)).history()).processes
    assert {1: ("node-1", "here", 101, "prefork"), 2: ("node-2", "here", 102, "prefork")} == processes


def test_faults_stand_by_their_strikes() -> None:
    """-1 where nothing was healed, no words where none were written."""
    draft = race(grant(0, 1))
    draft.faults.append({"name": "pause", "struck_us": 7, "healed_us": 9, "detail": "node1"})
    draft.faults.append({"name": "kill-child", "struck_us": 3})
    faults = prepare(draft.history()).faults
    assert (["kill-child", "pause"], ["", "node1"]) == (faults.names, faults.details)
    assert ([3, 7], [-1, 9]) == (faults.struck.tolist(), faults.healed.tolist())


def test_faults_that_struck_at_once_stand_as_they_were_told() -> None:
    """However many there are, at two moments."""
    draft = race(grant(0, 1))
    draft.faults = [{"name": str(number), "struck_us": number % 2} for number in range(100)]
    faults = prepare(draft.history()).faults
    assert [*map(str, (*range(0, 100, 2), *range(1, 100, 2)))] == faults.names


def test_words_have_the_codes_of_their_names() -> None:
    """Each constant is the place of its word."""
    assert ["ok", "fail", "info"] == [OUTCOMES[getattr(columns_, word)] for word in ("OK", "FAIL", "INFO")]
    words = [word.upper().replace("-", "_") for word in REASONS]
    assert [*range(11)] == [getattr(columns_, word) for word in words]
    assert {"version", "serialization", "deadlock", "lock-timeout"} == {REASONS[code] for code in CONFLICTS}
    assert {"insufficient", "missing", "no-request"} == {REASONS[code] for code in REFUSALS}


@pytest.mark.parametrize(
    "reason",
    [
        "insufficient",
        "missing",
        "version",
        "serialization",
        "deadlock",
        "lock-timeout",
        "duplicate",
        "lost-connection",
        "error",
        "poison",
        "no-request",
    ],
)
def test_every_reason_of_the_journal_is_known(reason: str) -> None:
    """By the word that workers write."""
    draft = race(deduct(0, 5))
    draft.refuse(0, reason)
    assert reason == REASONS[prepare(draft.history()).attempts.reason[0]]


@pytest.mark.parametrize(
    ("meta", "expected"), [({}, True), ({"drained": False}, False), ({"gaps": ("a journal is missing",)}, False)]
)
def test_a_history_is_complete_where_all_was_gathered(meta: dict[str, Any], *, expected: bool) -> None:
    """The end was awaited, and nothing is missing."""
    assert expected is Facts(race(grant(0, 1), **meta).history()).complete
