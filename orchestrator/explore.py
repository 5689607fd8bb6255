"""Exploring: deterministic interleavings of bodies or of the project's own scenarios, searched for what goes wrong."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from orchestrator.controlled.arena import BodiesArena, wants_argument
from orchestrator.errors import UsageError
from orchestrator.explore_bodies import called
from orchestrator.explore_found import Failure, Found
from orchestrator.explore_judge import judge_of
from orchestrator.explore_messages import unsent
from orchestrator.explore_search import Bounds, Subject, replayed, searched, still_failing
from orchestrator.explore_where import place
from orchestrator.explorer.token import scenario_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.controlled.database import Database
    from orchestrator.explore_bodies import Body
    from orchestrator.explore_search import Tell

__all__ = ["Failure", "Found", "explore", "explore_scenario"]

#: Two are needed for a conflict, and more than this can't be told apart in a token.
_FEWEST, _MOST = 1, 36


def explore(  # noqa: PLR0913 - the public call: each a choice of its own, by name
    *bodies: Any,  # noqa: ANN401 - callables, Celery tasks, signatures
    setup: Callable[..., object] | None = None,
    invariant: Callable[..., bool | str | None] | None = None,
    engine: object = None,
    database: str = "sqlite",
    isolation: str | None = None,
    names: Sequence[str] = (),
    policy: str = "portfolio",
    budget: float | None = 10.0,
    schedules: int | None = None,
    preemptions: int | None = None,
    crashes: int = 0,
    threads: bool = False,
    keep_going: bool = False,
    allowed: Sequence[type[Exception]] = (),
    seed: int = 0,
    replay: str | None = None,
    known: Sequence[str] = (),
    tell: Tell | None = None,
) -> Found:
    """Run bodies in many interleavings, switched at each statement, and look for what goes wrong.

    Bodies take no argument, or one: a connection of the driver's own; `engine` is what they use themselves (an engine
    of SQLAlchemy's, a factory of psycopg or sqlite3 connections, a SQLite file's path), else `database` is a scratch
    one ("sqlite", "postgres") or a URL.  `setup` makes tables and rows, once.  `invariant` takes nothing, or the
    `Outcome` (results, rows), and says what must hold; without one, every outcome must be that of some serial order.
    `replay` runs the schedule of one token alone; `known` are tokens to replay before the search, up to one that fails.
    """
    wanted = tuple(called(each) for each in bodies)
    _check(wanted, names, budget, crashes, schedules)
    bounds = Bounds(
        policy=policy, budget=budget, schedules=schedules, preemptions=preemptions, keep_going=keep_going, seed=seed
    )
    with ExitStack() as stack:
        there = stack.enter_context(place(engine, database, isolation))
        _set_up(there, setup, engine)
        arena = stack.enter_context(
            BodiesArena(
                there,
                [each.run for each in wanted],
                crashes=crashes,
                threads=threads,
                seed=seed,
            )
        )
        stack.enter_context(unsent(arena.current))
        there.keep()
        arena.warm_up()
        titles = tuple(each.title for each in wanted)
        subject = Subject(
            arena=arena,
            judge=judge_of(arena, invariant, tuple(allowed), tuple(names)),
            take=lambda kept, called: (part := arena.part(kept), judge_of(part, invariant, tuple(allowed), called)),
            kept=tuple(range(arena.workers)),
            backend=there.backend,
            isolation=there.isolation,
            scenario=scenario_hash(repr((titles, crashes, seed))),
            names=tuple(names),
            titles=titles,
            harden=arena.harden,
            unseen=arena.unseen,
        )
        if replay is not None:
            return replayed(subject, replay)
        return still_failing(subject, known) or searched(subject, bounds, tell)


def explore_scenario(  # noqa: PLR0913 - as above
    scenario: str,
    *,
    strategy: str = "naive",
    isolation: str = "read committed",
    operations: int = 2,
    workers: int = 2,
    backend: str = "sqlite",
    policy: str = "portfolio",
    budget: float | None = 10.0,
    schedules: int | None = None,
    preemptions: int | None = None,
    crashes: int = 0,
    keep_going: bool = False,
    seed: int = 1,
    replay: str | None = None,
    tell: Tell | None = None,
) -> Found:
    """Explore one of rowrace's own scenarios, its Celery task and all; `backend` is "sqlite", "postgres" or a URL.

    Each schedule's history is judged by the verifier.
    """
    from orchestrator.explored import ScenarioArena  # noqa: PLC0415 - Celery, for those only who need it
    from orchestrator.explored_judge import ScenarioJudge  # noqa: PLC0415 - as above
    from worker.contract import Isolation  # noqa: PLC0415 - as above

    bounds = Bounds(
        policy=policy, budget=budget, schedules=schedules, preemptions=preemptions, keep_going=keep_going, seed=seed
    )
    with ExitStack() as stack:
        url = None
        if backend == "postgres":
            from orchestrator.controlled.embedded import embedded  # noqa: PLC0415 - only those who ask need the server

            url = stack.enter_context(embedded())
        elif backend != "sqlite":
            backend, url = "postgres", backend
        arena = stack.enter_context(
            ScenarioArena(
                scenario,
                strategy,
                Isolation(isolation),
                operations=operations,
                workers=workers,
                backend=backend,
                database=url,
                seed=seed,
                crashes=crashes,
            )
        )
        judge = ScenarioJudge(arena)
        subject = Subject(
            arena=arena,
            judge=judge,
            take=lambda kept, _called: (arena.part(kept), judge),
            kept=tuple(range(workers)),
            backend=arena.backend,
            isolation=arena.isolation,
            scenario=arena.hash,
            titles=tuple(f"{one.kind} {one.params.get('amount', '')}".rstrip() for one in arena.plan[:workers]),
            judged_by_histories=True,
        )
        return replayed(subject, replay) if replay is not None else searched(subject, bounds, tell)


def _check(
    bodies: Sequence[Body], names: Sequence[str], budget: float | None, crashes: int, schedules: int | None
) -> None:
    """Refuse what can't be searched."""
    if not _FEWEST <= len(bodies) <= _MOST:
        raise UsageError(f"{len(bodies)} bodies can't be explored: give from {_FEWEST} to {_MOST}.")
    if names and (len(names) != len(bodies) or len(set(names)) != len(names)):
        raise UsageError(f"names are {', '.join(names)} for {len(bodies)} bodies: give each a name of its own.")
    if budget is not None and not isinstance(budget, int | float):
        raise UsageError(f"budget is {budget!r}: give seconds as a number, or None for as long as it takes.")
    if (budget is not None and budget <= 0) or (schedules is not None and schedules < 1) or crashes < 0:
        raise UsageError("budget and schedules must be above 0, and crashes not below: else nothing is looked at.")


def _set_up(database: Database, setup: Callable[..., object] | None, engine: object) -> None:
    """Let the caller make tables and rows, outside of any control."""
    if setup is None:
        return
    if wants_argument(setup):
        connection = database.connect()
        try:
            setup(connection)
            connection.commit()
        finally:
            connection.close()
    else:
        setup()
    dispose = getattr(engine, "dispose", None)
    if dispose is not None:  # what set-up opened is not under control
        dispose()
