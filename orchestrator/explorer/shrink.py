"""Shrinking: the same anomaly with fewer workers, fewer switches between them, and less for them to do.

Each candidate is run, and what really happened becomes the schedule that is shrunk further.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.explorer.judging import Anomaly, Judge
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Step
    from orchestrator.explorer.search import Arena

    Same = Callable[[Execution], bool]

#: Replays that a shrink may take.
REPLAYS: Final = 200


class Variant(NamedTuple):
    """A smaller arena: fewer workers, fewer operations, or smaller parameters."""

    arena: Arena
    #: Which worker of the larger arena each of this one's is; empty: the same ones.
    kept: tuple[int, ...] = ()
    #: What is to go wrong in it; None: what the larger one's judge finds.
    same: Same | None = None


class Shrunk(NamedTuple):
    """The smallest schedule that was found."""

    arena: Arena
    execution: Execution
    #: Which workers of the arena that it was found in are left.
    kept: tuple[int, ...]
    #: Replays it took.
    replays: int
    #: Context switches before and after.
    before: int
    after: int


class Lenient:
    """Follows choices as long as they can be made, and otherwise stays with the worker that runs."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = choices
        self._next = 0

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Give the next of the choices that can be made, leaving out those before it."""
        while self._next < len(self._choices):
            chosen = self._choices[self._next]
            self._next += 1
            if chosen in ready:
                return chosen
        last = ready[0] if step.last is None else step.last % len(step.points)
        return last if last in ready else ready[0]


def switches(choices: Sequence[int], workers: int) -> int:
    """Count how often another worker goes on than the one before."""
    return max(0, sum(1 for _ in groupby(choices, key=lambda choice: choice % workers)) - 1)


def keeps(judge: Judge, anomaly: Anomaly) -> Same:
    """Say that an execution shows an anomaly still: one of the same name and witness."""

    def same(execution: Execution) -> bool:
        return any((each.name, each.witness) == (anomaly.name, anomaly.witness) for each in judge(execution))

    return same


def shrink(
    arena: Arena,
    execution: Execution,
    same: Same,
    variants: Callable[[Arena], Iterable[Variant]] = lambda _arena: (),
    replays: int = REPLAYS,
) -> Shrunk:
    """Make a failing execution smaller for as long as the same thing goes wrong.

    `variants` gives what may be left out of an arena, the most worth leaving out first: workers, then operations, then
    parameters.  It is asked again for every smaller arena that fails too.
    """
    shrinking = _Shrinking(arena, execution, same, replays)
    shrinking.merge()
    while shrinking.leave_out(variants):
        shrinking.merge()
    before, after = (switches(each.choices, each.workers) for each in (execution, shrinking.best))
    return Shrunk(shrinking.arena, shrinking.best, shrinking.kept, replays - shrinking.left, before, after)


class _Shrinking:
    """The smallest failing execution so far, and how much more may be tried."""

    def __init__(self, arena: Arena, execution: Execution, same: Same, replays: int) -> None:
        self.arena, self.best, self.left = arena, execution, replays
        self.kept = tuple(range(execution.workers))
        self._same = same
        self._tried = {execution.choices}

    def merge(self) -> None:
        """Take whatever makes fewer segments, until nothing does."""
        while any(self._better(candidate) for candidate in _candidates(self.best)):
            pass

    def leave_out(self, variants: Callable[[Arena], Iterable[Variant]]) -> bool:
        """Take the first smaller arena in which it goes wrong too."""
        for variant in variants(self.arena):
            for choices in _translated(self.best, variant):
                execution = self._run(variant.arena, choices, variant.same or self._same)
                if execution is not None:
                    self._take(variant, execution)
                    return True
        return False

    def _take(self, variant: Variant, execution: Execution) -> None:
        """Go on with a smaller arena."""
        self.arena, self.best, self._tried = variant.arena, execution, {execution.choices}
        self.kept = tuple(self.kept[worker] for worker in variant.kept) if variant.kept else self.kept
        self._same = variant.same or self._same

    def _better(self, choices: tuple[int, ...]) -> bool:
        """Try a candidate, and keep what it did if that is smaller and wrong in the same way."""
        if choices in self._tried:
            return False
        self._tried.add(choices)
        execution = self._run(self.arena, choices, self._same)
        if execution is None or _cost(execution) >= _cost(self.best):
            return False
        self.best = execution
        self._tried.add(execution.choices)
        return True

    def _run(self, arena: Arena, choices: Sequence[int], same: Same) -> Execution | None:
        """Run a candidate; None where the anomaly is gone, or nobody can say."""
        if not self.left:
            return None
        self.left -= 1
        try:
            execution = arena.run(Lenient(choices))
            return execution if same(execution) else None
        except ExplorerError:
            return None


def _cost(execution: Execution) -> tuple[int, ...]:
    """Compare executions: fewer crashes, then fewer switches, then fewer waits, then fewer steps."""
    choices, workers = execution.choices, execution.workers
    waits = sum(record.blocked for record in execution.records)
    return sum(choice >= workers for choice in choices), switches(choices, workers), waits, len(choices)


def _translated(execution: Execution, variant: Variant) -> Iterator[tuple[int, ...]]:
    """Give an execution's choices as those of a variant's workers."""
    kept = variant.kept or tuple(range(execution.workers))
    now = {old: new for new, old in enumerate(kept)}
    size, fewer = execution.workers, variant.arena.workers
    yield tuple(
        now[choice % size] + (fewer if choice >= size else 0) for choice in execution.choices if choice % size in now
    )


# candidates


def _candidates(execution: Execution) -> Iterator[tuple[int, ...]]:
    """Give schedules with fewer segments, those that may save most first."""
    size = execution.workers
    segments = [list(run) for _, run in groupby(execution.choices, key=lambda choice: choice % size)]
    yield from _without_crashes(execution)
    yield from _ended_in_turn(segments, size)
    for at in range(len(segments)):
        yield from _joined(segments, at, size)
    if len(segments) > len({run[0] % size for run in segments}) + 1 or any(each.blocked for each in execution.records):
        yield from _once_interrupted(execution)


def _without_crashes(execution: Execution) -> Iterator[tuple[int, ...]]:
    size = execution.workers
    for at, choice in enumerate(execution.choices):
        if choice >= size:
            yield (*execution.choices[:at], choice % size, *execution.choices[at + 1 :])


def _ended_in_turn(segments: list[list[int]], size: int) -> Iterator[tuple[int, ...]]:
    """Let, from one segment on, each worker run to its end, in the order in which they come."""
    for at in range(len(segments)):
        order = dict.fromkeys(run[0] % size for run in segments[at:])
        rest = [choice for worker in order for run in segments[at:] for choice in run if choice % size == worker]
        yield (*(choice for run in segments[:at] for choice in run), *rest)


def _once_interrupted(execution: Execution) -> Iterator[tuple[int, ...]]:
    """Let one worker begin, all the others run to their ends, and the one go on: the least that is not serial."""
    size = execution.workers
    taken = [[choice for choice in execution.choices if choice % size == worker] for worker in range(size)]
    for worker in dict.fromkeys(choice % size for choice in execution.choices):
        others = [choice for other in range(size) if other != worker for choice in taken[other]]
        for count in range(1, len(taken[worker])):
            yield (*taken[worker][:count], *others, *taken[worker][count:])


def _joined(segments: list[list[int]], at: int, size: int) -> Iterator[tuple[int, ...]]:
    """Join a segment with its worker's next one: bring that forward, or put this one off."""
    worker = segments[at][0] % size
    other = next((each for each in range(at + 2, len(segments)) if segments[each][0] % size == worker), None)
    if other is None:
        return
    between = segments[at + 1 : other]
    for middle in ([segments[at], segments[other], *between], [*between, segments[at], segments[other]]):
        yield tuple(choice for run in [*segments[:at], *middle, *segments[other + 1 :]] for choice in run)
