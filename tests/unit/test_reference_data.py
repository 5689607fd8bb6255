"""What the reference checker said about its own histories is what the judge says, or what the raw events prove."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.history.list_append import read
from orchestrator.history.transactions import PROCESS, REALTIME
from orchestrator.verifier.dependencies import CYCLES, judge
from orchestrator.verifier.dependencies.models import boundary
from orchestrator.verifier.verdict import Value
from tests import brute_append
from tests.brute_append_proof import graph, objections
from tests.brute_cycles import cycle_names, reported

if TYPE_CHECKING:
    from orchestrator.verifier.verdict import Judgement
    from tests.brute_append import Events

DATA = Path(__file__).parents[2].parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the reference histories (../shared/data) are not here")

VARIANTS = ("", "-process", "-realtime")

#: What the reference calls otherwise, and what is no anomaly.
ALIASES = {"strong-PL-1-cycle-exists": "G0-realtime"}
GIVEN_UP = "cycle-search-timeout"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The reference's verdict on one file."""

    file: str
    valid: bool
    anomalies: frozenset[str]
    #: The weakest models that can't hold.
    ruled_out: frozenset[str]
    #: How many events were invoked, and by which simulated database.
    size: int
    database: str


def _references() -> list[Reference]:
    """All of them; none where the data isn't there."""
    path = DATA / "list-append" / "verdicts.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [_reference(line) for line in lines]


def _reference(line: dict[str, Any]) -> Reference:
    named = {ALIASES.get(name, name) for name in line["anomalies"]}
    return Reference(
        file=line["file"],
        valid=line["valid"],
        anomalies=frozenset(named - {GIVEN_UP}),
        ruled_out=frozenset(line["not"]),
        size=line["limit"],
        database=line["db"],
    )


#: Files of which the lists don't agree, where several of a key are equally long: the reference took another one of them
#: as the order of appends, as its hash tables have it.  By key: the list with which its cycles come out.
ARBITRARY: dict[str, dict[int | str, tuple[int, ...]]] = {
    "h150.jsonl.gz": {1: (1, 2, 3, 15, 22)},
    "h156.jsonl.gz": {3: (2,), 4: (8, 9, 10, 22, 24)},
}

#: Classes that the choice decides in these.
OF_ORDER = frozenset(("G0", "G1c"))

#: Files in which a session shows what the reference, which was not told of sessions, says of real time.
OF_SESSIONS = ("h081.jsonl.gz", "h084.jsonl.gz", "h153.jsonl.gz", "h162.jsonl.gz")

REFERENCES = _references()
every_file = pytest.mark.parametrize("reference", REFERENCES, ids=[reference.file for reference in REFERENCES])

small_file = pytest.mark.parametrize(
    "reference",
    [reference for reference in REFERENCES if reference.size == 30],
    ids=lambda reference: reference.file,
)


@cache
def judged(file: str) -> Judgement:
    """The judgement of a file, worked out once."""
    return judge(read(DATA / "list-append" / file))


@cache
def raw(file: str) -> Events:
    """A file's events."""
    return brute_append.read(DATA / "list-append" / file)


def lesser(anomaly: str) -> set[str]:
    """The anomaly, and its variants that need less."""
    place = next(at for at in (2, 1, 0) if anomaly.endswith(VARIANTS[at]))
    return {anomaly.removesuffix(VARIANTS[place]) + variant for variant in VARIANTS[: place + 1]}


@every_file
def test_the_judge_finds_valid_what_the_reference_does(reference: Reference) -> None:
    """No history is accused that the reference clears, none cleared that it accuses."""
    assert (Value.VALID if reference.valid else Value.INVALID) is judged(reference.file).value


@every_file
def test_each_anomaly_that_the_reference_names_is_named(reference: Reference) -> None:
    """Under the same variant, or one that needs less, with a witness."""
    told = {witness.anomaly for witness in judged(reference.file).witnesses}
    missing = {name for name in reference.anomalies if not lesser(name) & told}
    assert set() == (missing - OF_ORDER if reference.file in ARBITRARY else missing)


@every_file
def test_every_witness_is_proven_by_the_raw_events(reference: Reference) -> None:
    """What is named, whether the reference names it or not, follows from the lists that were read."""
    judgement = judged(reference.file)
    assert judgement.anomalies.keys() == {witness.anomaly for witness in judgement.witnesses}
    assert [] == [
        (witness.anomaly, objection)
        for witness in judgement.witnesses
        for objection in objections(raw(reference.file), witness)
    ]


@every_file
def test_the_same_models_are_ruled_out(reference: Reference) -> None:
    """The weakest models that can't hold are those of the reference, but for what it wasn't told or took at random."""
    judgement = judged(reference.file)
    same = reference.ruled_out == set(judgement.ruled_out)
    assert same == (reference.file not in {*ARBITRARY, *OF_SESSIONS})
    anomalies = set(judgement.anomalies)
    if reference.file in ARBITRARY:
        anomalies -= {name for name in anomalies if name.split("-")[0] in OF_ORDER}
        anomalies |= {name for name in reference.anomalies if name.split("-")[0] in OF_ORDER}
    least, _ = boundary(name.replace("-process", "-realtime") for name in anomalies)
    assert reference.ruled_out == set(least)


@pytest.mark.parametrize("file", ARBITRARY)
def test_the_reference_chose_among_equally_long_lists(file: str) -> None:
    """With another of them brute force finds the cycles that the reference names, with the first it doesn't."""
    (reference,) = (reference for reference in REFERENCES if reference.file == file)
    events = raw(file)
    for key, chosen in ARBITRARY[file].items():
        assert chosen in events.longest(key)
    other = brute_append.Events(transactions=events.transactions, orders=ARBITRARY[file])
    expected = reference.anomalies & OF_ORDER
    assert expected == data_cycles(other) & OF_ORDER
    assert expected != data_cycles(events) & OF_ORDER


def data_cycles(events: Events) -> frozenset[str]:
    """The names of all cycles without session and real-time edges."""
    edges = {hop: kinds - {PROCESS, REALTIME} for hop, kinds in graph(events).items()}
    return cycle_names({hop: kinds for hop, kinds in edges.items() if kinds})


@small_file
def test_small_files_have_the_cycles_that_brute_force_finds(reference: Reference) -> None:
    """All of them are enumerated from the raw events; with those of sessions and time where they aren't too many."""
    events = raw(reference.file)
    assert data_cycles(events) == {name for name in judged(reference.file).anomalies if name in CYCLES}
    if reference.database in ("ssi", "si"):
        named = {name + variant for name in CYCLES for variant in VARIANTS}
        assert reported(graph(events)) == judged(reference.file).anomalies.keys() & named


def test_the_example_of_the_paper_is_invalid() -> None:
    """In both of its forms."""
    for name in ("paper-example.edn", "paper-example.json"):
        path = DATA / "elle-cli" / "elle" / name
        judgement = judge(read(path))
        assert Value.INVALID is judgement.value
        assert [] == [each for witness in judgement.witnesses for each in objections(brute_append.read(path), witness)]


def test_an_append_that_nobody_read_breaks_serializability() -> None:
    """The history of elle-cli's issue 30 is not serializable, at whichever strength it is asked for."""
    path = DATA / "elle-cli" / "elle" / "list-append-gh-30.edn"
    for level in ("serializable", "strong-serializable"):
        judgement = judge(read(path), level)
        assert Value.INVALID is judgement.value
        assert [] == [each for witness in judgement.witnesses for each in objections(brute_append.read(path), witness)]
