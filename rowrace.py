"""The small public API, for people's own tests: `race`, `explore`, `verify`, and what they give back.

Importing it starts nothing and imports neither workers nor Celery; `race` does so when it is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from os import PathLike

    from orchestrator.errors import UsageError
    from orchestrator.explore import explore
    from orchestrator.explore_found import Failure, Found
    from orchestrator.explorer.judging import Outcome
    from orchestrator.profile import Profile
    from orchestrator.reports.result import Report
    from orchestrator.verifier.verdict import Judgement, Value, Verdict

__all__ = [
    "Failure",
    "Found",
    "Judgement",
    "Outcome",
    "Profile",
    "Report",
    "UsageError",
    "Value",
    "Verdict",
    "explore",
    "race",
    "verify",
]

_HOMES: Final = {
    "Failure": "orchestrator.explore_found",
    "Found": "orchestrator.explore_found",
    "Judgement": "orchestrator.verifier.verdict",
    "Outcome": "orchestrator.explorer.judging",
    "Profile": "orchestrator.profile",
    "Report": "orchestrator.reports.result",
    "UsageError": "orchestrator.errors",
    "Value": "orchestrator.verifier.verdict",
    "Verdict": "orchestrator.verifier.verdict",
    "explore": "orchestrator.explore",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as every module's
    """Import a name when it is asked for: some who import this module have a package called `worker` themselves."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def race(profile: Profile | None = None, /, *, keep: bool = False, **settings: Any) -> Report:  # noqa: ANN401 - a key's value
    """Run a profile, or the one that the settings make (`race(strategies=("naive",), mode="eager")`), and report.

    Services come from the environment, as for the command; without any they are embedded for the call's time.
    """
    from orchestrator.api import race as run  # noqa: PLC0415 - workers and Celery are imported only by those who race

    return run(profile, settings, keep=keep)


def verify(path: str | PathLike[str], level: str | None = None) -> Verdict | Judgement:
    """Judge the history in a group's folder, or in the folder of a run that has one group.

    A history that another system made (docs/foreign-histories.md) gives a `Judgement`; it is held to the consistency
    model `level`, to strict serializability unless one is named.
    """
    from orchestrator.api import verify as judge  # noqa: PLC0415 - as above

    return judge(path, level)
