"""What all benchmarks share: options, alternating repetitions, medians, one table."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Options(NamedTuple):
    """What a benchmark was asked for."""

    operations: int
    repetitions: int
    #: Worker nodes, and processes in each.
    nodes: int
    concurrency: int
    json: bool

    @property
    def clients(self) -> int:
        """Worker processes in all."""
        return self.nodes * self.concurrency


class Measured(NamedTuple):
    """One case's rates, per second."""

    case: str
    rates: list[float]

    @property
    def median(self) -> float:
        """The middle rate."""
        return statistics.median(self.rates)


def options(description: str, operations: int) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--operations", type=int, default=operations, help="in each repetition (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each case, alternating (%(default)s)")
    parser.add_argument("--nodes", type=int, default=2, help="worker nodes (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=1, help="processes in each node (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return Options(**vars(parser.parse_args()))


def against(base: str, measured: list[Measured]) -> dict[str, str]:
    """Compare every case with one."""
    return {each.case: base for each in measured}


def alternate(repetitions: int, cases: Mapping[str, Callable[[], float]]) -> list[Measured]:
    """Run the cases in turn, the order reversed each time, so that a slow spell of the machine hits all of them."""
    measured = [Measured(case, []) for case in cases]
    for repetition in range(repetitions):
        for each in measured if repetition % 2 == 0 else reversed(measured):
            each.rates.append(cases[each.case]())
            print(f"{repetition + 1}/{repetitions} {each.case}: {each.rates[-1]:,.0f}/s", file=sys.stderr)
    return measured


def report(title: str, measured: list[Measured], bases: Mapping[str, str], asked: Options) -> None:
    """Print medians, spread, and each case's ratio to the case that `bases` names for it."""
    medians = {each.case: each.median for each in measured}
    rows = [
        {
            "case": each.case,
            "median_per_s": round(each.median, 1),
            "lowest_per_s": round(min(each.rates), 1),
            "highest_per_s": round(max(each.rates), 1),
            "base": bases[each.case],
            "ratio": round(each.median / medians[bases[each.case]], 3),
        }
        for each in measured
    ]
    if asked.json:
        facts = {"title": title, **asked._asdict(), "python": platform.python_version(), "rows": rows}
        print(json.dumps(facts, indent=2))
        return
    width = max(len(each.case) for each in measured)
    print(f"{title}: {asked.operations} operations, medians of {asked.repetitions}")
    for row in rows:
        low, high = row["lowest_per_s"], row["highest_per_s"]
        print(
            f"  {row['case']:<{width}}  {row['median_per_s']:>9,.0f}/s  ({low:,.0f} to {high:,.0f})"
            f"  {row['ratio']:.2f} of {row['base']}"
        )
