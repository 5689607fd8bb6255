"""A judgement as an object and as lines, and a run's groups together under the same keys."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from orchestrator.reports import judgement as reports
from orchestrator.reports import together
from orchestrator.reports.result import Exit, Finding, Report
from orchestrator.verifier.verdict import Check, Judgement, Participant, Step, Value, Verdict, Witness
from tests.unit.test_reports_result import _row

VALID, INVALID, UNKNOWN = Value.VALID, Value.INVALID, Value.UNKNOWN

KEYS = [
    *("verdict", "level", "anomalies", "at_least", "not", "also_not", "strongest", "sessions"),
    *("checked", "not_checked", "witnesses", "certificate", "gave_up", "transactions", "operations"),
]

HISTORY = (
    {"txn": "T1", "op": "r", "key": "x", "version": 0, "note": "a line that is much too long for a terminal" * 3},
    {"txn": "T2", "op": "w", "key": "x", "version": 1},
)

CYCLE = Witness(
    anomaly="G-single-item",
    sentence="T1 read x …, so T1 < T2; T2 wrote y …, so T2 < T1.",
    row="x",
    transactions=(
        Participant(number=4, name="transaction 4", details={"session": 1, "start": 2, "end": None}),
        Participant(number=7, name="transaction 7, session 2", details={"session": 2, "lines": [3, 4]}),
    ),
    steps=(
        Step(kind="rw", source=0, target=1, row="x", before=0, after=1, sentence="T1 read x at 0, so T1 < T2"),
        Step(kind="wr", source=1, target=0, row="x", before=1, after=1, sentence="T1 read x at 1, so T2 < T1"),
    ),
    contradiction="T1 < T2 < T1: no transaction comes before itself",
    history=HISTORY,
)

OTHER = Witness(anomaly="lost-update", sentence="T1 and T2 both read x at 0, and both overwrote it.")


def judged(**changes: Any) -> Judgement:  # noqa: ANN401 - a judgement's fields
    """A judgement of nothing special."""
    judgement = Judgement(
        value=INVALID,
        level="strong-serializable",
        anomalies={"G-single-item": 3, "lost-update": 1_200},
        at_least=("G-single-item",),
        ruled_out=("consistent-view",),
        also_ruled_out=("serializable", "snapshot-isolation"),
        strongest=("read-committed",),
        sessions={"monotonic-reads": 2, "monotonic-writes": 1, "read-your-writes": 0, "writes-follow-reads": 0},
        checked=("G0", "G1c", "G0-process", "G0-realtime", "G1c-process", "lost-update"),
        not_checked=("realtime: no end given",),
        certificate="4 dependencies tested",
        gave_up=("G2-item: the search among 5 transactions ended at its bound",),
        witnesses=(CYCLE, CYCLE, OTHER),
        transactions=1_000,
        operations=1,
    )
    return msgspec.structs.replace(judgement, **changes)


def text(judgement: Judgement, asked: str = "strict-serializable") -> str:
    """The report as one text."""
    return "\n".join(reports.lines(judgement, asked, "h.csv", 10_000))


def test_json_has_the_promised_keys() -> None:
    """Scripts rely on these."""
    found = reports.as_json(judged())
    assert KEYS == list(found)
    assert ("INVALID", {"G-single-item": 3, "lost-update": 1_200}) == (found["verdict"], found["anomalies"])
    assert ["consistent-view"] == found["not"]
    assert found == msgspec.json.decode(msgspec.json.encode(found))


def test_a_witness_in_json_is_whole() -> None:
    """Steps name their transactions by place; the history is there to be judged again."""
    witness = reports.as_json(judged())["witnesses"][0]
    assert ["anomaly", "sentence", "row", "transactions", "steps", "contradiction", "history"] == list(witness)
    assert {"number": 4, "name": "transaction 4", "details": {"session": 1, "start": 2, "end": None}} == witness[
        "transactions"
    ][0]
    assert ("rw", 0, 1, "x", 0, 1) == tuple(
        witness["steps"][0][name] for name in ("kind", "source", "target", "row", "before", "after")
    )
    assert list(HISTORY) == witness["history"]


def test_the_first_lines_say_what_was_found() -> None:
    """The verdict, how much there was, what was asked for, and what survives."""
    assert [
        "INVALID: h.csv",
        "1,000 committed transactions, 1 micro-operation.",
        (
            "Asked for strict-serializable (strong-serializable): ruled out by G-single-item (at least 3),"
            " lost-update (1,200)."
        ),
        "Strongest that survives: read-committed.",
        "Ruled out: consistent-view, and with them serializable, snapshot-isolation.",
        (
            "Sessions: monotonic-reads violated twice; monotonic-writes violated once;"
            " read-your-writes, writes-follow-reads kept."
        ),
        "",
    ] == text(judged()).splitlines()[:7]


def test_each_anomaly_has_its_first_witness_in_full() -> None:
    """Who took part, each edge on a line, the contradiction, and the smallest history; further ones are counted."""
    lines = text(judged()).splitlines()
    begin = lines.index("G-single-item (at least 3), the first on x: read skew")
    assert [
        "  T1 is transaction 4 (session 1, start 2)",
        "  T2 is transaction 7, session 2 (lines 3 and 4)",
        "  T1 read x at 0, so T1 < T2",
        "  T1 read x at 1, so T2 < T1",
        "  T1 < T2 < T1: no transaction comes before itself",
        "  The smallest history that still shows it:",
    ] == lines[begin + 1 : begin + 7]
    assert list(HISTORY) == [msgspec.json.decode(line) for line in lines[begin + 7 : begin + 9]]
    assert ["  … 2 more at least", "", "lost-update (1,200)"] == lines[begin + 9 : begin + 12]
    assert ["  T1 and T2 both read x at 0, and both overwrote it.", "  … 1,199 more", ""] == lines[
        begin + 12 : begin + 15
    ]


def test_the_last_lines_say_what_was_looked_at() -> None:
    """Variants of a class are told with it; what was not looked at is told with its reason."""
    assert [
        "Checked: G0 (also -process and -realtime), G1c (also -process), lost-update.",
        "Not checked: realtime: no end given.",
        "Cycles: 4 dependencies tested.",
        "Gave up: G2-item: the search among 5 transactions ended at its bound.",
        "What each means: docs/verifier.md, docs/anomalies.md.",
    ] == text(judged()).splitlines()[-5:]


@pytest.mark.parametrize(
    ("anomaly", "told"),
    [
        ("G0", "G0 (1): dirty write cycle"),
        ("G2-item-process", "G2-item-process (1): write skew, through the order of a session"),
        ("G-single-item-realtime", "G-single-item-realtime (1): read skew, through the order of time"),
        ("G1a", "G1a (1)"),
    ],
)
def test_classes_of_cycles_are_glossed(anomaly: str, told: str) -> None:
    """Their names say little; those of what is no cycle say it all."""
    assert told in text(judged(anomalies={anomaly: 1}, at_least=(), witnesses=())).splitlines()


def test_where_nothing_survives_that_is_told() -> None:
    """Other than where nothing was looked at."""
    out = judged(strongest=(), ruled_out=("read-uncommitted",))
    assert "Strongest that survives: none." in text(out).splitlines()
    assert "Strongest" not in text(judged(strongest=()))


def test_a_cycle_without_a_history_says_why() -> None:
    """The plain form can't show it."""
    cycle = msgspec.structs.replace(CYCLE, history=())
    assert "  (no smaller history in the plain form: " in text(judged(witnesses=(cycle,)))
    assert "no smaller history" not in text(judged(witnesses=(OTHER,)))


def test_without_steps_the_sentence_names_who_takes_part() -> None:
    """Once is enough."""
    other = msgspec.structs.replace(OTHER, transactions=CYCLE.transactions)
    assert "T1 is" not in text(judged(witnesses=(other,)))


BLANK: dict[str, Any] = {"anomalies": {}, "at_least": (), "gave_up": (), "witnesses": ()}


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({**BLANK, "value": VALID}, "strict-serializable", "(strong-serializable): kept; no anomaly was found."),
        (
            {"value": VALID, "level": "read-committed"},
            "read-committed",
            "kept; what was found, G-single-item (at least 3), lost-update (1,200), the level permits.",
        ),
        ({**BLANK, "value": UNKNOWN}, "serializable", "Asked for serializable: not decided; there is"),
        ({"value": UNKNOWN}, "strong-serializable", "Asked for strong-serializable: not decided; a search gave up."),
        ({"level": "update-atomic"}, "update-atomic", "Asked for update-atomic: ruled out by lost-update (1,200)."),
    ],
)
def test_what_was_asked_for_is_answered_with_evidence(changes: dict[str, Any], asked: str, said: str) -> None:
    """Kept, ruled out by what, or not decided and why."""
    assert said in text(judged(**changes), asked)


def test_what_is_not_there_is_not_told() -> None:
    """No sessions, no models ruled out, no certificate: no line."""
    blank = judged(**BLANK, value=UNKNOWN, ruled_out=(), strongest=(), sessions={}, certificate="", checked=())
    told = text(blank)
    assert not any(word in told for word in ("Sessions", "Ruled out", "Strongest", "Cycles", "Gave up"))
    assert "Checked: nothing." in told


def test_long_lines_are_broken_but_for_the_history() -> None:
    """Lines of the plain form are there to be copied."""
    lines = reports.lines(judged(), "strict-serializable", "h.csv", 60)
    assert [str(HISTORY[0]["note"])] == [msgspec.json.decode(line)["note"] for line in lines if len(line) > 60]
    at = lines.index("Sessions: monotonic-reads violated twice; monotonic-writes")
    assert lines[at + 1].startswith("  violated once; ")


def test_the_report_is_plain_where_there_is_no_terminal() -> None:
    """Colours are for terminals."""
    stream = io.StringIO()
    reports.render(judged(), "strict-serializable", "h.csv", stream)
    assert reports.lines(judged(), "strict-serializable", "h.csv") == stream.getvalue().splitlines()


class _Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_the_verdict_is_coloured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else is."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()
    reports.render(judged(), "strict-serializable", "h.csv", stream)
    first, *rest = stream.getvalue().splitlines()
    assert first.startswith("\x1b[1;31mINVALID\x1b[0m: h.csv")
    assert "\x1b" not in "".join(rest)


def finding(*checks: Check, value: Value = INVALID, isolation: str = "read committed") -> Finding:
    """A group's verdict."""
    kept = Check(name="isolation kept", value=VALID, summary="nothing")
    row = msgspec.structs.replace(_row(value), isolation=isolation)
    verdict = Verdict(value=value, isolation=kept, checks=checks, not_checked=("predicate reads: none recorded",))
    return Finding(row=row, verdict=verdict)


def report(*findings: Finding, asked: int | None = None) -> Report:
    """A run's report."""
    return Report(
        run="r1", folder="/runs/r1", rung="eager", findings=findings, asked=len(findings) if asked is None else asked
    )


def check(name: str, found: int, *anomalies: str) -> Check:
    """A check that shows these."""
    witnesses = tuple(Witness(anomaly=anomaly, sentence=f"{anomaly}.") for anomaly in anomalies)
    return Check(name=name, value=INVALID if found else VALID, summary="", found=found, witnesses=witnesses)


def test_a_run_has_the_same_keys_beside_its_own() -> None:
    """Whoever reads `verdict` and `anomalies` need not know what was judged."""
    run = report(
        finding(check("lost updates", 12, "lost-update", "lost-update")),
        finding(check("lost updates", 3, "lost-update"), check("accounting", 5, "a", "b", "b")),
        finding(value=VALID, isolation="serializable"),
    )
    found = together.as_json(run, Exit.NOT_AS_EXPECTED, None)
    assert set(KEYS) | {"rows", "rung", "run", "exit_code"} <= set(found)
    assert ("INVALID", 1, "read committed, serializable") == (found["verdict"], found["exit_code"], found["level"])
    assert ({"a": 1, "b": 2, "lost-update": 15}, ["a", "b"]) == (found["anomalies"], found["at_least"])
    assert "snapshot-isolation" in found["also_not"]
    assert ["lost updates", "accounting"] == found["checked"]
    assert ["predicate reads: none recorded"] == found["not_checked"]
    assert (6, "1-credits-naive-read-committed") == (len(found["witnesses"]), found["witnesses"][0]["group"])
    assert found == msgspec.json.decode(msgspec.json.encode(found))


def test_a_missing_group_leaves_a_run_unknown() -> None:
    """Nobody knows what it would have shown."""
    found = together.as_json(report(finding(value=VALID), asked=2), Exit.UNKNOWN, "serializable")
    assert ("UNKNOWN", "serializable") == (found["verdict"], found["level"])


def test_judgements_of_groups_are_added_up() -> None:
    """What they count and show is not told a second time by the checks."""
    one = judged(anomalies={"lost-update": 2, "G0": 1, CYCLE.anomaly: 3}, at_least=("G0",))
    other = judged(anomalies={"G0": 4}, at_least=())
    dependencies = Check(name="dependencies", value=INVALID, summary="", found=3, witnesses=(CYCLE,))
    findings = (finding(check("lost updates", 2, "lost-update"), dependencies), finding())
    run = report(
        *(
            msgspec.structs.replace(each, verdict=msgspec.structs.replace(each.verdict, dependencies=judgement))
            for each, judgement in zip(findings, (one, other), strict=True)
        )
    )
    found = together.as_json(run, Exit.NOT_AS_EXPECTED, None)
    assert {"G0": 5, "lost-update": 2} == {name: found["anomalies"][name] for name in ("G0", "lost-update")}
    guarantees = {"monotonic-reads": 4, "monotonic-writes": 2, "read-your-writes": 0, "writes-follow-reads": 0}
    assert guarantees == found["sessions"]
    assert (2_000, 2, []) == (found["transactions"], found["operations"], found["strongest"])
    assert (2, 7) == (len(found["gave_up"]), len(found["witnesses"]))
    name = "1-credits-naive-read-committed"
    assert f"{name}: 4 dependencies tested; {name}: 4 dependencies tested" == found["certificate"]


def test_what_a_group_s_judgement_leaves_out_its_checks_tell() -> None:
    """Where reads stand outside the transaction, only the check of writers sees what comes of them."""
    dependencies = Check(name="dependencies", value=INVALID, summary="", found=3, witnesses=(CYCLE,))
    group = finding(dependencies)
    blank = judged(**BLANK, value=VALID, checked=(CYCLE.anomaly,))
    told = msgspec.structs.replace(group, verdict=msgspec.structs.replace(group.verdict, dependencies=blank))
    found = together.as_json(report(told), Exit.NOT_AS_EXPECTED, None)
    assert ({CYCLE.anomaly: 3}, [CYCLE.anomaly]) == (
        found["anomalies"],
        [witness["anomaly"] for witness in found["witnesses"]],
    )


def test_the_strongest_models_are_those_that_every_group_leaves() -> None:
    """A group of which nobody knows leaves none."""
    kept = judged(**BLANK, value=VALID, checked=("G0", "G0-process", "G0-realtime"))
    group = finding(value=VALID)
    known = msgspec.structs.replace(group, verdict=msgspec.structs.replace(group.verdict, dependencies=kept))
    assert ["strong-serializable"] == together.as_json(report(known, known), Exit.AS_EXPECTED, None)["strongest"]
    assert [] == together.as_json(report(known, group), Exit.AS_EXPECTED, None)["strongest"]
