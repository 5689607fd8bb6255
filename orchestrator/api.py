"""What `rowrace.py` offers, behind its lazy imports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.again import again
from orchestrator.config import load
from orchestrator.errors import ServiceError, UsageError
from orchestrator.foreign import Format, format_of, judged, level_of
from orchestrator.interrupt import interruptible
from orchestrator.profile import Profile
from orchestrator.reports.result import Exit
from orchestrator.run import run
from orchestrator.toml import checked, need_known

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from orchestrator.groups import Group
    from orchestrator.progress import Counts
    from orchestrator.reports.result import Report
    from orchestrator.verifier.verdict import Judgement, Verdict


class Silent:
    """Watches a run and says nothing."""

    def begin(self, group: Group, operations: int) -> None:
        """Hear that a group begins."""

    def progress(self, published: int, counts: Counts, seconds: float) -> None:
        """Hear how far it is."""

    def end(self) -> None:
        """Hear that the group is over."""


def race(profile: Profile | None, settings: Mapping[str, Any], *, keep: bool) -> Report:
    """Run a profile, with settings that override its keys."""
    changes = msgspec.to_builtins(dict(settings))
    need_known("The settings", changes)
    try:
        data = {**msgspec.to_builtins(profile or Profile()), **changes}
        chosen = checked(msgspec.convert(data, Profile))
    except msgspec.ValidationError as error:
        raise UsageError(f"The settings make no profile: {error}.") from error
    with interruptible() as interrupt:
        report = run(chosen, load(), Silent(), interrupt, keep=keep)
    if report.ends is Exit.SERVICE:  # whoever looks at rows only would not miss those that are not there
        raise ServiceError(f"{report.notes[-1]} What was judged is in {report.folder}.")
    return report


def verify(path: str | PathLike[str], level: str | None = None) -> Verdict | Judgement:
    """Judge one group's history, or one that another system made."""
    found, model = format_of(Path(path)), level_of(level) if level else None
    if found is not Format.RUN:
        return judged(Path(path), found, model)
    report = again(Path(path), model)
    if report.asked != 1:
        raise UsageError(f"{path}: holds {report.asked} groups; give the folder of one of them.")
    return report.findings[0].verdict
