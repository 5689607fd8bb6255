"""DPOR: one schedule at least of every set that differs only in the order of independent steps.

Flanagan and Godefroid 2005, "Dynamic partial-order reduction for model checking software", with sleep sets (Godefroid
1996): after each schedule, each pair of dependent steps that nothing between them orders asks for the other order.
Sleep sets ask that what is tried first be one of the source set (Abdulla, Aronis, Jonsson, Sagonas 2014, "Optimal
dynamic partial order reduction"): the racing step itself may be asleep there, and yet not all its orders be run.
A crash reorders nothing, so wherever one may be chosen it is tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.dependence import Dependence
from orchestrator.explorer.replay import parted
from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Event, Execution
    from orchestrator.explorer.scheduler import Step


class Redundant(ExplorerError):
    """The schedule would repeat one that was run, with independent steps in another order."""


class _Node:
    """A step of the current schedule, and what else is to be tried in its place."""

    __slots__ = ("back", "clock", "current", "done", "event", "ready", "sleep", "wakes", "worker")

    def __init__(self, ready: tuple[int, ...], sleep: dict[int, int]) -> None:
        self.ready = ready
        #: Choices whose schedules were all run already from a step before, by their events' numbers.
        self.sleep = sleep
        #: Choices that were tried here, likewise.
        self.done: dict[int, int] = {}
        #: Choices that must be tried.
        self.back: set[int] = set()
        self.current = -1
        self.worker = -1
        #: The number of the event that the current choice was; -1 until it is known.
        self.event = -1
        self.wakes: tuple[int, ...] = ()
        #: The last step of each worker that comes before this one in every equivalent schedule.
        self.clock: list[int] = []

    def next(self) -> int:
        """Give a choice that must be tried and was not; -1 where there is none."""
        left = self.back.difference(self.done, self.sleep) if len(self.back) > len(self.done) else ()
        return min(left, default=-1)


class Dpor:
    """A depth-first search over classes of equivalent schedules.

    With `within_bounds` it is fit for `Bounded`: of equivalent schedules only some are within a bound, so nobody
    sleeps, and a step is also tried before the uninterrupted steps that a race is among (Coons, Musuvathi, McKinley
    2013, "Bounded partial-order reduction").
    """

    name = "dpor"

    def __init__(self, isolation: str, *, within_bounds: bool = False) -> None:
        self.complete = False
        self._within_bounds = within_bounds
        self._dependence = Dependence(isolation)
        self._nodes: list[_Node] = []
        #: Steps of the current schedule that are given; the last of them is new.
        self._given = 0
        self._workers = 0
        self._begun = False
        self._learnt = True
        self._whole = True

    def begin(self) -> bool:
        """Go back to the deepest step where something is left to try."""
        self._whole = self._whole and self._learnt
        self._learnt = False
        if not self._begun:
            self._begun = True
            return True
        nodes = self._nodes
        while nodes:
            node = nodes[-1]
            if node.event >= 0:
                node.done[node.current] = node.event
            else:
                node.back.discard(node.current)
            choice = node.next()
            if choice >= 0:
                node.current, node.worker, node.event = choice, choice % self._workers, -1
                self._given = len(nodes)
                return True
            nodes.pop()
        self._learnt = True
        self.complete = self._whole
        return False

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Repeat what is given; then stay with the worker that ran last, as long as that is new."""
        number = step.number
        if number < self._given:
            node = self._nodes[number]
            if node.ready != tuple(ready):
                raise parted(node.ready, ready, step)
            return node.current
        self._workers = len(step.points)
        sleep = self._after(step.events[-1]) if number else {}
        node = _Node(tuple(ready), sleep)
        awake = [choice for choice in ready if choice not in sleep]
        if not awake and not step.unforeseen:  # those must be heard of, or their search passed for complete
            self._races(step.events)
            self._learnt = True
            raise Redundant
        awake = awake or list(ready)
        stay = -1 if step.last is None else step.last % self._workers
        return self._add(node, stay if stay in awake else awake[0])

    def learn(self, execution: Execution) -> None:
        """Find the races of a schedule, and what to try for each."""
        self._learnt = True
        self._whole = self._whole and not execution.cut
        if execution.events:
            self._happened(self._nodes[-1], execution.events[-1])
            self._races(execution.events)

    def _add(self, node: _Node, choice: int) -> int:
        """Go on with a new step."""
        node.current, node.worker = choice, choice % self._workers
        node.back.add(choice)
        if node.ready[-1] >= self._workers:
            node.back.update(each for each in node.ready if each >= self._workers)
        self._nodes.append(node)
        return choice

    def _happened(self, node: _Node, event: Event) -> None:
        node.event, node.wakes = self._dependence.number(event), event.wakes

    def _after(self, event: Event) -> dict[int, int]:
        """Give who sleeps after the last step: who slept or was tried before it and doesn't depend on it."""
        node, dependence = self._nodes[-1], self._dependence
        self._happened(node, event)
        if self._within_bounds:
            return {}
        happened = node.event
        return {
            choice: other
            for known in (node.sleep, node.done)
            for choice, other in known.items()
            if not dependence(other, happened)
        }

    # races

    def _races(self, events: Sequence[Event]) -> None:
        """Look at each step from the new one on; what is before it was looked at with an earlier schedule."""
        nodes, last, woken = self._nodes, [-1] * self._workers, [-1] * self._workers
        new = max(self._given - 1, 0)
        for number in range(len(events)):
            node = nodes[number]
            if number >= new:
                self._clock(number, last[node.worker], woken[node.worker])
            last[node.worker] = number
            woken[node.worker] = -1
            for worker in node.wakes:
                woken[worker] = number

    def _clock(self, number: int, mine: int, woken: int) -> None:
        """Find what comes before a step, and what races with it."""
        nodes, dependence = self._nodes, self._dependence
        races = self._try_around if self._within_bounds else self._try
        node = nodes[number]
        event, clock = node.event, list(nodes[mine].clock) if mine >= 0 else [-1] * self._workers
        if woken >= 0:
            clock = list(map(max, clock, nodes[woken].clock))
        for earlier in range(number - 1, -1, -1):
            other = nodes[earlier]
            if clock[other.worker] < earlier and dependence(other.event, event):
                races(earlier, number, clock)
                clock = list(map(max, clock, other.clock))
        clock[node.worker] = number
        node.clock = clock

    def _try(self, earlier: int, number: int, clock: list[int]) -> None:
        """Have a step tried before an earlier one.

        Of the steps up to it that need not come after the earlier one, some can come first in the order that is to be
        tried, and it does not matter which; where none of them can run, whatever can is tried.
        """
        other = self._nodes[earlier]
        first = [choice for choice in self._first(earlier, number, clock) if choice in other.ready]
        if not first:
            other.back.update(other.ready)
            self._try_before(earlier, number)
        elif other.back.isdisjoint(first):
            other.back.add(first[-1])

    def _try_before(self, earlier: int, number: int) -> None:
        """Have a step that could not run there tried where it last could: it is held back since another one waits."""
        nodes, late = self._nodes, self._nodes[number]
        for node in reversed(nodes[:earlier]):
            if node.worker == late.worker:
                return
            if late.current in node.ready:
                node.back.add(late.current)
                return

    def _first(self, earlier: int, number: int, clock: list[int]) -> list[int]:
        """Give the choices whose steps, without an earlier one, need no other step to come before them."""
        nodes = self._nodes
        worker = nodes[earlier].worker
        seen: dict[int, int] = {}
        first = []
        for later in range(earlier + 1, number + 1):
            node, known = nodes[later], nodes[later].clock
            if later == number:
                known = clock
            elif known[worker] >= earlier:
                continue
            if node.worker not in seen:
                if all(known[each] < step for each, step in seen.items()):
                    first.append(node.current)
                seen[node.worker] = later
        return first

    def _try_around(self, earlier: int, late: int, clock: list[int]) -> None:
        """Have a step tried before an earlier one, and before all that the earlier one's worker did up to there."""
        nodes = self._nodes
        node = nodes[late]
        choice = node.worker if clock[node.worker] > earlier else node.current
        start = earlier
        while start and nodes[start - 1].worker == nodes[earlier].worker:
            start -= 1
        for number in {start, earlier}:
            other = nodes[number]
            other.back.update([choice] if choice in other.ready else other.ready)
            if choice not in other.ready:
                self._try_before(number, late)
