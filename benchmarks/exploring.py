"""The explorer: schedules a second, schedules to a bug, and a search to the end beside frontrun's.

Everything is searched by the explorer's own search; judged by an invariant alone, without shrinking or telling.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg

from benchmarks import exploring_app, exploring_compared
from benchmarks.exploring_bodies import BODIES, holds, set_up
from orchestrator.controlled.arena import BodiesArena
from orchestrator.controlled.embedded import embedded
from orchestrator.explore_bodies import called
from orchestrator.explore_where import place
from orchestrator.explored import ScenarioArena
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.judging import combine, errors_judge, invariant_judge
from orchestrator.explorer.partial_order_sampling import PartialOrderSampling
from orchestrator.explorer.pct import Pct
from orchestrator.explorer.random_walk import RandomWalks
from orchestrator.explorer.search import Budget, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.explorer.judging import Anomaly, Judge, Outcome
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy
    from orchestrator.explorer.search import Findings

    Arena = BodiesArena | ScenarioArena

RAW: Final = "driver's connections"
ORM: Final = "ORM sessions"
TASKS: Final = "Celery, ORM"
OWN: Final = "Celery, rowrace's own"
#: Schedules a second that are aimed at.
AIMS: Final = {
    (RAW, "sqlite"): 8_000,
    (RAW, "postgres"): 1_500,
    **dict.fromkeys(((how, "sqlite") for how in (ORM, TASKS, OWN)), 1_500),
    **dict.fromkeys(((how, "postgres") for how in (ORM, TASKS, OWN)), 500),
}
#: Schedules before a measurement: statements are parsed and connections opened by then.
_WARM: Final = 30
#: A search for a bug is given up after so many schedules, or so many seconds.
_GIVEN_UP: Final = Budget(2_000, 10.0)
_PATIENCE: Final = 300.0

#: On Postgres at a level, on SQLite, or both.
BUGS: Final = (
    ("naive x2", "sqlite", None),
    ("naive x2", "postgres", None),
    ("naive x3", "sqlite", None),
    ("naive x3", "postgres", None),
    ("transfers in opposite order", "postgres", None),
    ("write skew", "postgres", "repeatable read"),
    ("check, then insert", "sqlite", None),
    ("check, then insert", "postgres", None),
    ("checker, two flippers", "sqlite", None),
    ("checker, two flippers", "postgres", None),
)


class Case(NamedTuple):
    """What is explored, how its statements are sent, and where."""

    bodies: str
    how: str
    backend: str
    isolation: str | None = None


class Walk(NamedTuple):
    """Random schedules in a row."""

    #: Schedules a second.
    rate: float
    #: Seconds of this process's processor time that each took, which other work on the machine changes less.
    processor: float


class Options(NamedTuple):
    """What was asked for."""

    schedules: int
    repetitions: int
    seeds: int
    peer_python: list[str]
    limit: float
    only: str
    json: bool


def main() -> None:
    """Measure and print."""
    asked = _options()
    wanted = (asked.only,) if asked.only else ("rates", "bugs", "peer")
    tables: dict[str, list[dict[str, Any]]] = {}
    before = os.getloadavg()[0]
    with embedded() as url, tempfile.TemporaryDirectory(dir=_memory()) as folder:
        places = {"postgres": url, "sqlite": str(Path(folder, "explored.db"))}
        if "rates" in wanted:
            tables["rates"] = _rates(asked, places)
        if "bugs" in wanted:
            tables["bugs"] = _bugs(asked, places)
        if "peer" in wanted:
            tables["peer"] = exploring_compared.compared(
                asked.peer_python or [sys.executable], asked.repetitions, asked.limit, places
            )
    load = (round(before, 1), round(os.getloadavg()[0], 1))
    if asked.json:
        print(json.dumps({**asked._asdict(), "python": platform.python_version(), "load": load, **tables}, indent=2))
        return
    print(f"exploring: medians of {asked.repetitions}, load {load[0]} at the beginning, {load[1]} at the end")
    for rows in tables.values():
        _print(rows)


def _options() -> Options:
    parser = argparse.ArgumentParser(description="the explorer: schedules a second, schedules to a bug, and the peer")
    parser.add_argument("--schedules", type=int, default=2_000, help="in each random walk (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each case, alternating (%(default)s)")
    parser.add_argument("--seeds", type=int, default=11, help="searches for each bug by a sampler (%(default)s)")
    parser.add_argument(
        "--peer-python", action="append", help="an interpreter that has frontrun, or several (this one)"
    )
    parser.add_argument("--limit", type=float, default=60.0, help="seconds until the peer counts as hung (%(default)s)")
    parser.add_argument("--only", choices=("rates", "bugs", "peer"), default="", help="one of the three tables")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    return Options(**vars(parser.parse_args()))


# schedules a second


def _rates(asked: Options, places: dict[str, str]) -> list[dict[str, Any]]:
    cases = [
        Case(bodies, how, backend)
        for backend in ("sqlite", "postgres")
        for bodies in ("naive x2", "optimistic x3")
        for how in (RAW, ORM, TASKS, OWN)
    ]
    random: dict[Case, list[Walk]] = {case: [] for case in cases}
    alone: dict[Case, list[float]] = {case: [] for case in cases}
    whole: dict[Case, list[Findings]] = {case: [] for case in cases}
    for repetition in range(asked.repetitions):
        for case in cases if repetition % 2 == 0 else reversed(cases):
            if case.how != OWN:
                alone[case].append(_alone(case, places, asked.schedules))
            with _opened(case, places) as (arena, judge):
                _searched(arena, RandomWalks(-1), judge, Budget(_WARM))
                random[case].append(_walked(arena, judge, repetition, asked.schedules))
                whole[case].append(_searched(arena, Dpor(arena.isolation), judge, Budget(None, _PATIENCE)))
            _tell(f"{case.backend}, {case.bodies}, {case.how}: {random[case][-1].rate:,.0f}/s")
    return [_rate_row(case, random[case], alone[case], whole[case]) for case in cases]


def _alone(case: Case, places: dict[str, str], times: int) -> float:
    """Give the processor time of a schedule's bodies, one after another on the plain driver, and nobody looking."""
    connect: Callable[[str], Any] = sqlite3.connect if case.backend == "sqlite" else psycopg.connect
    with closing(connect(places[case.backend])) as connection:
        set_up(connection)
    engine = None if case.how == RAW else _engine(case.backend, places[case.backend])
    with ExitStack() as stack:
        bodies = []
        for body in _bodies(case):
            given = (stack.enter_context(closing(connect(places[case.backend]))),) if engine is None else ()
            bodies.append(partial(body, *given))
        if engine is not None:
            stack.callback(engine.dispose)
        for number in range(-_WARM, times):
            if number == 0:
                began = time.process_time()
            for each in bodies:
                each()
        return (time.process_time() - began) / times


def _walked(arena: Arena, judge: Judge, seed: int, schedules: int) -> Walk:
    began = time.process_time()
    found = _searched(arena, RandomWalks(seed), judge, Budget(schedules, _PATIENCE))
    return Walk(found.schedules / found.seconds, (time.process_time() - began) / found.schedules)


def _rate_row(case: Case, walks: list[Walk], alone: list[float], whole: list[Findings]) -> dict[str, Any]:
    rates = [each.rate for each in walks]
    seconds = statistics.median(each.seconds for each in whole)
    return {
        "database": case.backend,
        "bodies": case.bodies,
        "through": case.how,
        "random, schedules/s": f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})",
        "own processor time": f"{1e6 * statistics.median(each.processor for each in walks):,.0f} µs each",
        "bodies alone": f"{1e6 * statistics.median(alone):,.0f} µs" if alone else "",
        "aim": f"{AIMS[case.how, case.backend]:,}",
        "dpor, schedules": f"{whole[0].schedules:,}{'' if whole[0].complete else ' (not complete)'}",
        "seconds": f"{seconds:.3f}",
        "dpor, schedules/s": f"{whole[0].schedules / seconds:,.0f}",
    }


# schedules to a bug


def _bugs(asked: Options, places: dict[str, str]) -> list[dict[str, Any]]:
    rows = []
    for bodies, backend, isolation in BUGS:
        with _opened(Case(bodies, RAW, backend, isolation), places) as (arena, judge):
            wrong = combine(judge, errors_judge())
            _searched(arena, RandomWalks(-1), judge, Budget(_WARM))
            policies: dict[str, Callable[[int], Policy]] = {
                "dpor": partial(_dpor, arena.isolation),
                "pct, depth 3": partial(_pct, 3),
                "pct, depth 4": partial(_pct, 4),
                "pos": partial(_pos, arena.isolation),
                "random": RandomWalks,
            }
            found: dict[str, list[Findings]] = {name: [] for name in policies}
            for seed in range(asked.seeds):
                for name, policy in policies.items():
                    if name != "dpor" or seed < asked.repetitions:  # the same schedules each time
                        found[name].append(search(arena, policy(seed), wrong, _GIVEN_UP))
        row = {"bug": bodies, "database": f"{backend}, {isolation}" if isolation else backend}
        rows.append(row | {name: _to_bug(each) for name, each in found.items()})
        _tell(str(rows[-1]))
    return rows


def _dpor(isolation: str, _seed: int) -> Policy:
    return Dpor(isolation)


def _pct(depth: int, seed: int) -> Policy:
    return Pct(seed, depth)


def _pos(isolation: str, seed: int) -> Policy:
    return PartialOrderSampling(seed, isolation)


def _to_bug(found: Sequence[Findings]) -> str:
    """Say how long it took: searches that did not find it count as longer than all that did."""
    hits = sum(bool(each.failures) for each in found)
    if any(each.unstable for each in found):
        raise RuntimeError(next(each.unstable for each in found if each.unstable))
    schedules = statistics.median(each.schedules for each in found)
    seconds = statistics.median(each.seconds for each in found)
    if hits * 2 <= len(found):
        return f"found by {hits} of {len(found)}"
    return f"{schedules:,.0f} in {seconds:.3f} s" + (f", {hits} of {len(found)}" if hits < len(found) else "")


# what is searched


@contextmanager
def _opened(case: Case, places: dict[str, str]) -> Iterator[tuple[Arena, Judge]]:
    """Set up a case's rows and give its arena."""
    if case.how == OWN:
        strategy, _, workers = case.bodies.partition(" x")
        with ScenarioArena(
            "credits",
            strategy,
            operations=int(workers),
            workers=int(workers),
            backend=case.backend,
            database=places["postgres"] if case.backend == "postgres" else None,
        ) as scenario:
            yield scenario, _nobody
        return
    with ExitStack() as stack:
        engine = None if case.how == RAW else _engine(case.backend, places[case.backend])
        there = stack.enter_context(place(engine or places[case.backend], "", case.isolation))
        connection = there.connect()
        set_up(connection)
        connection.close()
        arena = stack.enter_context(BodiesArena(there, _bodies(case)))
        there.keep()
        yield arena, invariant_judge(partial(_right, case.bodies), arena.columns())


def _engine(backend: str, where: str) -> Any:  # noqa: ANN401 - SQLAlchemy's
    from sqlalchemy import create_engine  # noqa: PLC0415 - raw bodies do without

    url = f"sqlite:///{where}" if backend == "sqlite" else where.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url)
    exploring_app.sessions.configure(bind=engine)
    return engine


def _bodies(case: Case) -> Sequence[Callable[..., object]]:
    if case.how == RAW:
        return BODIES[case.bodies]
    strategy, _, workers = case.bodies.partition(" x")
    plain = {"naive": exploring_app.naive, "optimistic": exploring_app.optimistic}
    tasks = {"naive": exploring_app.naive_task, "optimistic": exploring_app.optimistic_task}
    body = called(tasks[strategy].s()).run if case.how == TASKS else plain[strategy]
    return (body,) * int(workers)


def _right(bodies: str, outcome: Outcome) -> bool:
    balances = [row["balance"] for row in outcome.rows["account"]]
    return holds(bodies, balances, len(outcome.rows["booking"]), outcome.results)


def _nobody(_execution: Execution) -> Sequence[Anomaly]:
    return ()


def _searched(arena: Arena, policy: Policy, judge: Judge, budget: Budget) -> Findings:
    """Search past what is found."""
    found = search(arena, policy, judge, budget, keep_going=True)
    if found.unstable:
        raise RuntimeError(found.unstable)
    return found


def _memory() -> str | None:
    """Name where files are as fast as a disk lets them be."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a private folder is made in it


# printing


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print()
    for line in lines:
        print("  " + "  ".join(each.ljust(width) for each, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
