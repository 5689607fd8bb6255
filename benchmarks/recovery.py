"""How long a worker host needs after a silent cut from the broker or the database: with recovery settings, and without.

Root and Linux only: `rowrace hosts` lays out one worker host, cuts it off, and heals it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from orchestrator.history import files
from orchestrator.verifier.clocks import to_database
from orchestrator.verifier.columns import prepare

#: What the worker host is cut off from, and whether recovery settings are on.
_CASES: Final = [(service, on) for service in ("broker", "database") for on in (True, False)]

#: Two slots do at most a hundred operations a second, so that the race outlasts the cut.
_RACE: Final = (
    *("--worker-hosts", "1", "--concurrency", "2", "--operations", "500", "--rows", "30"),
    *("--think-min-ms", "15", "--think-max-ms", "25", "--timeout", "240", "--expect", "valid"),
)


class Measured(NamedTuple):
    """Seconds from healing."""

    #: To the first new commit.
    commit: float
    #: To the first attempt of an operation that nobody had attempted before.
    taken: float


def main() -> None:
    """Print a line a case: medians, and the lowest and highest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3, help="of each case, alternating (%(default)s)")
    parser.add_argument("--cut", type=int, default=10, help="how long a cut lasts, seconds (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    asked = parser.parse_args()
    found: dict[tuple[str, bool], list[Measured]] = {case: [] for case in _CASES}
    for repetition in range(asked.repetitions):
        for case in _CASES if repetition % 2 == 0 else reversed(_CASES):
            found[case].append(_race(*case, asked.cut))
            print(f"{repetition + 1}/{asked.repetitions} {case}: {found[case][-1]}", file=sys.stderr)
    rows = [
        {"cut_from": service, "recovery": on, **{name: _spread(each, name) for name in Measured._fields}}
        for (service, on), each in found.items()
    ]
    if asked.json:
        print(json.dumps({"cut_s": asked.cut, "repetitions": asked.repetitions, "rows": rows}, indent=2))
        return
    print(f"recovery from a silent cut of {asked.cut} s, seconds from healing, medians of {asked.repetitions}")
    print(f"  {'cut from':<10}{'recovery settings':<20}{'first commit':<24}first new operation begun")
    for (service, on), each in found.items():
        commit, taken = (_told(_spread(each, name)) for name in Measured._fields)
        print(f"  {service:<10}{'on' if on else 'off':<20}{commit:<24}{taken}")


def _race(service: str, on: bool, cut: int) -> Measured:  # noqa: FBT001 - the case, as it stands in the table
    """Race across hosts with one cut, and measure what its history says."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "orchestrator", "hosts", "credits", "--runs-dir", folder, *_RACE]
        fault = f"partition:worker1-{service}:at=2s:for={cut}s"
        setting = "--worker-recovery" if on else "--no-worker-recovery"
        done = subprocess.run(
            [*command, "--faults", fault, setting], capture_output=True, text=True, check=False, timeout=400
        )
        paths = list(Path(folder).glob("*/*/group.json"))
        if not paths:
            sys.exit(f"there was no race: {done.stdout}{done.stderr}")
        return _measured(paths[0].parent)


def _measured(folder: Path) -> Measured:
    columns = prepare(files.read(folder))
    if not len(columns.faults.healed) or columns.faults.healed[0] < 0:
        sys.exit(f"the cut was not made, or not healed: {columns.meta.gaps}")
    healed = int(columns.faults.healed[0])
    attempts = columns.attempts
    started = to_database(columns, attempts.process, attempts.start)[0] // 1000
    first = np.full(len(columns.operations.number), np.iinfo(np.int64).max)
    np.minimum.at(first, attempts.operation, started)
    return Measured(_after(columns.effects.at_us, healed), _after(first, healed))


def _after(times: np.typing.NDArray[np.int64], since: int) -> float:
    """Seconds from one time to the next of many; infinite where none follows."""
    later = times[(times > since) & (times < np.iinfo(np.int64).max)]
    return float(later.min() - since) / 1e6 if len(later) else float("inf")


def _spread(measured: list[Measured], name: str) -> tuple[float, float, float]:
    """Median, lowest, highest."""
    values = [getattr(each, name) for each in measured]
    return statistics.median(values), min(values), max(values)


def _told(spread: tuple[float, float, float]) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*spread)


if __name__ == "__main__":
    main()
