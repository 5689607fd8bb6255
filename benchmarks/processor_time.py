"""Where the processor time of `many_per_message` goes: a race, sampled, by the role of each process."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

import psutil

from benchmarks import races
from benchmarks.many_per_message import PER_MESSAGE
from benchmarks.measure import options
from orchestrator.services import open_services

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Pause between two samples, seconds.
TICK = 0.25


def main() -> None:
    """Race, sample, and print microseconds per operation from the first worker's work to the last."""
    asked = options("processor time by role", 20_000)
    raced = races.profile(asked, per_message=PER_MESSAGE)
    samples: list[Counter[str]] = []
    ended = threading.Event()
    with open_services() as services:
        sampler = threading.Thread(target=_sample, args=(samples, ended))
        sampler.start()
        rate = races.rate(services, raced)
        ended.set()
        sampler.join()
    last = max(samples, key=lambda each: each["worker processes"])
    first = max(0, samples.index(last) - round(asked.operations / rate / TICK))
    print(f"{asked.operations} operations, {PER_MESSAGE} a message, {rate:,.0f}/s: processor time per operation")
    for role, seconds in (last - samples[first]).most_common():
        print(f"  {role:<24} {seconds / asked.operations * 1e6:>5.0f} µs")


def _sample(samples: list[Counter[str]], ended: threading.Event) -> None:
    """Add processor times up by role, now and then; processes that have ended keep what they had."""
    seen: dict[int, tuple[str, float]] = {}
    while not ended.wait(TICK):
        seen.update(_looked())
        total: Counter[str] = Counter()
        for role, seconds in seen.values():
            total[role] += seconds  # type: ignore[assignment]  # Counter's types know whole numbers only
        samples.append(total)


def _looked() -> Iterator[tuple[int, tuple[str, float]]]:
    me = psutil.Process()
    for each in (me, *me.children(recursive=True)):
        try:
            times = each.cpu_times()
            yield each.pid, (_role(each, me), times.user + times.system)
        except psutil.Error:
            continue  # it ended while we looked


def _role(each: psutil.Process, me: psutil.Process) -> str:
    command = " ".join(each.cmdline())
    if each == me:
        return "orchestrator"
    if command.startswith("postgres: rowrace"):
        return "database backends"
    if "celery" in command:
        parent = each.parent()
        forked = parent is not None and "celery" in " ".join(parent.cmdline())
        return "worker processes" if forked else "worker nodes"
    return "broker" if "valkey" in command else "database, other"


if __name__ == "__main__":
    main()
