"""A deadlock cascade: twelve tasks that lock three rows in four orders, all at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple
from unittest.mock import patch

from worker import attempt
from worker.config import Config
from worker.contract import Isolation, Operation, Retry, Settings
from worker.runtime import Identity, ProcessRuntime
from worker.strategies import STRATEGIES

if TYPE_CHECKING:
    from pathlib import Path

    from worker.access import Access
    from worker.contract import Outcome
    from worker.scenarios.model import Change

TASKS: Final = 12
ORDERS: Final = ((0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1))


class Recovered(NamedTuple):
    """What became of a cascade."""

    #: Outcome of each task.
    outcomes: list[Outcome]
    #: From the moment when all hold their first lock to the last task's end, seconds.
    seconds: float


def cascade(database_url: str, schema: str, folder: Path) -> Recovered:
    """Run the tasks in threads: who locks a row first waits until all three are locked, so that a cycle is certain."""
    runtime = ProcessRuntime(Config(database_url=database_url, journal_dir=folder), Identity("cascade", "threads"))
    first = threading.Barrier(3)
    met: set[int] = set()

    def body(db: Access, change: Change) -> None:
        order = ORDERS[change.params["amount"] % len(ORDERS)]
        with db.transaction():
            for place, key in enumerate(order):
                row = db.read(key, lock=True)
                if place == 0 and key not in met:
                    met.add(key)
                    first.wait(20)
                db.update(key, row.value + 1)

    settings = Settings(
        run="abcd",
        schema=schema,
        scenario="credits",
        strategy="cascade",
        isolation=Isolation.READ_COMMITTED,
        retry=Retry(attempts=50),
        think_ms=(0, 0),
        lock_timeout_ms=0,
        recording=True,
        seed=1,
    )
    operations = [Operation(number, "grant", {"user": 0, "amount": number}) for number in range(TASKS)]
    with patch.dict(STRATEGIES, {"cascade": body}), ThreadPoolExecutor(TASKS) as pool:
        began = time.monotonic()
        results = list(pool.map(lambda each: attempt.run(each, settings, runtime), operations))
        seconds = time.monotonic() - began
    runtime.finish()
    runtime.close()
    return Recovered([each.outcome for each in results], seconds)
