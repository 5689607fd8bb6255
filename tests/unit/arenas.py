"""A database of one value per key, for the tests of what runs schedules: naive deposits lose each other's updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.explorer.hub import Crash, Hub
from orchestrator.explorer.model import Footprint, Place, Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Scheduler


class Deposits(NamedTuple):
    """Workers that each deposit on some accounts, reading each balance and writing it back."""

    #: Each worker's accounts, in order.
    accounts: tuple[tuple[int, ...], ...]
    amount: int = 10
    crashes: int = 0

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self.accounts)

    def run(self, scheduler: Scheduler) -> Execution:
        """Run one schedule from empty accounts."""
        hub = Hub(scheduler, crashes=self.crashes, catch=True)
        rows: dict[int, int] = {}
        execution = hub.run([self._body(hub, rows, accounts) for accounts in self.accounts])
        return execution._replace(state={"account": [{"id": key, "balance": rows[key]} for key in sorted(rows)]})

    def _body(self, hub: Hub, rows: dict[int, int], accounts: tuple[int, ...]) -> Callable[[], None]:
        def body() -> None:
            while True:
                try:
                    return work()
                except Crash:
                    hub.delivered()

        def work() -> None:
            for key in accounts:
                place = frozenset([Place("account", key)])
                hub.stand(Point("statement", "SELECT balance FROM account WHERE id = ?", (key,), Footprint(place)))
                balance = rows.get(key, 0)
                hub.answered([(balance,)], 1)
                text, values = "UPDATE account SET balance = ? WHERE id = ?", (balance + self.amount, key)
                hub.stand(Point("statement", text, values, Footprint(frozenset(), place, place)))
                hub.answered(count=1)
                hub.stand(Point("commit"))
                rows[key] = balance + self.amount

        return body
