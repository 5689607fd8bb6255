"""A search to the end by the explorer and by its peer, in turn: the same bodies, rows and server."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.exploring_bodies import BODIES, holds, set_up
from orchestrator.explore import explore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.exploring_peer import Answer, Asked
    from orchestrator.explorer.judging import Outcome

HOME: Final = Path(__file__).resolve().parents[1]
#: What is searched to its end.
CASES: Final = (("naive x2", "postgres"), ("transfers in opposite order", "postgres"), ("naive x2", "sqlite"))
#: The peer's own command loads a library before all others, which watches sockets beside what drivers are asked.
_COMMAND: Final = ("-m", "frontrun.cli")
_PEER: Final = ("-m", "benchmarks.exploring_peer")
#: What that command says to the process it starts.
_ACTIVE: Final = {"FRONTRUN_ACTIVE": "1"}
_OURS: Final = "rowrace"
#: What is compared of two runs, and what it is called.
_FIGURES: Final = {"seconds": "search", "whole": "whole call", "processor": "own processor time"}


class Run(NamedTuple):
    """One search to the end."""

    #: None where it hung, or ended without an answer.
    seconds: float | None
    schedules: int = 0
    found: str = ""
    #: Of the whole call, whatever else it does before it answers.
    whole: float | None = None
    #: Of the whole call, of the process's own processor time.
    processor: float | None = None


def compared(peers: Sequence[str], repetitions: int, limit: float, places: dict[str, str]) -> list[dict[str, Any]]:
    """Search each case to its end; the peer's rows are left out where it is not installed."""
    installed = {version: peer for peer in peers if (version := _installed(peer))}
    rows = []
    for bodies, backend in CASES:
        where = places[backend]
        searches: dict[str, Callable[[], Run]] = {_OURS: partial(_ours, bodies, where)}
        asked: Asked = {"bodies": bodies, "backend": backend, "where": where}
        for version, peer in installed.items():
            name = "frontrun[sql]" if "sqlglot" in version else "frontrun"
            searches[name] = partial(_theirs, [peer, *_PEER], asked, limit)
            searches[f"{name}, its command"] = partial(_theirs, [peer, *_COMMAND, peer, *_PEER], asked, limit)
        runs = _alternating(searches, repetitions)
        rows += [_row(bodies, backend, who, each, runs[_OURS]) for who, each in runs.items()]
    return rows


def _installed(peer: str) -> str:
    """Name what is compared with; nothing, and a sentence, where it is not there."""
    done = subprocess.run([peer, *_PEER, "--installed"], cwd=HOME, capture_output=True, text=True, check=False)
    if version := done.stdout.strip():
        print(version, file=sys.stderr)
        return version
    print(
        f"{peer} has no frontrun, so nothing is compared with it: install frontrun[sql]==0.7.0 and psycopg[binary] "
        "into an environment of its own, and give that one's interpreter as --peer-python.",
        file=sys.stderr,
    )
    return ""


def _alternating(searches: dict[str, Callable[[], Run]], repetitions: int) -> dict[str, list[Run]]:
    searches[_OURS]()  # for warmth, as the peer has its own
    runs: dict[str, list[Run]] = {who: [] for who in searches}
    for repetition in range(repetitions):
        for who in searches if repetition % 2 == 0 else reversed(searches):
            runs[who].append(searches[who]())
            print(f"{who}: {runs[who][-1]}", file=sys.stderr)
    return runs


def _ours(bodies: str, where: str) -> Run:
    """Search by the public call, which connects, looks at the catalog, shrinks and tells what it finds as well."""
    began, worked = time.perf_counter(), time.process_time()
    found = explore(
        *BODIES[bodies],
        setup=set_up,
        invariant=partial(_right, bodies),
        engine=where,
        policy="dpor",
        budget=None,
        keep_going=True,
    )
    whole, processor = time.perf_counter() - began, time.process_time() - worked
    if not found.complete:
        raise RuntimeError(f"{bodies}: the search is not complete: {found.remark}")
    said = ", ".join(f"{name} in {count}" for name, count in found.anomalies.items())
    return Run(found.seconds, found.schedules, said, whole, processor)


def _right(bodies: str, outcome: Outcome) -> bool:
    balances = [row["balance"] for row in outcome.rows["account"]]
    return holds(bodies, balances, len(outcome.rows["booking"]), outcome.results)


def _theirs(command: list[str], asked: Asked, limit: float) -> Run:
    """Search by the peer, as a process group of its own that is ended when its time is over."""
    process = subprocess.Popen(
        command,
        cwd=HOME,
        env={**os.environ, **_ACTIVE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        told, errors = process.communicate(json.dumps(asked), timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Run(None, found=f"hung: no end after {limit:g} s")
    if process.returncode != 0:
        last = (errors.strip().splitlines() or [""])[-1]
        return Run(None, found=f"ended with {process.returncode}: {last}")
    answer: Answer = json.loads(told)
    seconds = answer["seconds"]
    return Run(seconds, answer["schedules"], _said(answer), seconds, answer["processor"])


def _said(answer: Answer) -> str:
    """Say what the peer found, and where it does not take its own search for exhaustive."""
    remark = answer["remark"].split(". ", 1)[0].rstrip(".")
    if answer["holds"] is not False:
        return "nothing wrong" if answer["holds"] else f"not sure: {remark}"
    kind = re.split(r" found| detected", remark)[0].lower()
    return f"{kind} in {answer['failures']}" + (", not exhausted, it says" if answer["exhausted"] is False else "")


def _row(bodies: str, backend: str, who: str, runs: list[Run], ours: list[Run]) -> dict[str, Any]:
    """Compare one tool with the explorer: its search, its whole call, and its processor time."""
    figures = [_median(getattr(run, name) for run in runs) for name in _FIGURES]
    bases = [_median(getattr(run, name) for run in ours) for name in _FIGURES]
    return {
        "bodies": bodies,
        "database": backend,
        "searched by": who,
        "schedules": " or ".join(dict.fromkeys(f"{run.schedules:,}" for run in runs)),
        **{title: _shown(figure) for title, figure in zip(_FIGURES.values(), figures, strict=True)},
        "times rowrace's": "" if who == _OURS else ", ".join(map(_ratio, figures, bases)),
        "found": " or ".join(dict.fromkeys(run.found for run in runs)),
    }


def _median(values: Iterable[float | None]) -> float | None:
    """Give the middle figure; None where any run gave none."""
    given = list(values)
    known = [each for each in given if each is not None]
    return statistics.median(known) if len(known) == len(given) else None


def _shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f} s"


def _ratio(one: float | None, other: float | None) -> str:
    return "no end" if one is None or other is None else f"{one / other:,.1f}"
