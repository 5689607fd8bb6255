"""Reports: exit codes, the object that --json prints, the table, the words, JUnit, the live line."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console

import rowrace
from orchestrator.cli.run import tell
from orchestrator.errors import ServiceError
from orchestrator.profile import Gates
from orchestrator.progress import Counts
from orchestrator.reports import junit, table
from orchestrator.reports.findings import _failed
from orchestrator.reports.live import line
from orchestrator.reports.result import Exit, Finding, Report, Row, as_json, first
from orchestrator.verifier.verdict import Check, Value, Verdict, Witness

if TYPE_CHECKING:
    from rich.table import Table

VALID, INVALID, UNKNOWN = Value.VALID, Value.INVALID, Value.UNKNOWN

STORY = "A read users/7 at seq 5, B committed seq 6, then A overwrote it: B's write is lost."


def _row(verdict: Value = VALID, expected: Value = VALID, **changes: Any) -> Row:  # noqa: ANN401 - a row's fields
    row = Row(
        name="1-credits-naive-read-committed",
        scenario="credits",
        strategy="naive",
        isolation="read committed",
        operations=400,
        ok=380,
        fail=20,
        info=0,
        lost=0,
        unpublished=0,
        attempts=450,
        conflict_rate=0.1,
        give_ups=2,
        refused=18,
        lost_updates=3,
        overlaps=40,
        p50_ms=1.0,
        p95_ms=2.0,
        p99_ms=3.0,
        max_ms=4.0,
        operations_per_s=123.4,
        verdict=verdict,
        expected=expected,
        run="/runs/r1",
    )
    return msgspec.structs.replace(row, **changes)


def _finding(row: Row) -> Finding:
    witness = Witness(anomaly="lost-update", sentence=STORY, row="users/7")
    check = Check(
        name="lost updates",
        value=row.verdict,
        summary="looked at 9 writes",
        found=1,
        witnesses=(witness,) if row.verdict is INVALID else (),
    )
    kept = Check(name="isolation kept", value=VALID, summary="read committed: nothing prohibited was seen")
    return Finding(
        row=row, verdict=Verdict(value=row.verdict, isolation=kept, checks=(check,), not_checked=("cycles",))
    )


def _report(*rows: Row, **changes: Any) -> Report:  # noqa: ANN401 - a report's fields
    report = Report(
        run="r1",
        folder="/runs/r1",
        rung="embedded PostgreSQL 18",
        findings=tuple(_finding(row) for row in rows),
        asked=len(rows),
    )
    return msgspec.structs.replace(report, **changes)


@pytest.mark.parametrize(
    ("verdict", "expected", "code", "remark"),
    [
        (VALID, VALID, Exit.AS_EXPECTED, None),
        (INVALID, INVALID, Exit.AS_EXPECTED, None),
        (INVALID, VALID, Exit.NOT_AS_EXPECTED, "not as expected"),
        (VALID, INVALID, Exit.UNKNOWN, "control not provoked"),
        (UNKNOWN, VALID, Exit.UNKNOWN, "unknown"),
        (UNKNOWN, INVALID, Exit.UNKNOWN, "unknown"),
    ],
)
def test_a_group_s_exit(verdict: Value, expected: Value, code: Exit, remark: str | None) -> None:
    """What a verdict is worth depends on what was expected."""
    row = _row(verdict, expected)
    assert (code, remark) == (row.exit, row.remark)


def test_a_failed_gate_is_1_whatever_the_verdict() -> None:
    """A gate stands beside the verdict."""
    assert Exit.NOT_AS_EXPECTED == _row(gates=("p99 latency is 9 ms",)).exit


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ((Exit.AS_EXPECTED, Exit.UNKNOWN), Exit.UNKNOWN),
        ((Exit.UNKNOWN, Exit.NOT_AS_EXPECTED), Exit.NOT_AS_EXPECTED),
        ((Exit.NOT_AS_EXPECTED, Exit.INTERRUPTED), Exit.INTERRUPTED),
        ((Exit.INTERRUPTED, Exit.SERVICE), Exit.SERVICE),
        ((Exit.SERVICE, Exit.USAGE), Exit.USAGE),
        ((), Exit.AS_EXPECTED),
    ],
)
def test_precedence(reasons: tuple[Exit, ...], told: Exit) -> None:
    """2, 4, 130, 1, 3, 0."""
    assert told == first(reasons)


def test_an_interrupted_run_is_130_even_where_it_found_something() -> None:
    """Interrupting comes before what was found."""
    assert Exit.INTERRUPTED == _report(_row(INVALID), interrupted=True).exit_code


def test_nothing_raced_is_unknown() -> None:
    """Nothing looked at is not success."""
    assert Exit.UNKNOWN == _report().exit_code


def test_json_has_the_promised_keys() -> None:
    """Scripts rely on these."""
    found = as_json(_report(_row(INVALID, INVALID)))
    (row,) = found["rows"]
    promised = (
        "scenario strategy isolation operations ok fail info attempts conflict_rate p50_ms p95_ms p99_ms max_ms "
        "operations_per_s verdict expected run"
    )
    assert set(promised.split()) <= set(row)
    assert ("INVALID", "/runs/r1", STORY) == (row["verdict"], row["run"], row["witness"])
    assert (0, "embedded PostgreSQL 18") == (found["exit_code"], found["rung"])
    assert found == msgspec.json.decode(msgspec.json.encode(found))


def test_the_table_has_a_row_per_group() -> None:
    """Cells stand in the order of the columns."""
    report = _report(_row(), _row(INVALID))
    built = table.table(report)
    assert 2 == built.row_count
    assert len(built.columns) == len(table.cells(report.rows[0]))
    assert ["VALID", "VALID"] == table.cells(report.rows[0])[-2:]
    assert ["INVALID", "VALID (not as expected)"] == table.cells(report.rows[1])[-2:]


def test_figures_that_do_not_exist_are_dashes() -> None:
    """A group without a settled operation has no latency."""
    blank = _row(p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None, operations_per_s=None)
    assert 5 == table.cells(blank).count("-")


def test_words_tell_the_witness_the_rung_and_how_to_run_it_again() -> None:
    """What the table can't say is said below it."""
    text = " ".join(" ".join(table.words(_report(_row(INVALID, INVALID), notes=("A note.",)))).split())
    assert STORY in text
    assert "It stood on embedded PostgreSQL 18." in text
    assert "Not shown: cycles" in text
    assert "rowrace run --profile /runs/r1/profile.toml" in text
    assert "A note." in text
    assert "As expected: 1 of 1 group; exit code 0." in text
    assert "Isolation kept by the database in 1 group" in text


@pytest.mark.parametrize("command", ["rowrace run", "rowrace hosts"])
def test_the_command_that_runs_it_again_is_told(command: str) -> None:
    """In words, and to machines, `rowrace verify` among them."""
    report = _report(_row(), command=command)
    assert command == as_json(report)["command"]
    assert any(f"run it again with: {command} --profile" in line for line in table.words(report))


@pytest.mark.parametrize(
    ("verdicts", "asked", "ends", "said"),
    [
        ((INVALID, VALID), 2, Exit.NOT_AS_EXPECTED, "INVALID in 1 of 2 groups; exit code 1"),
        ((VALID,), 1, Exit.AS_EXPECTED, "VALID in 1 of 1 group; exit code 0"),
        ((UNKNOWN, VALID), 3, Exit.UNKNOWN, "UNKNOWN in 2 of 3 groups; exit code 3"),
    ],
)
def test_where_nothing_was_expected_the_code_says_the_verdict(
    verdicts: tuple[Value, ...], asked: int, ends: Exit, said: str
) -> None:
    """A group that is missing is UNKNOWN."""
    report = _report(*(_row(verdict, INVALID) for verdict in verdicts), asked=asked, ends=ends)
    lines = list(table.words(report))
    assert f"{said} (verify doesn't count what was expected)." in lines
    assert not any(line.startswith("As expected") for line in lines)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_service_that_failed_in_mid_run_is_told_beside_the_report(
    as_json: bool,  # noqa: FBT001 - a case
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The group that was not raced is not among those that are as expected."""
    note = "Ended early, with 1 of 2 groups judged: The broker does not answer."
    tell(_report(_row(), asked=2, ends=Exit.SERVICE, notes=("Another.", note)), as_json=as_json, junit=None)
    said = capsys.readouterr()
    assert (f"rowrace: {note}\n", True) == (said.err, as_json or "As expected: 1 of 2 groups; exit code 4." in said.out)


def test_the_public_api_gives_no_report_that_lacks_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at its rows would not miss those that are not there."""
    cut = _report(_row(), asked=2, ends=Exit.SERVICE, notes=("Ended early.",))
    monkeypatch.setattr("orchestrator.api.run", lambda *_, **__: cut)
    with pytest.raises(ServiceError, match=r"\AEnded early\. What was judged is in /runs/r1\.\Z"):
        rowrace.race(operations=20)


def test_words_name_a_control_that_was_not_provoked() -> None:
    """A control that caught nothing proves nothing."""
    assert "Control not provoked (credits, naive, read committed)" in "\n".join(
        table.words(_report(_row(VALID, INVALID)))
    )


def test_words_say_how_much_of_an_interrupted_run_is_judged() -> None:
    """An interrupted run says so."""
    assert "Interrupted: 1 of 3 groups" in "\n".join(table.words(_report(_row(UNKNOWN), interrupted=True, asked=3)))


def test_rendered_elsewhere_than_on_a_terminal_nothing_wraps() -> None:
    """In a file each group is one line."""
    stream = io.StringIO()
    table.render(_report(_row(strategy="a-strategy-with-quite-a-long-name")), stream)
    (shown,) = [each for each in stream.getvalue().splitlines() if "a-strategy-with-quite-a-long-name" in each]
    assert shown.rstrip().endswith("VALID     VALID")


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (Gates(max_p99_ms=2.5), ["p99 latency is 3.0 ms, at most 2.5 is allowed"]),
        (Gates(max_give_ups=1), ["2 operations gave up, at most 1 may"]),
        (Gates(max_conflict_rate=0.05), ["the conflict rate is 10.0%, at most 5.0% is allowed"]),
        (Gates(max_p99_ms=3.0, max_give_ups=2, max_conflict_rate=0.1), []),
        (Gates(), []),
    ],
)
def test_gates(gates: Gates, said: list[str]) -> None:
    """A gate fails where its figure is above it, and not where it is on it."""
    assert said == list(_failed(gates, _row()))


def test_junit_counts_failures_and_errors() -> None:
    """Not as expected is a failure, nothing shown is an error, and as expected is a plain case."""
    suite = junit.build(_report(_row(), _row(INVALID), _row(UNKNOWN), _row(INVALID, INVALID)))
    assert ("4", "1", "1") == (suite.get("tests"), suite.get("failures"), suite.get("errors"))
    failure = suite.findall("testcase")[1].find("failure")
    assert failure is not None
    assert STORY == failure.text
    assert "INVALID, expected VALID: not as expected" == failure.get("message")


def test_the_live_line() -> None:
    """Published, settled, outcomes, conflicts, rate, nodes."""
    counts = Counts(settled=50, ok=45, fail=4, info=1, attempts=60, conflicts=10, nodes={"node1": 31, "node2": 29})
    expected = (
        "g: published 100/400, settled 50 (ok 45, fail 4, info 1), conflicts 10, 25 operations/s, "
        "attempts node1 31, node2 29"
    )
    assert expected == line("g", 400, 100, counts, 2.0)


@pytest.mark.parametrize("width", [60, 80, 120, 160, 250])
def test_a_terminal_gets_whole_words(width: int) -> None:
    """Columns are left out, and named, before a cell is folded; the verdict stays."""
    console = Console(width=width, file=io.StringIO())
    built, left_out = table.fitting(_report(_row(VALID), _row(INVALID, INVALID)), console)
    headers = [str(column.header) for column in built.columns]
    assert ["scenario", "strategy", "isolation"] == headers[:3]
    assert "verdict" in headers
    assert set(headers).isdisjoint(left_out)
    assert all(len(line) <= width for line in _drawn(built, console))


def _drawn(built: Table, console: Console) -> list[str]:
    return ["".join(segment.text for segment in line).rstrip() for line in console.render_lines(built)]
