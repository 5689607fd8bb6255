"""Row chains: effects lead from the initial to the final row without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Value
from tests.unit.histories import anomalies, check, deduct, grant, race, set_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft


@pytest.fixture
def draft() -> Draft:
    """Three changes of users/0, none of users/1 and users/2."""
    return race(deduct(0, 5), grant(0, 3), deduct(0, 2))


def test_an_unbroken_chain_holds(draft: Draft) -> None:
    """Effects that fold to the final row are fine, and so is a row that nobody touched."""
    assert check(draft, "row chains").value is Value.VALID


def test_texts_that_are_the_same_value_are_the_same(draft: Draft) -> None:
    """Spacing and key order of JSON are no difference."""
    draft.effects[1]["before"] = '{"credits":95,"id":0}'
    draft.rows[1]["final"] = '{"credits":100,  "id":1}'
    assert check(draft, "row chains").value is Value.VALID


def test_rows_without_versions_are_fine() -> None:
    """Scenarios whose rows carry no version have none to advance."""
    draft = race(set_field(0, "model", "large"))
    for effect in draft.effects:
        effect.update(version_before=None, version_after=None)
    for row in draft.rows:
        row.update(initial_version=-1, final_version=None)
    assert check(draft, "row chains").value is Value.VALID


def _unplanned(draft: Draft) -> None:
    draft.effects[2]["key"] = "9"


def _gap(draft: Draft) -> None:
    del draft.effects[1]


def _not_from_one(draft: Draft) -> None:
    del draft.effects[0]


def _twice(draft: Draft) -> None:
    draft.effects[2]["seq"] = 2


def _broken(draft: Draft) -> None:
    draft.effects[1]["before"] = '{"id": 0, "credits": 94}'


def _broken_start(draft: Draft) -> None:
    draft.rows[0]["initial"] = '{"id": 0, "credits": 99}'


def _version(draft: Draft) -> None:
    draft.effects[1]["version_before"] = 1


def _step(draft: Draft) -> None:
    draft.effects[1]["version_after"] = 2


def _version_gone(draft: Draft) -> None:
    draft.effects[2]["version_after"] = None


def _deleted(draft: Draft) -> None:
    draft.effects[2].update(after=None, version_after=None)


def _final_value(draft: Draft) -> None:
    draft.rows[0]["final"] = '{"id": 0, "credits": 97}'


def _final_untouched(draft: Draft) -> None:
    draft.rows[1]["final"] = '{"id": 1, "credits": 97}'


def _final_gone(draft: Draft) -> None:
    draft.rows[0].update(final=None, final_version=None, final_seq=None, final_writer=None)


def _final_seq(draft: Draft) -> None:
    draft.rows[0]["final_seq"] = 4


def _final_writer(draft: Draft) -> None:
    draft.rows[0]["final_writer"] = 4


def _final_version(draft: Draft) -> None:
    draft.rows[0]["final_version"] = 9


def _final_version_untouched(draft: Draft) -> None:
    draft.rows[2]["final_version"] = 2


def _final_seq_untouched(draft: Draft) -> None:
    draft.rows[2]["final_seq"] = 1


@pytest.mark.parametrize(
    ("break_it", "anomaly"),
    [
        (_unplanned, "unplanned-row"),
        (_gap, "seq-gap"),
        (_not_from_one, "seq-gap"),
        (_twice, "seq-twice"),
        (_broken, "broken-chain"),
        (_broken_start, "broken-chain"),
        (_version, "broken-version"),
        (_step, "version-step"),
        (_version_gone, "version-step"),
        (_deleted, "row-deleted"),
        (_final_value, "final-row"),
        (_final_untouched, "final-row"),
        (_final_gone, "final-row"),
        (_final_seq, "final-row"),
        (_final_writer, "final-row"),
        (_final_version, "final-row"),
        (_final_version_untouched, "final-row"),
        (_final_seq_untouched, "final-row"),
    ],
)
def test_a_broken_link_is_found_and_named(draft: Draft, break_it: Callable[[Draft], None], anomaly: str) -> None:
    """Each broken link alone makes the check fail, with a witness of its name."""
    break_it(draft)
    assert check(draft, "row chains").value is Value.INVALID
    assert anomaly in anomalies(draft, "row chains")


def test_the_witness_shows_the_fold_beside_the_row(draft: Draft) -> None:
    """A reader sees what the row should be and what it is."""
    draft.rows[0]["final"] = '{"id": 0, "credits": 97}'
    sentence = check(draft, "row chains").witnesses[0].sentence
    assert 'should be {"id": 0, "credits": 96} at seq 3' in sentence
    assert 'the table holds {"id": 0, "credits": 97} at seq 3' in sentence
