"""(a) One operation a message: rowrace against a hand-written Celery task, and against a task that does nothing."""

from __future__ import annotations

from benchmarks import baseline, races
from benchmarks.measure import against, alternate, options, report
from orchestrator.services import open_services


def main() -> None:
    """Measure and print."""
    asked = options("one operation a message: rowrace, hand-written, no-op", 4000)
    raced = races.profile(asked)
    with open_services() as services:
        measured = alternate(
            asked.repetitions,
            {
                "rowrace": lambda: races.rate(services, raced),
                "hand-written": lambda: baseline.rate(services, raced, asked, "apply"),
                "no-op": lambda: baseline.rate(services, raced, asked, "noop"),
            },
        )
    report("one operation a message", measured, against("hand-written", measured), asked)


if __name__ == "__main__":
    main()
