"""Whether two runs of one schedule did the same: a digest to keep, and a comparison that says where they part."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestrator.explorer.names import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.explorer.model import Execution, Record

#: Hexadecimal digits of a digest.
DIGEST: Final = 8
#: Texts and numbers within a statement, and numbers that end a generated name (a savepoint's, a cursor's).
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'|(?<![A-Za-z0-9])[0-9]+(?:\.[0-9]+)?")
_SPACE: Final = re.compile(r"\s+")


@lru_cache(maxsize=4096)
def shape(statement: str) -> str:
    """Give a statement without what differs from run to run: its literals and its white space."""
    return _SPACE.sub(" ", _LITERAL.sub("#", statement)).strip()


def outcome(record: Record) -> str:
    """Give how a step went: whether it waited, its error's class, its count."""
    if record.choice != record.worker:
        return "crash"
    answer = error_class(record.error) if record.error else "ok"
    return f"{'blocked ' if record.blocked else ''}{answer} {record.count}"


def error_class(error: str) -> str:
    """Give the class of a record's error."""
    return error.split(":", 1)[0]


def digest_of(records: Sequence[Record], length: int = DIGEST) -> str:
    """Digest what the steps were and how they went, in order."""
    state = sha256()
    for record in records:
        point = record.point
        line = f"{record.worker}\t{point.kind}\t{shape(point.statement)}\t{outcome(record)}\n"
        state.update(line.encode(errors="backslashreplace"))
    return state.hexdigest()[:length]


class Difference(NamedTuple):
    """Where two runs of one schedule part."""

    #: The step's number, from 0; the number of steps where only the ends differ.
    step: int
    worker: int | None
    #: What the first run's worker did there.
    statement: str
    #: What differs, in words.
    what: str

    def sentence(self, names: Sequence[str] = ()) -> str:
        """Say it."""
        if self.worker is None:
            return f"After the last step, {self.what}."
        doing = f" ({self.statement})" if self.statement else ""
        return f"At step {self.step + 1}, {name_of(self.worker, names)}{doing}: {self.what}."


def compare(first: Execution, second: Execution, *, values: bool = False) -> Difference | None:
    """Find the first step at which two runs differ; with `values`, parameters, rows read and the ends count too."""
    for step, (one, other) in enumerate(zip(first.records, second.records, strict=False)):
        what = _offered(first, second, step) or next(_differences(one, other, values=values), "")
        if what:
            return Difference(step, one.worker, shape(one.point.statement) or one.point.kind, what)
    if len(first.records) != len(second.records):
        return _longer(first, second)
    what = next(_ends(first, second), "") if values else ""
    return Difference(len(first.records), None, "", what) if what else None


def _offered(first: Execution, second: Execution, step: int) -> str:
    """Say how two runs differ in who could have run."""
    if step >= min(len(first.ready), len(second.ready)) or first.ready[step] == second.ready[step]:
        return ""
    one, other = (_choices(each.ready[step], each.workers) for each in (first, second))
    return f"{one} could run the first time, {other} the second"


def _choices(ready: Sequence[int], workers: int) -> str:
    return ", ".join(f"{'crash of ' if each >= workers else ''}{name_of(each % workers)}" for each in ready)


def _differences(one: Record, other: Record, *, values: bool) -> Iterator[str]:
    """Say how a step differs, the plainest first."""
    if one.worker != other.worker:
        yield f"the second time {name_of(other.worker)} ran"
    if one.choice != other.choice:
        yield f"the {'second' if other.choice != other.worker else 'first'} time it crashed"
    if one.point.kind != other.point.kind or shape(one.point.statement) != shape(other.point.statement):
        yield f"the second time it sent {_clip(shape(other.point.statement) or other.point.kind)}"
    if values and repr(one.point.parameters) != repr(other.point.parameters):
        yield _twice("parameters", one.point.parameters, other.point.parameters)
    if one.blocked != other.blocked:
        yield f"it had to wait only the {'first' if one.blocked else 'second'} time"
    if error_class(one.error) != error_class(other.error):
        yield _twice("error", error_class(one.error) or "none", error_class(other.error) or "none")
    if one.count != other.count:
        yield _twice("rows", one.count, other.count)
    if one.answered != other.answered:
        yield _twice("answered at step", one.answered + 1, other.answered + 1)
    if values and one.rows != other.rows:
        yield _twice("read", one.rows, other.rows)


def _ends(first: Execution, second: Execution) -> Iterator[str]:
    for worker, (one, other) in enumerate(zip(first.endings, second.endings, strict=True)):
        if one.shown != other.shown:
            yield _twice(f"{name_of(worker)} ended with", one.shown, other.shown)
    if first.state != second.state:
        yield "the rows that are left differ"


def _longer(first: Execution, second: Execution) -> Difference:
    step = min(len(first.records), len(second.records))
    runs, which = (first, "first") if len(first.records) > step else (second, "second")
    record = runs.records[step]
    doing = shape(record.point.statement) or record.point.kind
    return Difference(step, record.worker, doing, f"only the {which} run has this step")


def _twice(what: str, one: Any, other: Any) -> str:  # noqa: ANN401 - shown by their repr
    return f"{what} {_clip(one)} the first time, {_clip(other)} the second"


def _clip(value: Any, most: int = 80) -> str:  # noqa: ANN401 - shown by its repr
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"
