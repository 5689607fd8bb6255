"""The eager rung: each group in this process, its logical workers interleaved by a seeded scheduler."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from orchestrator import ladder
from orchestrator.eager import RUNG, Where, run_group
from orchestrator.groups import EAGER_STRATEGIES
from orchestrator.profile import Mode

if TYPE_CHECKING:
    from orchestrator.interrupt import Interrupt
    from orchestrator.race import Watch
    from orchestrator.stage import Book, Stage

#: What this rung can't show where it stands on a server.
_POSTGRES_LIMITS: Final = (
    "Not shown on this rung: eager on Postgres has no several processes or hosts, redelivery, lost workers, lock"
    " timeouts, durable commits or network faults: race with `--mode distributed` for these."
)


def race(stage: Stage, book: Book, watch: Watch, interrupt: Interrupt) -> None:
    """Race and judge the groups one after another, on SQLite or on the database that was given."""
    with ExitStack() as stack:
        if stage.config.database_given:
            with interrupt.raising():
                where = _postgres(stack, stage)
            book.notes.append(_POSTGRES_LIMITS)
        else:
            where = Where(rung=RUNG)
            book.notes += ladder.limits(Mode.EAGER, local=True)
            if "all" in stage.profile.strategies:
                book.notes.append(f"On this rung, all strategies are {', '.join(EAGER_STRATEGIES)}.")
        book.rung = where.rung
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
                where=where,
            )
            watch.end()
            book.judge(group)


def _postgres(stack: ExitStack, stage: Stage) -> Where:
    """Connect to the server that was given, or start one for the run's time."""
    from orchestrator.controlled.embedded import embedded  # noqa: PLC0415 - on SQLite nobody needs the driver
    from orchestrator.services import check  # noqa: PLC0415 - as above

    url, kind = stage.config.database_url, "given"
    if url is None:
        url, kind = stack.enter_context(embedded(stage.logs)), "embedded"
    rung = f"eager: one process, {kind} PostgreSQL {check.database(url)}"
    return Where(url, rung, stage.keep and kind == "given")
