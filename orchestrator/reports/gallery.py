"""The gallery's report: a table of failures, and the evidence of each in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.padding import Padding
from rich.text import Text

from orchestrator.reports import entries
from orchestrator.reports.result import Exit
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from orchestrator.gallery.model import Shown

_HEADERS: Final = ("failure", "provoked by", "verdict", "found", "prevented by", "then")
_STYLES: Final = {Value.VALID: "green", Value.INVALID: "bold red", Value.UNKNOWN: "yellow"}


def exit_code(shown: Sequence[Shown], asked: int) -> Exit:
    """Give what the command ends with: 0 only where every failure asked for was provoked, caught and prevented."""
    if len(shown) < asked:
        return Exit.INTERRUPTED
    return Exit.AS_EXPECTED if shown and all(each.as_expected for each in shown) else Exit.NOT_AS_EXPECTED


def as_json(shown: Sequence[Shown]) -> list[dict[str, Any]]:
    """Build the list that `--json` prints, an object a failure."""
    return [
        {
            "name": each.failure.name,
            "story": each.failure.story,
            "provoked": each.failure.provoked,
            "verdict": each.verdict.value,
            "anomalies": each.anomalies,
            "witness": each.witness,
            "prevention": each.failure.prevention,
            "prevented_verdict": each.prevented_verdict.value,
            "remark": each.remark,
            "as_expected": each.as_expected,
            "runs": list(each.folders),
        }
        for each in shown
    ]


def render(shown: Sequence[Shown], asked: int, stream: TextIO) -> None:
    """Write the table, then what the verifier said of each failure; of an interrupted gallery, what it had shown."""
    console = entries.console(stream)
    if shown:
        entries.render(console, _HEADERS, [_row(each) for each in shown])
    whole = not console.is_terminal  # in a file a sentence is a line
    for each in shown:
        console.print(Text(f"{each.failure.name}: {each.failure.story}", style="bold"), soft_wrap=whole)
        said = Text(each.witness or "no witness of the expected anomaly was found")
        console.print(Text("  ") + said if whole else Padding(said, (0, 0, 0, 2)), soft_wrap=whole)
        if not each.as_expected:
            console.print(
                Text(f"  NOT AS EXPECTED: {each.remark or 'see the runs below'}", style="red"), soft_wrap=True
            )
            console.print(Text(f"  provoked in {each.folders[0]}, prevented in {each.folders[1]}"), soft_wrap=True)
    if len(shown) < asked:
        console.print(f"Interrupted: {len(shown)} of {asked} were shown.", soft_wrap=True)
    good = sum(each.as_expected for each in shown)
    console.print(f"Provoked, caught and prevented: {good} of {len(shown)}.", soft_wrap=True)


def _row(each: Shown) -> tuple[Text | str, ...]:
    found = ", ".join(f"{count:,} {name}" for name, count in each.anomalies.items())
    return (
        each.failure.name,
        each.failure.provoked,
        Text(each.verdict.value, style=_STYLES[each.verdict]),
        found or "-",
        each.failure.prevention,
        Text(each.prevented_verdict.value, style=_STYLES[each.prevented_verdict]),
    )
