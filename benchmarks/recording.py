"""(c) What recording costs: triggers, journals, shipping, and the orchestrator that reads them, against none of it."""

from __future__ import annotations

from benchmarks import races
from benchmarks.measure import alternate, options, report
from orchestrator.services import open_services


def main() -> None:
    """Measure and print, for one operation a message and for a hundred."""
    asked = options("recording on, recording off", 4000)
    with open_services() as services:
        for per_message in (1, 100):
            on = races.profile(asked, per_message=per_message)
            off = races.profile(asked, per_message=per_message, recording=False)
            measured = alternate(
                asked.repetitions,
                {
                    "on": lambda on=on: races.rate(services, on),  # type: ignore[misc]  # bound now, called later
                    "off": lambda off=off: races.rate(services, off),  # type: ignore[misc]  # as above
                },
            )
            report(f"recording, {per_message} a message", measured, "off", asked)


if __name__ == "__main__":
    main()
