"""The eager rung: each group in this process, on SQLite, its logical workers interleaved by a seeded scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator import ladder
from orchestrator.eager import RUNG, run_group
from orchestrator.groups import EAGER_STRATEGIES
from orchestrator.profile import Mode

if TYPE_CHECKING:
    from orchestrator.interrupt import Interrupt
    from orchestrator.race import Watch
    from orchestrator.stage import Book, Stage


def race(stage: Stage, book: Book, watch: Watch, interrupt: Interrupt) -> None:
    """Race and judge the groups one after another."""
    book.rung = RUNG
    book.notes += ladder.limits(Mode.EAGER, local=True)
    if "all" in stage.profile.strategies:
        book.notes.append(f"On this rung, all strategies are {', '.join(EAGER_STRATEGIES)}.")
    for group in stage.groups:
        if interrupt.asked.is_set():
            break
        watch.begin(group, stage.profile.operations)
        run_group(
            stage.profile,
            group,
            stage.folder / group.name,
            run=stage.run,
            tell=watch.progress,
            stopped=interrupt.asked.is_set,
        )
        watch.end()
        book.judge(group)
