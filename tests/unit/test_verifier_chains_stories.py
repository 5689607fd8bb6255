"""Row chains' witnesses and summaries, whole, and the arrays that they come from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from orchestrator.verifier import Check, Value, Witness
from orchestrator.verifier.chains import continues, previous, same
from orchestrator.verifier.columns import prepare
from tests.unit.histories import check, deduct, grant, race

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft

#: Tokens of the attempts of operations 0 to 2.
FIRST, SECOND, THIRD = (1 << 32) + 1, (2 << 32) + 2, (1 << 32) + 3


@pytest.fixture
def draft() -> Draft:
    """Three changes of users/0, none of users/1 and users/2."""
    return race(deduct(0, 5), grant(0, 3), deduct(0, 2))


def _unplanned(draft: Draft) -> None:
    draft.effects[2].update(key="9", seq=1)
    draft.rows[0].update(final=draft.effects[1]["after"], final_version=3, final_seq=2, final_writer=SECOND)


def _gap(draft: Draft) -> None:
    del draft.effects[1]


def _not_from_one(draft: Draft) -> None:
    del draft.effects[0]


def _twice(draft: Draft) -> None:
    draft.effects[2]["seq"] = draft.rows[0]["final_seq"] = 2


def _broken(draft: Draft) -> None:
    draft.effects[1]["before"] = '{"id": 0, "credits": 94}'


def _version(draft: Draft) -> None:
    draft.effects[1]["version_before"] = 1


def _step(draft: Draft) -> None:
    draft.effects[2]["version_after"] = draft.rows[0]["final_version"] = 5


def _deleted(draft: Draft) -> None:
    draft.effects[2].update(after=None, version_after=None)
    draft.rows[0].update(final=None, final_version=None)


def _final(draft: Draft) -> None:
    draft.rows[0]["final"] = '{"id": 0, "credits": 97}'


def _untouched(draft: Draft) -> None:
    draft.rows[1]["final"] = '{"id": 1, "credits": 97}'


STORIES = [
    (
        _unplanned,
        [("unplanned-row", THIRD, "users/9", "users/9 was changed, but it was not among the rows at the start.")],
    ),
    (
        _gap,
        [
            ("seq-gap", THIRD, "users/0", "users/0 has an effect with seq 3 right after seq 1."),
            (
                "broken-chain",
                THIRD,
                "users/0",
                "users/0 was changed at seq 3 from credits 98, which is not the state that seq 2 left.",
            ),
            ("broken-version", THIRD, "users/0", "users/0 went from version 3 to 4 at seq 3, where version 2 stood."),
        ],
    ),
    (
        _not_from_one,
        [
            ("seq-gap", SECOND, "users/0", "users/0 has an effect with seq 2 right after seq 0."),
            (
                "broken-chain",
                SECOND,
                "users/0",
                "users/0 was changed at seq 2 from credits 95, which is not the state that seq 1 left.",
            ),
            ("broken-version", SECOND, "users/0", "users/0 went from version 2 to 3 at seq 2, where version 1 stood."),
        ],
    ),
    (_twice, [("seq-twice", THIRD, "users/0", "users/0 has an effect with seq 2 right after seq 2.")]),
    (
        _broken,
        [
            (
                "broken-chain",
                SECOND,
                "users/0",
                "users/0 was changed at seq 2 from credits 94, which is not the state that seq 1 left.",
            )
        ],
    ),
    (
        _version,
        [
            ("broken-version", SECOND, "users/0", "users/0 went from version 1 to 3 at seq 2, where version 2 stood."),
            ("version-step", SECOND, "users/0", "users/0 went from version 1 to 3 at seq 2, where version 2 stood."),
        ],
    ),
    (
        _step,
        [("version-step", THIRD, "users/0", "users/0 went from version 3 to 5 at seq 3, where version 3 stood.")],
    ),
    (
        _deleted,
        [("row-deleted", THIRD, "users/0", "users/0 was deleted at seq 3; no operation deletes rows.")],
    ),
    (
        _final,
        [
            (
                "final-row",
                None,
                "users/0",
                (
                    'users/0 should be {"id": 0, "credits": 96} at seq 3 by the fold of its effects, but the'
                    ' table holds {"id": 0, "credits": 97} at seq 3, version 4.'
                ),
            )
        ],
    ),
    (
        _untouched,
        [
            (
                "final-row",
                None,
                "users/1",
                (
                    'users/1 should be {"id": 1, "credits": 100} at seq 0 by the fold of its effects, but the'
                    ' table holds {"id": 1, "credits": 97} at seq 0, version 1.'
                ),
            )
        ],
    ),
]


@pytest.mark.parametrize(("break_it", "stories"), STORIES)
def test_each_broken_link_is_told_whole(
    draft: Draft, break_it: Callable[[Draft], None], stories: list[tuple[str, int | None, str, str]]
) -> None:
    """Where it is, what stands there, and what should."""
    break_it(draft)
    witnesses = tuple(
        Witness(anomaly=anomaly, sentence=sentence, attempts=() if token is None else (token,), row=row)
        for anomaly, token, row, sentence in stories
    )
    links = "1 broken link" if len(stories) == 1 else f"{len(stories)} broken links"
    expected = Check(
        name="row chains",
        value=Value.INVALID,
        summary=f"{len(draft.effects)} effects on 3 rows; {links}",
        found=len(stories),
        witnesses=witnesses,
    )
    assert expected == check(draft, "row chains")


def test_unbroken_chains_are_told_in_one_sentence(draft: Draft) -> None:
    """How many effects and rows were looked at."""
    expected = Check(
        name="row chains", value=Value.VALID, summary="3 effects on 3 rows; every row equals the fold of its effects"
    )
    assert expected == check(draft, "row chains")


def test_rows_without_effects_have_chains_too() -> None:
    """Of no link at all."""
    found = check(race(deduct(0, 900)), "row chains")
    assert "0 effects on 3 rows; every row equals the fold of its effects" == found.summary


def test_ten_broken_links_are_shown_and_all_are_counted() -> None:
    """Of effects and of final rows together too."""
    draft = race(*(grant(key, 1) for key in range(12)), rows=20)
    for effect in draft.effects[:8]:
        effect["before"] = '{"id": 0, "credits": 0}'
    for row in draft.rows[8:]:
        row["final"] = '{"id": 0, "credits": 0}'
    found = check(draft, "row chains")
    assert 20 == found.found
    assert ["broken-chain"] * 8 + ["final-row"] * 2 == [witness.anomaly for witness in found.witnesses]


def test_each_effect_knows_the_one_before_it() -> None:
    """On its own row."""
    columns = prepare(race(deduct(0, 1), deduct(1, 1), deduct(0, 1), deduct(2, 1), deduct(2, 1)).history())
    assert [0, 0, 1, 2, 2] == columns.effects.row.tolist()
    assert [-1, 0, -1, -1, 3] == previous(columns).tolist()
    assert [True] * 5 == continues(columns, previous(columns)).tolist()


def test_many_effects_are_compared_batch_by_batch() -> None:
    """None is left out at a batch's edge."""
    count = 2 * 16_384 + 3
    draft = race(grant(0, 1))
    first = draft.effects[0]
    states = [json.dumps({"id": 0, "credits": 100 + seq}) for seq in range(count + 1)]
    draft.effects = [{**first, "seq": seq + 1, "before": states[seq], "after": states[seq + 1]} for seq in range(count)]
    broken = (0, 16_383, 16_384, 16_385, 2 * 16_384, count - 1)
    for place in broken:
        draft.effects[place]["before"] = '{"id": 0}'
    columns = prepare(draft.history())
    assert list(broken) == np.flatnonzero(~continues(columns, previous(columns))).tolist()


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("[1]", "[1]", True),
        ("[1]", "[ 1 ]", True),
        ("[1]", "[2]", False),
        (None, None, True),
        ("[1]", None, False),
        (None, "[1]", False),
        ("null", None, False),
    ],
)
def test_texts_are_the_same_where_their_values_are(left: str | None, right: str | None, *, expected: bool) -> None:
    """Two nulls are the same, a null and a text are not."""
    found = same(pa.array(["0", left], pa.string()), pa.array(["0", right], pa.string()))
    assert [True, expected] == found.tolist()


def test_a_row_with_a_version_beside_one_without_is_judged_alone(draft: Draft) -> None:
    """Rows that carry no version have none to advance; the others have."""
    draft.effects[0].update(version_before=None, version_after=None)
    draft.effects[1]["version_before"] = None
    found = check(draft, "row chains")
    assert ["broken-version", "version-step"] == [witness.anomaly for witness in found.witnesses]
    assert [FIRST, SECOND] == [witness.attempts[0] for witness in found.witnesses]


def test_an_unplanned_row_is_held_to_nothing_but_its_versions(draft: Draft) -> None:
    """Nobody knows where it began."""
    draft.effects[2].update(key="9", seq=7, before='{"id": 9, "credits": 1}', version_before=6, version_after=8)
    draft.rows[0].update(final=draft.effects[1]["after"], final_version=3, final_seq=2, final_writer=SECOND)
    found = check(draft, "row chains")
    assert ["unplanned-row", "version-step"] == [witness.anomaly for witness in found.witnesses]
    assert "users/9 went from version 6 to 8 at seq 7, where version -1 stood." == found.witnesses[1].sentence


def test_a_row_with_one_effect_is_held_to_it() -> None:
    """The very first effect of all is one as any other."""
    draft = race(deduct(0, 5))
    draft.rows[0]["final"] = '{"id": 0, "credits": 97}'
    expected = (
        'users/0 should be {"id": 0, "credits": 95} at seq 1 by the fold of its effects, but the'
        ' table holds {"id": 0, "credits": 97} at seq 1, version 2.'
    )
    assert [expected] == [witness.sentence for witness in check(draft, "row chains").witnesses]


def test_a_row_that_is_gone_is_told_so(draft: Draft) -> None:
    """The table holds it no more."""
    draft.rows[0].update(final=None, final_version=None, final_seq=None, final_writer=None)
    told = check(draft, "row chains").witnesses[0].sentence
    assert "by the fold of its effects, but the table holds no such row" in told


@pytest.mark.parametrize("column", ["final_seq", "final_writer", "final_version"])
def test_what_the_final_row_does_not_tell_is_not_held_against_it(draft: Draft, column: str) -> None:
    """Only what it says must agree with the last effect."""
    draft.rows[0][column] = None
    assert Value.VALID is check(draft, "row chains").value
