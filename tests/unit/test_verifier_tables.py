"""docs/anomalies.md has the tables that the verifier goes by: anomalies, searches, consistency models."""

from __future__ import annotations

from pathlib import Path

from orchestrator.verifier.dependencies import models
from orchestrator.verifier.dependencies.anomalies import ANOMALIES, CYCLES, VARIANTS
from orchestrator.verifier.dependencies.evidence import KINDS
from orchestrator.verifier.dependencies.kernels.searching import ANY, NONADJACENT, PREDICATE

TEXT = (Path(__file__).parents[2] / "docs" / "anomalies.md").read_text(encoding="utf-8")

WATCHED = {ANY: "", NONADJACENT: "no two rw adjacent, and two of them", PREDICATE: "one rw is a predicate's"}


def table(name: str) -> list[list[str]]:
    """The rows of a section's table, without its head."""
    section = TEXT.partition(f"## {name}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def kinds(bits: int) -> str:
    """Kinds of edges in words."""
    return ", ".join(name for place, name in enumerate(KINDS) if bits >> place & 1)


def test_every_anomaly_stands_with_what_it_needs_and_implies_and_its_source() -> None:
    """What an anomaly is, what follows from it, and who defined it, is one table in code and text."""
    expected = [[name, each.needs, ", ".join(each.implies), each.source] for name, each in ANOMALIES.items()]
    assert expected == table("Anomalies")


def test_every_search_stands_with_its_edges() -> None:
    """Which edges a cycle of a class begins with, goes on by and ends with."""
    expected = [
        [
            name,
            kinds(each.start),
            kinds(each.inner),
            kinds(each.closing(0)),
            WATCHED[each.watch],
            "yes" * each.alternates,
        ]
        for name, each in CYCLES.items()
    ]
    assert expected == table("Searches")


def test_variants_add_their_orders() -> None:
    """Only the orders that a variant is named for, and lesser ones."""
    assert {"": "", "-process": "process", "-realtime": "process, realtime"} == {
        name: kinds(order) for name, order in VARIANTS.items()
    }


def test_every_model_stands_with_what_it_implies_and_prohibits() -> None:
    """The hierarchy of models is one table in code and text."""
    expected = [
        [
            name,
            ", ".join(weaker),
            ", ".join(models._PROHIBITS.get(name, ())),
            ", ".join(other for other, model in models.LEVELS.items() if model == name and other != name),
            "yes" * (name in models._LADDER),
            "yes" * (name in models.OF_SESSIONS),
        ]
        for name, weaker in models._WEAKER.items()
    ]
    assert expected == table("Consistency models")
