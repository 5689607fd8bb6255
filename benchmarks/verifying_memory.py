"""How much memory a check takes, in a process that did nothing else: prints bytes.

Of arrays (.npz): the highest point of the check over what the process had with the arrays loaded.  Of a folder of
Parquet files: the highest point of the process, from reading to judgement.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import psutil

from benchmarks import histories
from orchestrator.history import plain
from orchestrator.history.transactions import Transactions
from orchestrator.verifier.dependencies import judge

#: Micro-operations of a first check, for which code is compiled, or read where it was kept.
WARM = 100_000


def main() -> None:
    """Measure and print."""
    path = Path(sys.argv[1])
    if path.is_dir():
        judge(plain.read(path))
        print(_highest())
        return
    judge(histories.valid(WARM))
    history = _loaded(path)
    loaded = psutil.Process().memory_info().rss
    judge(history)
    print(max(0, _highest() - loaded))


def _highest() -> int:
    """The most that the process had so far, in bytes.

    Linux says it in KiB; what `getrusage` tells includes what the process that started this one had.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def _loaded(path: Path) -> Transactions:
    with np.load(path) as arrays:
        session, invoke, complete, txn, row, write, version = (arrays[name] for name in "SICTKWV")
    return Transactions(
        status=np.zeros(len(session), dtype=np.int8),
        session=session,
        invoke=invoke,
        complete=complete,
        txn=txn,
        row=row,
        write=write,
        version=version,
        names=histories.Numbered(process=session, invoke=invoke, complete=complete),
    )


if __name__ == "__main__":
    main()
