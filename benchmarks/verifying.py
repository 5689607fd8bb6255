"""The verifier: time and memory of a full check, against a prototype that only tests the graph, and how both grow.

The prototype stands beside the project, not in it, and runs as a process of its own on the same arrays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmarks import histories
from benchmarks.measure import alternate
from orchestrator.history import plain
from orchestrator.verifier.dependencies import compiled, judge
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.history.transactions import Transactions

HOME: Final = Path(__file__).resolve().parents[1]
PROTOTYPE: Final = HOME.parent / "shared" / "prototypes" / "full_graph.py"

#: Snapshot isolation: transactions, write skews among them, and, on top, long forks.
SKEWED: Final = (100_000, 1_000, 50)
#: Micro-operations of histories for a first look: the code for larger ones is compiled, or kept from another time.
SMALL: Final = 1_000
COMPILED: Final = 100_000
#: The smallest history of the growth, and one in its middle that the largest is compared with.
SMALLEST: Final = 10_000
MIDDLE: Final = 1_000_000


class Options(NamedTuple):
    """What was asked for."""

    operations: int
    largest: int
    repetitions: int
    json: bool


class Row(NamedTuple):
    """One figure: the median of several, in its unit."""

    case: str
    unit: str
    values: list[float]
    aim: str = ""

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)


def main() -> None:
    """Measure and print."""
    asked = _options()
    rows = []
    for measured in (_full, _prompt, _explained, _first, _growth):
        for row in measured(asked):
            print(_line(row, 0), file=sys.stderr)
            rows.append(row)
    _report(rows, asked)


def _options() -> Options:
    parser = argparse.ArgumentParser(description="time and memory of the verifier")
    parser.add_argument("--operations", type=int, default=3_000_000, help="micro-operations to check (%(default)s)")
    parser.add_argument("--largest", type=int, default=30_000_000, help="micro-operations to grow to (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each case (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return Options(**vars(parser.parse_args()))


def _full(asked: Options) -> Iterator[Row]:
    """A valid history, checked for everything: answers late, so that they don't come in the order of the commits."""
    history = histories.valid(asked.operations)
    with tempfile.TemporaryDirectory() as name:
        folder, arrays = Path(name, "history"), Path(name, "history.npz")
        plain.write_parquet(history, folder)
        _write_arrays(history, arrays)
        yield from _against_prototype(asked, history, folder, arrays)
        peaks = [_memory(arrays) / history.size for _ in range(asked.repetitions)]
        yield Row("peak over the arrays", "B a micro-operation", peaks, "at most 64")
        peaks = [_memory(folder) / 1e6 for _ in range(asked.repetitions)]
        yield Row("peak of all, from Parquet", "MB", peaks)


def _against_prototype(asked: Options, history: Transactions, folder: Path, arrays: Path) -> Iterator[Row]:
    cases: dict[str, Callable[[], float]] = {
        "from Parquet": lambda: history.size / _seconds(lambda: judge(plain.read(folder)).value),
        "in memory": lambda: history.size / _seconds(lambda: judge(history).value),
    }
    if PROTOTYPE.exists():
        cases["full_graph"] = lambda: history.size / _prototype(arrays)
    for check in list(cases.values())[:2]:
        check()  # compiles, or reads what was compiled
    times = {each.case: [history.size / rate for rate in each.rates] for each in alternate(asked.repetitions, cases)}
    yield Row("full check from Parquet", "s", times["from Parquet"], "at most 0.6")
    yield Row("full check in memory", "s", times["in memory"], "at most 0.3")
    if "full_graph" not in times:
        print(f"{PROTOTYPE.name} isn't there to be compared with", file=sys.stderr)
        return
    yield Row("full_graph, acyclicity only", "s", times["full_graph"])
    ratio = statistics.median(times["full_graph"]) / statistics.median(times["in memory"])
    yield Row("in memory against full_graph", "times as fast", [ratio], "at least 5")


def _prompt(asked: Options) -> Iterator[Row]:
    """The same where every answer comes at the commit."""
    history = histories.valid(asked.operations, late=0)
    yield Row("in memory, no answer late", "s", _repeated(asked, partial(_value, history)))


def _explained(asked: Options) -> Iterator[Row]:
    """Snapshot isolation: every cycle found, the first ones explained."""
    transactions, skews, forks = SKEWED
    for extra in (0, forks):
        history = histories.skewed(transactions, skews, extra)
        found = judge(history)
        times = _repeated(asked, partial(_value, history), Value.INVALID)
        about = ", ".join(f"{count:,} {name}" for name, count in found.anomalies.items())
        yield Row(f"{transactions:,} transactions, {about}, explained", "s", times, "at most 1")


def _first(asked: Options) -> Iterator[Row]:
    """The command, as a process of its own, on a machine that has compiled nothing yet.

    A small history is judged without compiling, since that would take longer; a larger one pays for it once.
    """
    for size, aim in ((SMALL, "under 3"), (COMPILED, "")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name, "history")
            plain.write_parquet(histories.valid(size), folder)
            times = [_command(folder, Path(name, str(number))) for number in range(asked.repetitions)]
        yield Row(f"first `rowrace verify`, {size:,} micro-operations", "s", times, aim)


def _growth(asked: Options) -> Iterator[Row]:
    """Time by micro-operation, from small histories to large ones, all by compiled code."""
    compiled.WORTH_COMPILING = 0  # type: ignore[misc]  # of small histories too, which otherwise aren't worth it
    sizes = [size for size in (SMALLEST, COMPILED, MIDDLE, 3 * MIDDLE, 10 * MIDDLE) if size < asked.largest]
    medians = {}
    for size in (*sizes, asked.largest):
        history = histories.valid(size)
        judge(history)  # what wasn't compiled yet is now
        times = _repeated(asked, partial(_value, history))
        row = Row(f"growth: {history.size:,} micro-operations", "ns each", [1e9 * t / history.size for t in times])
        medians[size] = row.median
        yield row
    if MIDDLE in medians:
        ratio = medians[asked.largest] / medians[MIDDLE]
        yield Row(f"growth: {asked.largest:,} against {MIDDLE:,}", "times as long each", [ratio], "about 1: linear")


def _value(history: Transactions) -> Value:
    return judge(history).value


def _repeated(asked: Options, check: Callable[[], Value], expected: Value = Value.VALID) -> list[float]:
    return [_seconds(check, expected) for _ in range(asked.repetitions)]


def _seconds(check: Callable[[], Value], expected: Value = Value.VALID) -> float:
    began = time.perf_counter()
    value = check()
    seconds = time.perf_counter() - began
    if value is not expected:
        raise RuntimeError(f"{value}, not {expected}")
    return seconds


def _write_arrays(history: Transactions, path: Path) -> None:
    """As the prototype reads them."""
    session, invoke, complete = history.session, history.invoke, history.complete
    np.savez(path, S=session, I=invoke, C=complete, T=history.txn, K=history.row, W=history.write, V=history.version)


def _prototype(arrays: Path) -> float:
    """Seconds that the prototype says it took, from arrays to components: the middle one of its own repetitions."""
    with tempfile.TemporaryDirectory() as cache:
        told = _run([str(PROTOTYPE), str(arrays)], {"NUMBA_CACHE_DIR": cache})
    return statistics.median(float(each) for each in re.findall(r"\bFULL=([\d.]+)s", told))


def _memory(path: Path) -> float:
    """Bytes, of a fresh process."""
    return float(_run(["-m", "benchmarks.verifying_memory", str(path)], {}))


def _command(folder: Path, cache: Path) -> float:
    began = time.perf_counter()
    _run(["-m", "orchestrator", "verify", str(folder)], {"NUMBA_CACHE_DIR": str(cache)})
    return time.perf_counter() - began


def _run(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=HOME,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def _report(rows: list[Row], asked: Options) -> None:
    if asked.json:
        shown = [{**row._asdict(), "median": row.median} for row in rows]
        facts = {"title": "verifying", **asked._asdict(), "python": platform.python_version(), "rows": shown}
        print(json.dumps(facts, indent=2))
        return
    width = max(len(row.case) for row in rows)
    print(f"verifying: {asked.operations:,} micro-operations, medians of {asked.repetitions}")
    for row in rows:
        print(_line(row, width))


def _line(row: Row, width: int) -> str:
    spread = f" ({_figure(min(row.values))} to {_figure(max(row.values))})" if len(row.values) > 1 else ""
    aim = f"; aim: {row.aim}" if row.aim else ""
    return f"  {row.case:<{width}}  {_figure(row.median):>6} {row.unit}{spread}{aim}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: PLR2004 - three digits are enough


if __name__ == "__main__":
    main()
