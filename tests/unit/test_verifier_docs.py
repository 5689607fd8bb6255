"""The documentation names every check, column and outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.history import TABLES
from orchestrator.verifier import CONSISTENT, EARNED
from orchestrator.verifier.settling import OUTCOMES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", [*CONSISTENT, *EARNED])
def test_every_check_has_a_section(name: str) -> None:
    """What is checked is defined."""
    assert f"### {name}\n" in (DOCS / "verifier.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_of_an_operation_is_defined(outcome: str) -> None:
    """Settling's table is whole."""
    assert f"| {outcome} | " in (DOCS / "verifier.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described(table: str) -> None:
    """Each table's section names each of its columns."""
    text = (DOCS / "history-format.md").read_text(encoding="utf-8")
    section = text.partition(f"## {table}\n")[2].partition("\n## ")[0]
    assert [] == [name for name in TABLES[table].names if f"`{name}`" not in section]
