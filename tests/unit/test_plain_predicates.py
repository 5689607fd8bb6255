"""Predicate reads: what they depend on, by the definition, and by the reader."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.history import plain
from orchestrator.history.plain import predicates
from orchestrator.history.transactions import PREDICATE_RW, PREDICATES, WR
from orchestrator.verifier.dependencies import judge
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

KINDS = {WR: "wr", PREDICATE_RW: "predicate-rw"}


def edges(rows: list[dict[str, Any]]) -> set[tuple[str, Any, Any, str]]:
    """The dependencies of predicate reads that a reader finds, by names."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "h.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        history = plain.read(path)
    names = list(dict.fromkeys(row["txn"] for row in rows))
    found = history.edges
    return {
        (KINDS[kind], names[source], names[target], history.names.row(row))
        for kind, source, target, row in zip(
            found.kind.tolist(), found.source.tolist(), found.target.tolist(), found.row.tolist(), strict=True
        )
    }


def write(txn: str, key: str, version: int | None, matches: str = "", outcome: str = "ok") -> dict[str, Any]:
    """One write."""
    told = {} if outcome == "ok" else {"outcome": outcome}
    return {"txn": txn, "op": "w", "key": key, "version": version, "matches": matches or None, **told}


def look(txn: str, key: str | None, version: int | None, predicate: str = "P") -> dict[str, Any]:
    """One member of a version set."""
    return {"txn": txn, "op": "p", "predicate": predicate, "key": key, "version": version}


def test_a_predicate_read_precedes_whoever_changes_what_it_finds() -> None:
    """A row outside the version set is at its initial state; a version that changes no match is passed over."""
    rows = [
        look("A", "x", 1),
        write("B", "x", 1, "P Q"),
        write("C", "x", 2, "P"),
        write("D", "x", 3),
        write("E", "y", 1),
        write("F", "y", 2, "P"),
        write("G", "z", 1, "Q"),
    ]
    assert {("wr", "B", "A", "x"), ("predicate-rw", "A", "D", "x"), ("predicate-rw", "A", "F", "y")} == edges(rows)


def test_an_empty_version_set_is_a_line_without_a_key() -> None:
    """Nothing was found, so whoever writes the first match comes later."""
    assert {("predicate-rw", "A", "B", "x")} == edges([look("A", None, None), write("B", "x", 1, "P")])


def test_a_version_that_is_not_known_proves_nothing() -> None:
    """Of that row nobody can say what came later."""
    assert set() == edges([look("A", "x", None), write("B", "x", 1, "P")])


def test_aborted_writers_change_nothing() -> None:
    """What was aborted is no version of the row; what is unknown may be one."""
    rows = [look("A", None, None), write("B", "x", 1, "P", "fail"), write("C", "x", 2, "P", "info")]
    assert {("predicate-rw", "A", "C", "x")} == edges(rows)


def test_predicate_reads_read_no_items() -> None:
    """They are no micro-operations of the history, and it says that there are some."""
    rows = [look("A", "x", 1), write("B", "x", 1, "P"), {"txn": "C", "op": "r", "key": "y", "version": 0}]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "h.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        history = plain.read(path)
    assert (True, [1, 2], [0, 1]) == (history.predicates, history.txn.tolist(), history.row.tolist())


def test_a_phantom_is_a_g2(tmp_path: Path) -> None:
    """Two transactions that each look for rows and insert one that the other would have found."""
    rows = [
        look("A", None, None),
        write("A", "x", 1, "P"),
        look("B", None, None),
        write("B", "y", 1, "P"),
    ]
    path = tmp_path / "h.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judgement = judge(plain.read(path), "serializable")
    assert {"G2": 1} == judgement.anomalies
    assert "G2" in judgement.checked


def test_too_many_dependencies_are_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be held is said, and left out."""
    monkeypatch.setattr(predicates, "MOST", 1)
    rows = [look("A", None, None), write("B", "x", 1, "P"), write("C", "y", 1, "P")]
    path = tmp_path / "h.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    history = plain.read(path)
    assert (False, 0) == (history.predicates, len(history.edges.kind))
    assert "more than" in history.not_checked[PREDICATES]
    assert Value.UNKNOWN is judge(history, "serializable").value


@st.composite
def stories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Transactions that look and write; each version has one writer, some were aborted."""
    outcomes = draw(st.lists(st.sampled_from(["ok", "ok", "fail", "info"]), min_size=1, max_size=4))
    rows: list[dict[str, Any]] = []
    taken: set[tuple[str, int]] = set()
    for n, outcome in enumerate(outcomes):
        lines: list[dict[str, Any]] = []
        for _ in range(draw(st.integers(0, 3))):
            key, version = draw(st.sampled_from("xy")), draw(st.integers(1, 4))
            if (key, version) not in taken:
                taken.add((key, version))
                lines.append(write(str(n), key, version, draw(st.sampled_from(["", "P", "Q", "P Q"]))))
        for predicate in draw(st.sets(st.sampled_from("PQ"))):
            found = sorted(draw(st.sets(st.sampled_from("xy"))))
            lines += [look(str(n), key, draw(st.integers(0, 4)), predicate) for key in found]
            lines += [] if found else [look(str(n), None, None, predicate)]
        if lines:
            lines[0]["outcome"] = outcome
        rows += lines
    return rows or [look("0", None, None)]


class Defined:
    """The same dependencies, word by word from the definition."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.outcome = {row["txn"]: row["outcome"] for row in rows if row.get("outcome")}
        self.writes = {(row["key"], row["version"]): row for row in rows if row["op"] == "w"}
        self.sets: dict[tuple[str, str], dict[str, int]] = {}
        for row in rows:
            if row["op"] == "p":
                members = self.sets.setdefault((row["txn"], row["predicate"]), {})
                members |= {row["key"]: row["version"]} if row["key"] else {}

    def edges(self) -> set[tuple[str, Any, Any, str]]:
        """Of each predicate read and each row."""
        return {
            edge
            for (reader, predicate), members in self.sets.items()
            for key in "xy"
            for edge in self.of(reader, predicate, key, members.get(key, 0))
            if edge[1] != edge[2]
        }

    def of(self, reader: str, predicate: str, key: str, version: int) -> Iterator[tuple[str, Any, Any, str]]:
        """Whoever wrote what was found, and whoever changed first whether the row is found."""
        matches = self.matches(key, version, predicate)
        if matches and self.writer(key, version):
            yield "wr", self.writer(key, version), reader, key
        for later in range(version + 1, 5):
            if self.writer(key, later) and self.matches(key, later, predicate) != matches:
                yield "predicate-rw", reader, self.writer(key, later), key
                return

    def matches(self, key: str, version: int, predicate: str) -> bool:
        """Whether a version satisfies a predicate."""
        return (key, version) in self.writes and predicate in (self.writes[key, version]["matches"] or "").split()

    def writer(self, key: str, version: int) -> str | None:
        """Who wrote a version, and wasn't aborted."""
        row = self.writes.get((key, version))
        return None if row is None or self.outcome.get(row["txn"]) == "fail" else row["txn"]


@given(stories())
def test_the_reader_finds_what_the_definition_says(rows: list[dict[str, Any]]) -> None:
    """Every dependency of every predicate read, and no other one."""
    assert Defined(rows).edges() == edges(rows)
