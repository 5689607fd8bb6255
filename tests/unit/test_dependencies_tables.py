"""What follows from the tables of anomalies and of consistency models is what the literature says."""

from __future__ import annotations

import pytest

from orchestrator.history.transactions import PREDICATE_RW, PROCESS, REALTIME, RW, WR, WW
from orchestrator.verifier.dependencies import ANOMALIES, CYCLES, GUARANTEES, LEVELS, rules_out
from orchestrator.verifier.dependencies.anomalies import OF_PREDICATES, VARIANTS, bits, implied
from orchestrator.verifier.dependencies.models import OF_SESSIONS, boundary, impossible, prohibited, strongest, weakest

#: Model: the next weaker ones (as in `models`, by the same sources).
HIERARCHY = """
    strong-serializable: strong-session-serializable strong-snapshot-isolation causal
    strong-session-serializable: serializable strong-session-snapshot-isolation
    serializable: repeatable-read snapshot-isolation update-serializable
    strong-snapshot-isolation: strong-session-snapshot-isolation strong-read-committed
    strong-session-snapshot-isolation: snapshot-isolation strong-session-read-committed
    snapshot-isolation: forward-consistent-view monotonic-snapshot-read parallel-snapshot-isolation prefix
    repeatable-read: cursor-stability monotonic-atomic-view
    update-serializable: forward-consistent-view
    forward-consistent-view: consistent-view
    consistent-view: cursor-stability monotonic-view
    prefix: causal-cerone
    parallel-snapshot-isolation: causal-cerone update-atomic
    causal-cerone: read-atomic
    update-atomic: read-atomic
    read-atomic: monotonic-atomic-view
    monotonic-atomic-view: read-committed
    monotonic-snapshot-read: read-committed
    monotonic-view: read-committed
    cursor-stability: read-committed
    strong-read-committed: strong-session-read-committed strong-read-uncommitted
    strong-session-read-committed: read-committed strong-session-read-uncommitted
    read-committed: read-uncommitted
    strong-read-uncommitted: strong-session-read-uncommitted
    strong-session-read-uncommitted: read-uncommitted
    read-uncommitted:
    causal: writes-follow-reads PRAM
    PRAM: monotonic-reads monotonic-writes read-your-writes
    writes-follow-reads:
    monotonic-reads:
    monotonic-writes:
    read-your-writes:
"""

#: Anomaly: the weakest models of transactions that it rules out.
RULED_OUT = {
    "G0": "read-uncommitted",
    "G1": "read-committed",
    "G1a": "read-committed",
    "G1b": "read-committed",
    "G1c": "read-committed",
    "G-single-item": "consistent-view repeatable-read",
    "G-nonadjacent-item": "repeatable-read snapshot-isolation",
    "G2-item": "repeatable-read",
    "G-single": "consistent-view",
    "G-nonadjacent": "snapshot-isolation",
    "G2": "serializable",
    "G0-process": "strong-session-read-uncommitted",
    "G1-process": "strong-session-snapshot-isolation",
    "G1c-process": "strong-session-read-committed",
    "G-single-item-process": "strong-session-snapshot-isolation",
    "G-nonadjacent-item-process": "strong-session-snapshot-isolation",
    "G2-item-process": "strong-session-serializable",
    "G-single-process": "strong-session-snapshot-isolation",
    "G-nonadjacent-process": "strong-session-snapshot-isolation",
    "G2-process": "strong-session-serializable",
    "G0-realtime": "strong-read-uncommitted",
    "G1-realtime": "strong-snapshot-isolation",
    "G1c-realtime": "strong-read-committed",
    "G-single-item-realtime": "strong-snapshot-isolation",
    "G-nonadjacent-item-realtime": "strong-snapshot-isolation",
    "G2-item-realtime": "strong-serializable",
    "G-single-realtime": "strong-snapshot-isolation",
    "G-nonadjacent-realtime": "strong-snapshot-isolation",
    "G2-realtime": "strong-serializable",
    "duplicate-version": "read-uncommitted",
    "version-gap": "read-uncommitted",
    "duplicate-effect": "read-uncommitted",
    "duplicate-elements": "read-uncommitted",
    "incompatible-order": "read-committed",
    "dirty-update": "read-committed",
    "garbage-read": "read-committed",
    "lost-update": "cursor-stability update-atomic",
    "internal": "read-atomic",
    "future-read": "read-committed",
    "read-your-writes-violation": "strong-session-snapshot-isolation",
    "monotonic-reads-violation": "strong-session-snapshot-isolation",
    "monotonic-writes-violation": "strong-session-read-uncommitted",
    "writes-follow-reads-violation": "strong-session-read-committed",
}

#: Anomaly of a session: the models of sessions that it rules out.
OF_A_SESSION = {
    "read-your-writes-violation": {"PRAM", "causal", "read-your-writes"},
    "monotonic-reads-violation": {"PRAM", "causal", "monotonic-reads"},
    "monotonic-writes-violation": {"PRAM", "causal", "monotonic-writes"},
    "writes-follow-reads-violation": {"causal", "writes-follow-reads"},
}

#: Anomaly: those that are there too wherever it is; variants follow by the suffix.
IMPLIED = {
    "G0": "G1c G1",
    "G1a": "G1",
    "G1b": "G1",
    "G1c": "G1",
    "G-single-item": "G-single G-nonadjacent-item G-nonadjacent G2-item G2",
    "G-nonadjacent-item": "G-nonadjacent G2-item G2",
    "G2-item": "G2",
    "G-single": "G-nonadjacent G2",
    "G-nonadjacent": "G2",
    "incompatible-order": "G1a G1",
    "dirty-update": "G1a G1",
    "garbage-read": "G1a G1",
    "lost-update": "G2-item G2",
    "future-read": "G1c G1",
}

SUFFIXES = ("", "-process", "-realtime")


def weaker() -> dict[str, set[str]]:
    """Each model, and all that it implies."""
    lines = [line.strip().split(":") for line in HIERARCHY.strip().splitlines()]
    following = {model.strip(): names.split() for model, names in lines}
    found: dict[str, set[str]] = {}
    for model in reversed(following):  # the weaker ones stand below
        found[model] = {each for name in following[model] for each in (name, *found[name])}
    return found


def test_every_model_can_be_asked_for() -> None:
    """By its own name, and two of them by others."""
    names = {model: model for model in weaker()}
    assert {**names, "strict-serializable": "strong-serializable", "conflict-serializable": "serializable"} == LEVELS
    sessions = {"causal", "PRAM", "writes-follow-reads", "monotonic-reads", "monotonic-writes", "read-your-writes"}
    assert sessions == OF_SESSIONS


def test_every_anomaly_is_told_of_here() -> None:
    """In both of these tables, if it implies anything."""
    assert RULED_OUT.keys() == ANOMALIES.keys()
    assert set() == IMPLIED.keys() - ANOMALIES.keys()


@pytest.mark.parametrize("model", weaker())
def test_what_rules_out_a_model_rules_out_all_that_imply_it(model: str) -> None:
    """And nothing rules out a model without ruling out what implies it."""
    implying = {other for other, implied_ in weaker().items() if model in implied_}
    for anomaly in ANOMALIES:
        if model in impossible([anomaly]):
            assert implying <= impossible([anomaly])
    assert {each for other in weaker()[model] for each in prohibited(other)} <= prohibited(model)


@pytest.mark.parametrize("anomaly", RULED_OUT)
def test_an_anomaly_rules_out_its_weakest_models_and_all_stronger_ones(anomaly: str) -> None:
    """Models of sessions are told apart."""
    least = tuple(RULED_OUT[anomaly].split())
    out = {model for model, implied_ in weaker().items() if {model, *implied_} & {*least}}
    out |= OF_A_SESSION.get(anomaly, set())
    assert out == impossible([anomaly])
    assert (least, tuple(sorted(out - {*least} - OF_SESSIONS))) == boundary([anomaly])
    assert [model in out for model in weaker()] == [rules_out(anomaly, model) for model in weaker()]


@pytest.mark.parametrize("anomaly", RULED_OUT)
def test_an_anomaly_implies_lesser_ones(anomaly: str) -> None:
    """With session order what is there without it, with real time what is there with session order."""
    name = next(
        (anomaly.removesuffix(suffix) for suffix in ("-process", "-realtime") if anomaly.endswith(suffix)), anomaly
    )
    suffixes = {"": [*SUFFIXES], "-process": ["-process", "-realtime"], "-realtime": ["-realtime"]}
    lesser = [name, *IMPLIED.get(name, "").split()]
    of_sessions = {
        "read-your-writes-violation": "G-single-item",
        "monotonic-reads-violation": "G-single-item",
        "monotonic-writes-violation": "G0",
        "writes-follow-reads-violation": "G1c",
    }
    if anomaly in of_sessions:
        cycle = of_sessions[anomaly]
        lesser, own = [cycle, *IMPLIED[cycle].split()], suffixes["-process"]
    else:
        own = suffixes[anomaly.removeprefix(name)]
    cycles = {*CYCLES, "G1"}
    expected = {each + suffix for each in lesser for suffix in own if each in cycles}
    assert expected | {each for each in lesser if each not in cycles} | {anomaly} == implied([anomaly])


def test_what_is_no_anomaly_implies_itself_only() -> None:
    """A name that the table doesn't know stands for itself."""
    assert {"something"} == implied(["something"])
    assert set() == impossible(["something"])


@pytest.mark.parametrize(
    ("anomaly", "left"),
    [
        ("G0", ""),
        ("G1c", "strong-read-uncommitted"),
        ("G-single-item", "strong-read-committed"),
        ("G2-item", "strong-snapshot-isolation"),
        ("G-single", "repeatable-read strong-read-committed"),
        ("G2", "strong-snapshot-isolation repeatable-read"),
        ("G0-process", "serializable"),
        ("G1c-process", "serializable strong-read-uncommitted"),
        ("G-single-item-process", "serializable strong-read-committed"),
        ("G2-item-process", "serializable strong-snapshot-isolation"),
        ("G0-realtime", "strong-session-serializable"),
        ("G1c-realtime", "strong-session-serializable strong-read-uncommitted"),
        ("G2-item-realtime", "strong-session-serializable strong-snapshot-isolation"),
        ("duplicate-version", ""),
        ("lost-update", "strong-read-committed"),
        ("internal", "repeatable-read strong-read-committed"),
    ],
)
def test_the_strongest_that_is_left_is_told(anomaly: str, left: str) -> None:
    """Of the models that are asked for in practice, those that no other one implies."""
    assert tuple(left.split()) == strongest([anomaly], process=True, realtime=True)


@pytest.mark.parametrize(
    ("process", "realtime", "expected"),
    [
        (True, True, ("strong-serializable",)),
        (True, False, ("strong-session-serializable",)),
        (False, True, ("strong-serializable",)),
        (False, False, ("serializable",)),
    ],
)
def test_no_order_is_claimed_that_was_not_looked_at(
    *, process: bool, realtime: bool, expected: tuple[str, ...]
) -> None:
    """Sessions, time, both or neither."""
    assert expected == strongest([], process=process, realtime=realtime)


@pytest.mark.parametrize(
    ("anomalies", "process", "realtime", "expected"),
    [
        (["G2-item"], True, False, "strong-session-snapshot-isolation"),
        (["G2-item"], False, False, "snapshot-isolation"),
        (["G-single-item"], True, False, "strong-session-read-committed"),
        (["G-single-item"], False, False, "read-committed"),
        (["G1c"], True, False, "strong-session-read-uncommitted"),
        (["G1c"], False, False, "read-uncommitted"),
    ],
)
def test_the_strongest_left_is_of_the_orders_looked_at(
    anomalies: list[str], expected: str, *, process: bool, realtime: bool
) -> None:
    """Each rung of the ladder has its session and its real-time form."""
    assert (expected,) == strongest(anomalies, process=process, realtime=realtime)


def test_the_weakest_of_some_models() -> None:
    """Those that imply no other one of them, sorted."""
    assert ("PRAM", "read-committed") == weakest(["serializable", "read-committed", "PRAM", "snapshot-isolation"])
    assert () == weakest([])


def test_classes_of_cycles_are_searched_the_worst_first() -> None:
    """By edges that each has, and variants the least first; three need predicates."""
    assert ["G0", "G1c", "G-single-item", "G-nonadjacent-item", "G2-item", "G-single", "G-nonadjacent", "G2"] == [
        *CYCLES
    ]
    assert {"": 0, "-process": 1 << PROCESS, "-realtime": 1 << PROCESS | 1 << REALTIME} == VARIANTS
    assert [*VARIANTS] == ["", "-process", "-realtime"]
    assert ("G-single", "G-nonadjacent", "G2") == OF_PREDICATES
    assert 0b10110 == bits(WR, RW, PROCESS)
    assert 0b001001 == bits(WW, PREDICATE_RW)
    assert ("monotonic-reads", "read-your-writes", "writes-follow-reads", "monotonic-writes") == GUARANTEES
