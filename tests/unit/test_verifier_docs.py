"""The documentation names every check, anomaly, level, column and outcome."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.history import TABLES
from orchestrator.verifier import ASKED, CONSISTENT, EARNED
from orchestrator.verifier.dependencies import ANOMALIES
from orchestrator.verifier.facts import PROMISED
from orchestrator.verifier.settling import OUTCOMES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", [*CONSISTENT, *ASKED, *EARNED])
def test_every_check_has_a_section(name: str) -> None:
    """What is checked is defined."""
    assert f"### {name}\n" in (DOCS / "verifier.md").read_text(encoding="utf-8")


#: Without variants, and without the word for three of them that is never found itself.
NAMED = [name for name in ANOMALIES if name != "G1" and not name.endswith(("-process", "-realtime"))]


@pytest.mark.parametrize("anomaly", NAMED)
def test_every_anomaly_is_named(anomaly: str) -> None:
    """As a word of its own, and not as a part of another's name."""
    text = (DOCS / "verifier.md").read_text(encoding="utf-8")
    assert re.search(rf"(?<![\w-]){re.escape(anomaly)}(?![\w-])", text)


@pytest.mark.parametrize(
    "anomaly", ["starved", "poison", "gave-up", "retry-storm", "ghost-effect", "unfulfilled-request"]
)
def test_what_is_found_where_it_is_asked_for_is_defined(anomaly: str) -> None:
    """In the table of its check."""
    assert f"| {anomaly} | " in (DOCS / "verifier.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("level", PROMISED)
def test_every_level_s_promise_is_told(level: str) -> None:
    """With the model that it is held to."""
    assert f"{level} for {PROMISED[level]}" in (DOCS / "verifier.md").read_text(encoding="utf-8")


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
