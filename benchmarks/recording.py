"""(c) What recording costs: triggers, journals, shipping, and the orchestrator that reads them, against none of it."""

from __future__ import annotations

from functools import partial

from benchmarks import races
from benchmarks.measure import alternate, options, report
from orchestrator.services import open_services


def main() -> None:
    """Measure and print, for one operation a message and for a hundred."""
    asked = options("recording on, recording off", 4000)
    with open_services() as services:
        cases, bases = {}, {}
        for many in (1, 100):
            for recording, word in ((True, "on"), (False, "off")):
                raced = races.profile(asked, per_message=many, recording=recording)
                cases[f"{word}, {many} a message"] = partial(races.rate, services, raced)
                bases[f"{word}, {many} a message"] = f"off, {many} a message"
        measured = alternate(asked.repetitions, cases)
    report("recording", measured, bases, asked)


if __name__ == "__main__":
    main()
