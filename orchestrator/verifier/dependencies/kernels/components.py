"""Strongly connected components."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from orchestrator.history.transactions import Bools, Int32s, Int64s


class Scratch(NamedTuple):
    """Per node: which edge comes next, when it was met, the earliest that it leads back to; two stacks, all from 0."""

    resume: Int64s
    order: Int32s
    low: Int32s
    waiting: Int32s
    path: Int32s


def strong(begin: Int64s, target: Int32s, allowed: Bools, component: Int32s, scratch: Scratch) -> int:
    """Number the components (Tarjan 1972, without recursion) into `component`, from -1; returns how many there are."""
    met = 0
    found = 0
    waiting = 0
    for root in range(len(component)):
        deep = 0 if scratch.order[root] == 0 else -1
        fresh = root
        while deep >= 0:
            if fresh >= 0:
                met += 1
                enter(scratch, fresh, met, deep, waiting)
                waiting += 1
            v = scratch.path[deep]
            fresh = onward(begin, target, allowed, component, scratch, v)
            if fresh >= 0:
                deep += 1
                continue
            if scratch.low[v] == scratch.order[v]:
                waiting = leave(component, scratch, v, waiting, found)
                found += 1
            deep -= 1
            if deep >= 0:
                above = scratch.path[deep]
                scratch.low[above] = min(scratch.low[above], scratch.low[v])
    return found


def enter(scratch: Scratch, v: int, met: int, deep: int, waiting: int) -> None:
    """Meet a node."""
    scratch.order[v] = met
    scratch.low[v] = met
    scratch.path[deep] = v
    scratch.waiting[waiting] = v


def onward(begin: Int64s, target: Int32s, allowed: Bools, component: Int32s, scratch: Scratch, v: int) -> int:
    """The next node to go to from v that wasn't met yet; -1 where there is none."""
    while begin[v] + scratch.resume[v] < begin[v + 1]:
        e = begin[v] + scratch.resume[v]
        scratch.resume[v] += 1
        if not allowed[e]:
            continue
        w = target[e]
        if scratch.order[w] == 0:
            return int(w)
        if component[w] == -1:
            scratch.low[v] = min(scratch.low[v], scratch.order[w])
    return -1


def leave(component: Int32s, scratch: Scratch, v: int, waiting: int, number: int) -> int:
    """Give the nodes met since v their component; returns how many still wait."""
    while True:
        waiting -= 1
        component[scratch.waiting[waiting]] = number
        if scratch.waiting[waiting] == v:
            return waiting
