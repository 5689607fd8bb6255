"""Hermitage's cases, searched on the embedded PostgreSQL: the published table, proven either way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.model import Execution
from orchestrator.hermitage.case import ABORTED, Level, Outcome
from orchestrator.hermitage.run import CASES, CaseResult, explore_case, render, run_all
from orchestrator.hermitage.table import ANOMALIES, PREVENTS
from tests.documents import ROOT

if TYPE_CHECKING:
    from orchestrator.hermitage.case import Case

    #: A case's name, what each body returned, and the rows that are left.
    Shape = tuple[str, tuple[object, ...], dict[int, int]]

#: Outcomes that show the anomaly.
_SHOWING: list[Shape] = [
    ("G0", (None, None), {1: 11, 2: 22}),
    ("G0", (None, None), {1: 12, 2: 21}),
    ("G1a", (None, [{1: 10, 2: 20}, {1: 101, 2: 20}]), {1: 10, 2: 20}),
    ("G1b", (None, [{1: 101, 2: 20}, {1: 11, 2: 20}]), {1: 11, 2: 20}),
    ("G1c", (22, 11), {1: 11, 2: 22}),
    ("OTV", (None, None, [12, 19, 18, 12]), {1: 12, 2: 18}),
    ("OTV", (None, None, [11, 20, 19, 11]), {1: 12, 2: 18}),
    ("OTV", (None, None, [10, 19, 19, 10]), {1: 11, 2: 19}),
    ("OTV", (None, None, [11, 18, 19, 11]), {1: 11, 2: 19}),
    ("OTV", (None, ABORTED, [11, 20, 19, 11]), {1: 11, 2: 19}),
    ("PMP", (([], [(3, 30)]), None), {1: 10, 2: 20, 3: 30}),
    ("PMP", (([(3, 30)], []), None), {1: 10, 2: 20, 3: 30}),
    ("PMP-write", (None, (0, [(1, 20)])), {1: 20, 2: 30}),
    ("P4", (10, 10), {1: 11, 2: 20}),
    ("G-single", ((10, 18), None), {1: 12, 2: 18}),
    ("G-single", ((12, 20), None), {1: 12, 2: 18}),
    ("G-single-predicate", (([(1, 10), (2, 20)], [(1, 12)]), None), {1: 12, 2: 20}),
    ("G-single-predicate", (([(2, 20)], []), None), {1: 12, 2: 20}),
    ("G-single-write", ((10, 0), ({1: 10, 2: 20}, 1)), {1: 12, 2: 18}),
    ("G-single-write", ((10, 1), ({1: 10, 2: 20}, 0)), {1: 12}),
    ("G2-item", ([(1, 10), (2, 20)], [(1, 10), (2, 20)]), {1: 11, 2: 21}),
    ("G2", ([], []), {1: 10, 2: 20, 3: 30, 4: 42}),
    ("G2-two-edges", ({1: 10, 2: 20}, None, {1: 10, 2: 25}), {1: 0, 2: 25}),
]
#: Outcomes that don't.
_HARMLESS: list[Shape] = [
    ("G0", (None, None), {1: 11, 2: 21}),
    ("G0", (None, None), {1: 12, 2: 22}),
    ("G0", (None, ABORTED), {1: 11, 2: 21}),
    ("G1a", (None, [{1: 10, 2: 20}, {1: 10, 2: 20}]), {1: 10, 2: 20}),
    ("G1b", (None, [{1: 10, 2: 20}, {1: 11, 2: 20}]), {1: 11, 2: 20}),
    ("G1c", (20, 11), {1: 11, 2: 22}),
    ("G1c", (20, 10), {1: 11, 2: 22}),
    ("OTV", (None, None, [11, 19, 18, 12]), {1: 12, 2: 18}),
    ("OTV", (None, None, [10, 19, 18, 12]), {1: 12, 2: 18}),
    ("OTV", (None, None, [10, 20, 20, 10]), {1: 12, 2: 18}),
    ("OTV", (None, None, ABORTED), {1: 12, 2: 18}),
    ("PMP", (([], []), None), {1: 10, 2: 20, 3: 30}),
    ("PMP", (([(3, 30)], [(3, 30)]), None), {1: 10, 2: 20, 3: 30}),
    ("PMP-write", (None, (1, [])), {1: 20}),
    ("PMP-write", (None, ABORTED), {1: 20, 2: 30}),
    ("P4", (10, 11), {1: 12, 2: 20}),
    ("P4", (10, ABORTED), {1: 11, 2: 20}),
    ("P4", (ABORTED, ABORTED), {1: 10, 2: 20}),
    ("G-single", ((10, 20), None), {1: 12, 2: 18}),
    ("G-single", ((12, 18), None), {1: 12, 2: 18}),
    ("G-single-predicate", (([(1, 10), (2, 20)], []), None), {1: 12, 2: 20}),
    ("G-single-predicate", (([(2, 20)], [(1, 12)]), None), {1: 12, 2: 20}),
    ("G-single-write", ((12, 0), ({1: 10, 2: 20}, 1)), {1: 12, 2: 18}),
    ("G-single-write", ((10, 1), ({1: 10}, 0)), {1: 12}),
    ("G-single-write", (ABORTED, ({1: 10, 2: 20}, 1)), {1: 12, 2: 18}),
    ("G2-item", ([(1, 10), (2, 20)], [(1, 11), (2, 20)]), {1: 11, 2: 21}),
    ("G2-item", ([(1, 10), (2, 20)], ABORTED), {1: 11, 2: 20}),
    ("G2", ([], [(3, 30)]), {1: 10, 2: 20, 3: 30, 4: 42}),
    ("G2-two-edges", ({1: 10, 2: 25}, None, {1: 10, 2: 25}), {1: 0, 2: 25}),
    ("G2-two-edges", ({1: 10, 2: 20}, None, {1: 0, 2: 25}), {1: 0, 2: 25}),
    ("G2-two-edges", (ABORTED, None, {1: 10, 2: 25}), {1: 10, 2: 25}),
]


def _documented() -> dict[str, dict[Level, str]]:
    """The verdicts of the documentation's table, without the schedules that were run for them."""
    lines = (ROOT / "docs/hermitage.md").read_text(encoding="utf-8").partition("\n| case | what |")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2 : 2 + len(CASES)]]
    return {
        name: {level: cell.split()[0] for level, cell in zip(Level, cells, strict=True)} for name, _, *cells in rows
    }


def _case(name: str) -> Case:
    (case,) = [case for case in CASES if case.name == name]
    return case


@pytest.mark.parametrize("level", Level, ids=lambda level: level.value)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_as_published(case: Case, level: Level, database_url: str) -> None:
    """Either a schedule shows the anomaly, or a complete search proves that there is none."""
    result = explore_case(case, level, database_url)
    assert result.published is result.prevented
    assert _documented()[case.name][level] == ("prevented" if result.prevented else "shown")


def test_the_cases_cover_the_published_columns() -> None:
    """Every anomaly of the published table has a case, in its order, and no case is of another."""
    assert ANOMALIES == tuple(dict.fromkeys(case.anomaly for case in CASES))
    assert set(Level) == set(PREVENTS)


@pytest.mark.parametrize(("name", "values", "rows"), _SHOWING)
def test_an_anomaly_is_told(name: str, values: tuple[object, ...], rows: dict[int, int]) -> None:
    """An outcome that no other order of events explains proves the anomaly: for those that no level allows, too."""
    assert _case(name).shows(Outcome(values, rows))


@pytest.mark.parametrize(("name", "values", "rows"), _HARMLESS)
def test_no_anomaly_is_told(name: str, values: tuple[object, ...], rows: dict[int, int]) -> None:
    """What one transaction after the other would give, or an aborted one, proves nothing."""
    assert not _case(name).shows(Outcome(values, rows))


def test_what_is_cut_off_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that was ended from outside is not told as undecided, and none comes after it."""
    cut = _result(Level.READ_COMMITTED, shown=False, complete=False)._replace(interrupted=True)
    whole = _result(Level.READ_COMMITTED, shown=True, complete=False)
    searches = iter([whole, whole, cut])
    monkeypatch.setattr("orchestrator.hermitage.run.explore_case", lambda *_: next(searches))
    told: list[CaseResult] = []
    assert [whole, whole] == run_all("", told.append) == told
    assert [] == run_all("", told.append, lambda: True)


def _result(level: Level, *, shown: bool, complete: bool) -> CaseResult:
    execution = Execution(1, (), (), (), (), ()) if shown else None
    return CaseResult(_case("P4"), level, execution, complete, 7, 0.1)


def test_a_table_has_a_line_per_case() -> None:
    """A cell says whether it was proven, over how many schedules, and whether that is what is published."""
    table = render(
        [
            _result(Level.READ_COMMITTED, shown=True, complete=False),
            _result(Level.REPEATABLE_READ, shown=True, complete=False),
            _result(Level.SERIALIZABLE, shown=False, complete=False),
        ]
    )
    expected = (
        "| P4 | lost update | shown (7) | shown (7), published otherwise | not decided (7), published otherwise |"
    )
    assert [expected] == table.splitlines()[2:]
