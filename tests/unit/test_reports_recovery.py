"""What was broken and how soon work went on: as figures, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.reports.figures import figures
from orchestrator.reports.recovery import Recovery, lines, recovery
from orchestrator.reports.result import Finding, Report, Row, as_json
from orchestrator.reports.table import words
from orchestrator.verifier import verify
from orchestrator.verifier.columns import prepare
from orchestrator.verifier.verdict import Value
from tests.unit.histories import grant, race

if TYPE_CHECKING:
    from orchestrator.history import History
    from tests.unit.histories import Draft

#: Of the first effect, by the database's clock, microseconds; the others follow a millisecond apart.
FIRST_US = 10**12 + 1_001


def broken(*faults: tuple[str, int, int | None], **meta: Any) -> Draft:  # noqa: ANN401 - a run's own settings
    """Four effects, and faults by name, strike and healing, microseconds from the first effect."""
    draft = race(*(grant(0, 1) for _ in range(4)), **meta)
    for name, struck, healed in faults:
        healed_us = None if healed is None else FIRST_US + healed
        draft.faults.append({"name": name, "struck_us": FIRST_US + struck, "healed_us": healed_us})
    return draft


def found(draft: Draft) -> tuple[Recovery, ...]:
    """The figures of a history."""
    return recovery(prepare(draft.history()))


def row(history: History) -> Row:
    """A group's row with its figures."""
    known = msgspec.structs.asdict(figures(history, verify(history)))
    return Row(**known, name="1-credits", expected=Value.VALID, run="/runs/r1")


def test_recovery_runs_from_healing_to_the_next_effect() -> None:
    """An effect at the very moment of healing is none of the recovered."""
    expected = Recovery(name="partition", strikes=1, median_s=0.0007, max_s=0.0007, not_seen=0)
    assert (expected,) == found(broken(("partition", 100, 300)))
    expected = Recovery(name="partition", strikes=1, median_s=0.001, max_s=0.001, not_seen=0)
    assert (expected,) == found(broken(("partition", -5_000, 0)))


def test_recovery_runs_from_the_strike_where_nothing_is_to_be_healed() -> None:
    """A process that was killed is not brought back by the fault."""
    expected = Recovery(name="kill-child", strikes=1, median_s=0.0009, max_s=0.0009, not_seen=0)
    assert (expected,) == found(broken(("kill-child", 100, None)))


def test_strikes_are_told_by_name() -> None:
    """In the order of their first ones; those after which nothing came are counted apart."""
    faults = [("kill", 900, None), ("pause", 100, 200), ("kill", 1_400, None), ("kill", 2_200, None)]
    expected = (
        Recovery(name="pause", strikes=1, median_s=0.0008, max_s=0.0008, not_seen=0),
        Recovery(name="kill", strikes=4, median_s=0.0006, max_s=0.0008, not_seen=1),
    )
    assert expected == found(broken(*faults, ("kill", 3_000, None)))


def test_where_nothing_followed_there_is_no_time() -> None:
    """None, not zero."""
    assert (Recovery(name="kill", strikes=2, median_s=None, max_s=None, not_seen=2),) == found(
        broken(("kill", 3_000, None), ("kill", 9_000, None))
    )
    assert () == found(broken())


def test_the_report_says_what_struck_and_how_long_recovery_took() -> None:
    """And what was published again; a plain run says nothing of that."""
    draft = broken(("kill", 900, None), ("kill", 1_400, None), ("pause", 100, 200), ("cut", 3_000, None))
    draft.meta["faults"] = ("kill:every=1s", "pause:node1")
    draft.meta["republish"] = True
    for number in (1, 2):
        draft.operations[number]["republished"] = 1 + number
        draft.attempts[number]["redelivered"] = True
    draft.attempts[3]["outcome"] = "info"
    expected = [
        "Faults (credits, pessimistic, read committed): kill:every=1s, pause:node1",
        "  Of 4 attempts, 2 ran a redelivered message, and 1 ended info (outcome unknown).",
        "  Recovery, from healing to the next commit of any node:",
        "  pause: struck once; 0.001 s",
        "  kill: struck 2 times; median 0.000 s, at most 0.001 s",
        "  cut: struck once; no commit came after it",
        "2 operations were published again (--republish) in credits, pessimistic, read committed.",
    ]
    assert expected == list(lines(row(draft.history())))
    assert [] == list(lines(row(broken().history())))


def test_the_report_says_where_no_fault_struck_and_how_often_nothing_followed() -> None:
    """A plan alone breaks nothing."""
    draft = broken(faults=("kill:at=60s",))
    counted = "  Of 4 attempts, 0 ran a redelivered message, and 0 ended info (outcome unknown)."
    assert ["Faults (credits, pessimistic, read committed): kill:at=60s", counted, "  none struck"] == list(
        lines(row(draft.history()))
    )
    draft = broken(("kill", 900, None), ("kill", 9_000, None))
    draft.operations[0]["republished"] = 1  # before the run was resumed with --no-republish
    *_, kill, again = lines(row(draft.history()))
    assert "  kill: struck 2 times; median 0.000 s, at most 0.000 s; no commit came after 1" == kill
    assert again.startswith("1 operation was published again")


def test_the_report_says_where_nothing_was_published_again() -> None:
    """Where it was asked for; that nothing was lost is worth knowing, with faults and without."""
    (said,) = lines(row(broken(republish=True).history()))
    assert "0 operations were published again (--republish) in credits, pessimistic, read committed." == said


def test_words_and_json_have_the_figures_and_every_named_operation() -> None:
    """`recovery` by fault; `checks` with all that they name."""
    draft = broken(("kill", 900, None), faults=("kill",))
    lost = [draft.add_operation(grant(0, 1)) for _ in range(12)]
    history = draft.history()
    report = Report(
        run="r1", folder="/runs/r1", rung="", findings=(Finding(row=row(history), verdict=verify(history)),), asked=1
    )
    assert "  kill: struck once; 0.000 s" in list(words(report))
    (told,) = as_json(report)["rows"]
    assert [{"name": "kill", "strikes": 1, "median_s": 0.0001, "max_s": 0.0001, "not_seen": 0}] == told["recovery"]
    assert (["kill"], 0) == (told["faults"], told["republished"])
    assert (0, 0, False) == (told["redelivered"], told["info_attempts"], told["republish"])
    (check,) = [each for each in told["checks"] if each["name"] == "lost operations"]
    assert (lost, 12, "INVALID") == ([each["operation"] for each in check["named"]], check["found"], check["verdict"])
    assert {("lost-operation", "kill")} == {(each["anomaly"], *each["faults"]) for each in check["named"]}
