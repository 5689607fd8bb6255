"""Waits in a circle, and work that was done twice because its worker crashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.judging import Anomaly
from orchestrator.explorer.model import meet
from orchestrator.explorer.stories_words import finest, rows, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.explorer.model import Places
    from orchestrator.explorer.timeline import Act, Timeline, Transaction

    Namer = Callable[[int], str]


def deadlocks(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find statements that were ended because their wait closed a circle."""
    for act in line.acts:
        if "deadlock" in act.record.error.lower():
            yield Anomaly("deadlock", _deadlock(line, name, act), rows(_circle(line, act)))


def _deadlock(line: Timeline, name: Namer, victim: Act) -> str:
    mine = name(victim.worker)
    waits = [_wait(name, each, line, victim) for each in _waiting(line, victim)]
    told = ", ".join(wait for wait in waits if wait)
    return (
        f"{told or 'Workers waited for each other'};"
        f" the database ended {mine}'s statement with {victim.record.error.split(':', 1)[0]}."
    )


def _waiting(line: Timeline, victim: Act) -> list[Act]:
    """Give the statements that waited when the victim's was ended, the victim's last."""
    waited = [
        act
        for act in line.acts
        if act.record.blocked and act.record.number <= victim.record.answered <= act.record.answered and act != victim
    ]
    return [*sorted(waited, key=lambda act: act.record.number), victim]


def _wait(name: Namer, act: Act, line: Timeline, victim: Act) -> str:
    """Say what one worker held and whom it waited for."""
    for other in _waiting(line, victim):
        if other is not act and (wanted := finest(_wants(act), _held(other))):
            return f"{name(act.worker)} waited for {name(other.worker)}'s {rows(wanted)}"
    return ""


def _circle(line: Timeline, victim: Act) -> Places:
    waiting = _waiting(line, victim)
    return together(finest(_wants(one), _held(other)) for one in waiting for other in waiting)


def _wants(act: Act) -> Places:
    footprint = act.record.point.footprint
    return footprint.locks | footprint.shares | footprint.writes


def _held(waiting: Act) -> Places:
    """Give what a transaction had locked when it began to wait."""
    before: list[Act] = [act for act in waiting.transaction.acts if act.time < waiting.time and not act.record.error]
    return together(map(_wants, before))


def repeated_after_crash(line: Timeline, name: Namer) -> Iterator[Anomaly]:
    """Find changes that a worker committed, crashed after, and committed again when its message came again."""
    committed = list(line.committed())
    for time, worker in line.crashes:
        for first in committed:
            if first.worker == worker and first.ended < time:
                yield from _again(name, first, [each for each in committed if each.worker == worker], time)


def _again(name: Namer, first: Transaction, committed: list[Transaction], crash: int) -> Iterator[Anomaly]:
    done = {(act.record.point.statement, act.verb): act for act in first.writes}
    for later in committed:
        for act in later.writes if later.ended > crash else ():
            before = done.get((act.record.point.statement, act.verb))
            if before is not None and meet(before.writes, act.writes):
                what = rows(finest(before.writes, act.writes))
                sentence = (
                    f"{name(act.worker)} committed its change of {what}, crashed before its message was acknowledged,"
                    " and did the same again when the message came again."
                )
                yield Anomaly("done twice after a crash", sentence, what)
