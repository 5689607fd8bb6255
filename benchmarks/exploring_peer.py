"""The peer: frontrun searches the same bodies on the same rows to the end, in a process of its own.

It is used as its documentation says for SQL and for an exhaustive search: `detect_io=True`, `stop_on_first=False`, no
bound on preemptions, a connection of its own for each worker in each run.  What would only cost it time is off: it
replays nothing.  One JSON object comes on standard input, one goes to standard output.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypedDict

from benchmarks.exploring_bodies import BODIES, START, holds, naive, set_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.exploring_bodies import Body


class Asked(TypedDict):
    """What is to be searched, and where."""

    bodies: str
    backend: str
    #: A libpq URI, or a SQLite file's path.
    where: str


class Answer(TypedDict):
    """How a search went."""

    seconds: float
    #: Of the process's own processor time.
    processor: float
    schedules: int
    #: Schedules in which the invariant did not hold, or that deadlocked.
    failures: int
    #: False: something was found; None: it could not tell.
    holds: bool | None
    #: What it says of its own search, where it says anything.
    exhausted: bool | None
    remark: str


def main() -> None:
    """Search once for warmth, so that nothing is imported or read for the first time, and once for the figure."""
    asked: Asked = json.load(sys.stdin)
    connect = _connect(asked)
    monitor = connect()
    set_up(monitor)
    _search("naive x2", (naive,) * 2, connect, monitor, once=True)
    answer = _search(asked["bodies"], BODIES[asked["bodies"]], connect, monitor)
    json.dump(answer, sys.stdout)


def _connect(asked: Asked) -> Callable[[], Any]:
    if asked["backend"] == "sqlite":
        return lambda: sqlite3.connect(asked["where"], check_same_thread=False)
    import psycopg  # noqa: PLC0415 - SQLite needs none

    # The server's own settings are made for the explorer, which finds deadlocks itself; these are the usual ones.
    options = "-c deadlock_timeout=1s -c synchronous_commit=off"
    return lambda: psycopg.connect(asked["where"], options=options)


def _search(
    name: str,
    bodies: tuple[Body, ...],
    connect: Callable[[], Any],
    monitor: Any,  # noqa: ANN401 - either driver's
    *,
    once: bool = False,
) -> Answer:
    from frontrun import explore  # type: ignore[import-not-found]  # noqa: PLC0415 - not among the dependencies

    def restore() -> None:
        monitor.execute(f"UPDATE account SET balance = {START}, version = 0")  # noqa: S608 - a number of ours
        monitor.execute("DELETE FROM booking")
        monitor.commit()

    def right(_state: object) -> bool:
        balances = [balance for (balance,) in monitor.execute("SELECT balance FROM account").fetchall()]
        (bookings,) = monitor.execute("SELECT count(*) FROM booking").fetchone()
        monitor.commit()
        return holds(name, balances, bookings)

    began, worked = time.perf_counter(), time.process_time()
    result = explore(
        setup=restore,
        workers=[_worker(body, connect) for body in bodies],
        invariant=right,
        detect_io=True,
        stop_on_first=False,
        preemption_bound=None,
        reproduce_on_failure=0,
        max_executions=1 if once else None,
    )
    return Answer(
        seconds=time.perf_counter() - began,
        processor=time.process_time() - worked,
        schedules=result.num_explored,
        failures=len(result.failures),
        holds=result.property_holds,
        exhausted=result.exhausted,
        remark=result.inconclusive_reason or _first_line(result.explanation),
    )


def _worker(body: Body, connect: Callable[[], Any]) -> Callable[[object], None]:
    def run(_state: object) -> None:
        connection = connect()
        try:
            body(connection)
        finally:
            connection.close()

    return run


def _first_line(text: str | None) -> str:
    return text.strip().split("\n", 1)[0] if text else ""


def installed() -> str:
    """Name the version of what is compared with, and whether it can read SQL; nothing where it is not installed."""
    try:
        return f"frontrun {version('frontrun')}, {_sqlglot()}, psycopg {version('psycopg')}"
    except PackageNotFoundError:
        return ""


def _sqlglot() -> str:
    try:
        return f"sqlglot {version('sqlglot')}"
    except PackageNotFoundError:
        return "without its extra `sql`"


if __name__ == "__main__":
    if sys.argv[1:] == ["--installed"]:
        print(installed())
    else:
        main()
