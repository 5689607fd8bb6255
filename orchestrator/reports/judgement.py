"""What a history's dependencies say, as data and as lines of text."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from orchestrator.verifier.dependencies import LEVELS, rules_out
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import TextIO

    from orchestrator.verifier.verdict import Judgement, Participant, Witness

#: Columns that a line may take.
_WIDTH: Final = 110

#: What cycles of a class are called elsewhere; a variant adds by which order it comes about.
_GLOSSES: Final = {
    "G0": "dirty write cycle",
    "G1c": "circular information flow",
    "G-single-item": "read skew",
    "G-nonadjacent-item": "several read skews in a ring; a long fork if reads and writes take turns",
    "G2-item": "write skew",
    "G-single": "read skew by a predicate",
    "G-nonadjacent": "several read skews in a ring, some by a predicate",
    "G2": "write skew by a predicate",
}
_VARIANTS: Final = {"-process": ", through the order of a session", "-realtime": ", through the order of time"}

#: Where nothing of transactions is left, this is ruled out.
_WEAKEST: Final = "read-uncommitted"

_NO_HISTORY: Final = "(no smaller history in the plain form: it rests on appends that nobody read, or on predicates)"

_STYLES: Final = {Value.VALID: "green", Value.INVALID: "bold red", Value.UNKNOWN: "yellow"}


def as_json(judgement: Judgement) -> dict[str, Any]:
    """Build the object that `--json` prints, but for the exit code."""
    return {
        "verdict": judgement.value.value,
        "level": judgement.level,
        "anomalies": judgement.anomalies,
        "at_least": list(judgement.at_least),
        "not": list(judgement.ruled_out),
        "also_not": list(judgement.also_ruled_out),
        "strongest": list(judgement.strongest),
        "sessions": judgement.sessions,
        "checked": list(judgement.checked),
        "not_checked": list(judgement.not_checked),
        "witnesses": [witness_json(witness) for witness in judgement.witnesses],
        "certificate": judgement.certificate,
        "gave_up": list(judgement.gave_up),
        "transactions": judgement.transactions,
        "operations": judgement.operations,
    }


def witness_json(witness: Witness) -> dict[str, Any]:
    """Build one of `witnesses`."""
    return {
        "anomaly": witness.anomaly,
        "sentence": witness.sentence,
        "row": witness.row,
        "transactions": [msgspec.to_builtins(each) for each in witness.transactions],
        "steps": [msgspec.to_builtins(each) for each in witness.steps],
        "contradiction": witness.contradiction,
        "history": list(witness.history),
    }


def lines(judgement: Judgement, asked: str, name: str, width: int = _WIDTH) -> list[str]:
    """Say it all: the verdict first, with its evidence, then each anomaly, then what was looked at and what wasn't."""
    told = [f"{judgement.value.value}: {name}", *_facts(judgement, asked)]
    for anomaly, count in judgement.anomalies.items():
        told += ["", *_anomaly(judgement, anomaly, count)]
    told += ["", *_limits(judgement)]
    return [part for line in told for part in _wrapped(line, width)]


def render(judgement: Judgement, asked: str, name: str, stream: TextIO) -> None:
    """Write the report; in colour where the stream is a terminal."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    first, *rest = lines(judgement, asked, name, min(console.width, _WIDTH) if console.is_terminal else _WIDTH)
    value, colon, after = first.partition(":")
    console.print(Text.assemble((value, _STYLES[judgement.value]), colon + after))
    for line in rest:
        console.print(Text(line))


def _facts(judgement: Judgement, asked: str) -> Iterator[str]:
    transactions = _counted(judgement.transactions, "committed transaction")
    yield f"{transactions}, {_counted(judgement.operations, 'micro-operation')}."
    yield _asked(judgement, asked)
    if judgement.strongest:
        yield f"Strongest that survives: {', '.join(judgement.strongest)}."
    elif _WEAKEST in (*judgement.ruled_out, *judgement.also_ruled_out):
        yield "Strongest that survives: none."
    if judgement.ruled_out:
        others = f", and with them {', '.join(judgement.also_ruled_out)}" if judgement.also_ruled_out else ""
        yield f"Ruled out: {', '.join(judgement.ruled_out)}{others}."
    if judgement.sessions:
        broken = [f"{guarantee} violated {_times(count)}" for guarantee, count in judgement.sessions.items() if count]
        kept = [guarantee for guarantee, count in judgement.sessions.items() if not count]
        yield f"Sessions: {'; '.join([*broken, *([', '.join(kept) + ' kept'] if kept else [])])}."


def lacking(judgement: Judgement) -> str:
    """Name what the level speaks of and the history has none of: "times", "sessions", or nothing."""
    needs = judgement.level.startswith("strong-")
    session = judgement.level.startswith("strong-session-")
    variant, what = ("-process", "sessions") if session else ("-realtime", "times")
    there = any(name.endswith(variant) for name in judgement.checked)
    return what if needs and not there else ""


def _asked(judgement: Judgement, asked: str) -> str:
    """Say what was asked for, and whether it was kept, with the evidence."""
    meant = "" if LEVELS.get(asked) in (None, asked) else f" ({judgement.level})"
    if judgement.value is Value.INVALID:
        guilty = [name for name in judgement.anomalies if rules_out(name, judgement.level)]
        return f"Asked for {asked}{meant}: ruled out by {', '.join(_count(judgement, name) for name in guilty)}."
    if judgement.value is Value.UNKNOWN:
        why = "there is nothing to check, no dependency and no committed read"
        if judgement.gave_up:
            why = "a search gave up"
        elif what := lacking(judgement):
            why = f"it needs {what}, and none are recorded"
        return f"Asked for {asked}{meant}: not decided; {why}."
    permitted = ", ".join(_count(judgement, name) for name in judgement.anomalies)
    found = f"what was found, {permitted}, the level permits" if permitted else "no anomaly was found"
    return f"Asked for {asked}{meant}: kept; {found}."


def _anomaly(judgement: Judgement, anomaly: str, count: int) -> Iterator[str]:
    witnesses = [witness for witness in judgement.witnesses if witness.anomaly == anomaly]
    row = f", the first on {witnesses[0].row}" if witnesses and witnesses[0].row is not None else ""
    gloss = _gloss(anomaly)
    yield f"{_count(judgement, anomaly)}{row}{f': {gloss}' if gloss else ''}"
    if witnesses:
        yield from _witness(witnesses[0])
    if witnesses and count > 1:
        yield f"  … {count - 1:,} more{' at least' if anomaly in judgement.at_least else ''}"


def _gloss(anomaly: str) -> str:
    """Say in a few words what cycles of a class are; of what is no cycle the name says it."""
    for variant, order in _VARIANTS.items():
        base = anomaly.removesuffix(variant)
        if base != anomaly:
            return f"{_GLOSSES[base]}{order}" if base in _GLOSSES else ""
    return _GLOSSES.get(anomaly, "")


def _witness(witness: Witness) -> Iterator[str]:
    """Tell the first witness of an anomaly in full; without steps, its sentence says who takes part."""
    if witness.steps:
        for number, participant in enumerate(witness.transactions, start=1):
            yield f"  T{number} is {participant.name}{_details(participant)}"
        yield from (f"  {step.sentence}" for step in witness.steps)
        yield f"  {witness.contradiction}"
    else:
        yield f"  {witness.sentence}"
    if witness.history:
        yield "  The smallest history that still shows it:"
        yield from (f"    {json.dumps(line, ensure_ascii=False)}" for line in witness.history)
    elif witness.steps:
        yield f"  {_NO_HISTORY}"


def _details(participant: Participant) -> str:
    """Say what the name doesn't say already."""
    told = [f"{name} {_plain(value)}" for name, value in participant.details.items() if value is not None]
    new = [each for each in told if each not in participant.name]
    return f" ({', '.join(new)})" if new else ""


def _plain(value: Any) -> str:  # noqa: ANN401 - a JSON value
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _limits(judgement: Judgement) -> Iterator[str]:
    yield f"Checked: {', '.join(_families(judgement.checked)) or 'nothing'}."
    yield from (f"Not checked: {sentence}." for sentence in judgement.not_checked)
    if judgement.certificate:
        yield f"Cycles: {judgement.certificate}."
    yield from (f"Gave up: {sentence}." for sentence in judgement.gave_up)
    yield "What each means: docs/verifier.md, docs/anomalies.md."


def _families(checked: Collection[str]) -> Iterator[str]:
    """Name a class of cycles and its variants once."""
    for name in checked:
        base = name.removesuffix("-process").removesuffix("-realtime")
        variants = [variant for variant in ("-process", "-realtime") if base + variant in checked]
        if name == base:
            yield f"{name} (also {' and '.join(variants)})" if variants else name
        elif base not in checked:
            yield name


def _count(judgement: Judgement, name: str) -> str:
    least = "at least " if name in judgement.at_least else ""
    return f"{name} ({least}{judgement.anomalies[name]:,})"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _wrapped(line: str, width: int) -> Iterable[str]:
    """Break a long line between words, and indent what goes on; a line of the plain form stays whole, to be copied."""
    indent = line[: len(line) - len(line.lstrip())]
    if len(line) <= width or line.lstrip().startswith("{"):
        return (line,)
    return textwrap.wrap(line, width, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False)
