"""Each example in docs/verifier.md shows the anomaly that it stands beside, and each anomaly stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.verifier.dependencies import ANOMALIES, LEVELS, judge, rules_out
from tests.unit.tiny import history

TEXT = (Path(__file__).parents[2] / "docs" / "verifier.md").read_text(encoding="utf-8")

#: First and last cell of a table's row.
ROW = re.compile(r"^\| (?P<name>[\w-]+) \|.* \| `(?P<example>.+)` \|$", re.MULTILINE)
EXAMPLES = {
    row["name"]: row["example"].replace(r"\|", "|") for row in ROW.finditer(TEXT) if row["name"] in ANOMALIES
} | {
    row["name"]: row["example"].replace(r"\|", "|")
    for row in re.finditer(r"^\| (?P<name>[\w-]+) \| `(?P<example>.+)` \|$", TEXT, re.MULTILINE)
}

#: Anomalies that versions alone can't show, and unions of others.
WITHOUT = ("incompatible-order", "duplicate-elements", "duplicate-effect", "G1", "G-single", "G-nonadjacent", "G2")


@pytest.mark.parametrize("anomaly", sorted(EXAMPLES))
def test_an_example_shows_its_anomaly(anomaly: str) -> None:
    """Judging the example names the anomaly, and a witness tells of it."""
    judgement = judge(history(EXAMPLES[anomaly]))
    assert anomaly in judgement.anomalies
    assert anomaly in {witness.anomaly for witness in judgement.witnesses}


@pytest.mark.parametrize("anomaly", sorted(ANOMALIES))
def test_every_anomaly_has_an_example_or_a_sentence(anomaly: str) -> None:
    """Nothing is reported that the documentation doesn't explain."""
    base = anomaly.removesuffix("-process").removesuffix("-realtime")
    assert anomaly in EXAMPLES or (base in WITHOUT and base in TEXT)


@pytest.mark.parametrize("anomaly", sorted(ANOMALIES))
def test_the_strictest_model_prohibits_every_anomaly(anomaly: str) -> None:
    """Nothing that is reported passes as strictly serializable."""
    assert rules_out(anomaly, LEVELS["strict-serializable"])
