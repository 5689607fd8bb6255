"""(d) Publishing alone, nobody listening: rowrace's confirmed batches against plain `.delay()`."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from benchmarks import races
from benchmarks.baseline import unheard
from benchmarks.baseline_app import app, race
from benchmarks.measure import against, alternate, options, report
from orchestrator.broker import Broker
from orchestrator.plan import plan
from orchestrator.publish import Publisher, messages
from orchestrator.services import open_services

if TYPE_CHECKING:
    from orchestrator.profile import Profile
    from orchestrator.services import Services


def batches(services: Services, raced: Profile) -> float:
    """Messages per second as a race publishes them, one operation in each."""
    name = f"bench{secrets.token_hex(4)}"
    broker = Broker(services.broker_url, name)
    settings = unheard(name, raced)
    try:
        publisher = Publisher(broker, raced.operations, 1, again=True)
        publisher.settled = raced.operations  # nobody settles: publish without waiting
        began = time.perf_counter()
        publisher.run(messages(settings, name, plan(raced, "credits"), 1))
        seconds = time.perf_counter() - began
        if broker.waiting() != raced.operations:
            raise RuntimeError("not every message arrived")
        return raced.operations / seconds
    finally:
        broker.remove()
        broker.close()


def delay(services: Services, raced: Profile) -> float:
    """Messages per second with a task's own `.delay()`, the same operations in them."""
    queue = f"baseline{secrets.token_hex(4)}"
    broker = Broker(services.broker_url, queue)
    settings = msgspec.to_builtins(unheard(queue, raced))
    app.conf.update(broker_url=services.broker_url, task_default_queue=broker.queue)
    try:
        began = time.perf_counter()
        for each in plan(raced, "credits"):
            race.delay(settings=settings, operations=[(each.operation, each.kind, each.params)])
        seconds = time.perf_counter() - began
        if broker.waiting() != raced.operations:
            raise RuntimeError("not every message arrived")
        return raced.operations / seconds
    finally:
        broker.remove()
        broker.close()


def main() -> None:
    """Measure and print."""
    asked = options("publishing: confirmed batches, plain .delay()", 10_000)
    raced = races.profile(asked)
    with open_services() as services:
        measured = alternate(
            asked.repetitions,
            {
                "batches": lambda: batches(services, raced),
                "delay": lambda: delay(services, raced),
            },
        )
    report("publishing", measured, against("delay", measured), asked)


if __name__ == "__main__":
    main()
