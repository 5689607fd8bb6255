"""Search each case at each isolation level, and hold what was found against the published table."""

from __future__ import annotations

import secrets
from contextlib import closing, contextmanager
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestrator.controlled.arena import BodiesArena
from orchestrator.controlled.postgres import PostgresDatabase
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.judging import Anomaly
from orchestrator.explorer.scheduler import ExplorerError
from orchestrator.explorer.search import Budget, Enough, search
from orchestrator.hermitage import dirty, lost_update, predicates, read_skew, vanishing, write_skew
from orchestrator.hermitage.case import SET_UP, Level, Outcome
from orchestrator.hermitage.table import PREVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.explorer.judging import Judge
    from orchestrator.explorer.model import Execution
    from orchestrator.hermitage.case import Case

#: Every case, in the published table's order.
CASES: Final = (
    *dirty.CASES,
    *vanishing.CASES,
    *predicates.CASES,
    *lost_update.CASES,
    *read_skew.CASES,
    *write_skew.CASES,
)


class CaseResult(NamedTuple):
    """What the search of one case at one level came to."""

    case: Case
    level: Level
    #: The first schedule that shows the anomaly; None: none was found.
    shown: Execution | None
    #: Every schedule that can matter was run.
    complete: bool
    schedules: int
    seconds: float
    #: Why nothing is proven: two runs of one schedule differed; "" where they did not.
    remark: str = ""
    #: It was ended from outside before anything was known.
    interrupted: bool = False

    @property
    def prevented(self) -> bool | None:
        """Whether the level prevents the anomaly, for these bodies and rows: proven either way, or None."""
        if self.remark:
            return None
        if self.shown is not None:
            return False
        return True if self.complete else None

    @property
    def published(self) -> bool:
        """What the published table says."""
        return self.case.anomaly in PREVENTS[self.level]

    @property
    def agrees(self) -> bool:
        """Whether the search proves what is published."""
        return self.prevented is self.published


def run_all(
    url: str, tell: Callable[[CaseResult], None] = lambda _result: None, stop: Callable[[], bool] = lambda: False
) -> list[CaseResult]:
    """Search every case at every level, and tell each result as it comes; what `stop` cuts off is no result."""
    results: list[CaseResult] = []
    for case, level in product(CASES, Level):
        if stop():
            break
        result = explore_case(case, level, url, stop)
        if result.interrupted:
            break
        results.append(result)
        tell(result)
    return results


def explore_case(case: Case, level: Level, url: str, stop: Callable[[], bool] = lambda: False) -> CaseResult:
    """Search one case at one level until a schedule shows its anomaly or none is left, in a schema of its own."""

    def heed(_schedules: int, _seconds: float, _outcomes: int) -> None:
        if stop():
            raise Enough("interrupted")

    began = perf_counter()
    with _prepared(url) as there, closing(PostgresDatabase(there, level.value)) as database:
        database.keep()
        with BodiesArena(database, case.bodies) as arena:
            findings = search(arena, Dpor(level.value), judge(case), Budget(None, None), tell=heed)
    shown = findings.failures[0].execution if findings.failures else None
    seconds = perf_counter() - began
    return CaseResult(
        case,
        level,
        shown,
        findings.complete,
        findings.schedules,
        seconds,
        findings.unstable,
        interrupted=findings.interrupted,
    )


def judge(case: Case) -> Judge:
    """Make a case's predicate a judge of schedules."""

    def judged(execution: Execution) -> Sequence[Anomaly]:
        if case.shows(outcome_of(execution)):
            return [Anomaly(case.anomaly, f"{case.title.capitalize()}: this schedule shows it.")]
        return []

    return judged


def outcome_of(execution: Execution) -> Outcome:
    """Give what a schedule came to; a body that failed in a way that no case expects ends the search."""
    for ending in execution.endings:
        if ending.error is not None:
            raise ExplorerError(f"a body of the case failed: {ending.error}") from ending.error
    rows = dict(execution.state)["test"]
    return Outcome(tuple(ending.value for ending in execution.endings), dict(rows))


def render(results: Sequence[CaseResult]) -> str:
    """Lay the results out as a Markdown table: a line per case, a column per level."""
    lines = [
        f"| case | what | {' | '.join(level.value for level in Level)} |",
        f"|---|---|{'---|' * len(Level)}",
    ]
    by_place = {(result.case.name, result.level): result for result in results}
    for case in CASES:
        cells = [_cell(by_place.get((case.name, level))) for level in Level]
        if any(cells):
            lines.append(f"| {case.name} | {case.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(result: CaseResult | None) -> str:
    if result is None:
        return ""
    word = {True: "prevented", False: "shown", None: "not decided"}[result.prevented]
    doubt = "" if result.agrees else ", published otherwise"
    return f"{word} ({result.schedules}){doubt}"


@contextmanager
def _prepared(url: str) -> Iterator[str]:
    """Make the cases' table in a schema of its own, give a connection string that leads there, and drop it."""
    schema = f"rowrace_hermitage_{secrets.token_hex(6)}"
    name = sql.Identifier(schema)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        try:
            connection.execute(sql.SQL("SET search_path = {}").format(name))
            for statement in SET_UP:
                connection.execute(statement)
            yield make_conninfo(url, options=f"-c search_path={schema}")
        finally:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
