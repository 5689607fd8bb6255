"""Runs that wait for `rowrace resume`: which there are, how far each is, and what to type."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator import toml, watermark
from orchestrator.errors import UsageError
from orchestrator.groups import groups
from orchestrator.holding import lives
from orchestrator.services import Origin, waiting
from orchestrator.state import STATE_FILE, read

if TYPE_CHECKING:
    from orchestrator.base import Base
    from orchestrator.state import State

#: A run's folder has the name of its run, which begins with its time.
_RUN: Final = re.compile(r"[0-9]{12}[0-9a-f]{6}")
_TIME: Final = "%y%m%d%H%M%S"
_TIME_LENGTH: Final = 12


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run that nobody carries out and that has not ended."""

    folder: Path
    #: None: nobody can read it, so nobody can resume the run.
    state: State | None

    @property
    def run(self) -> str:
        """Its id."""
        return self.folder.name

    @property
    def base(self) -> Base | None:
        """Where its services are, as far as that is known."""
        return None if self.state is None else self.state.base


def ended(runs_dir: Path) -> list[Path]:
    """List the folders of runs that nobody carries out."""
    if not runs_dir.is_dir():
        return []
    runs = (path for path in runs_dir.iterdir() if _RUN.fullmatch(path.name) and (path / "profile.toml").is_file())
    # A run may stand on other services than those that are asked after it, or on none.
    return sorted(path for path in runs if not lives(path))


def waits(folder: Path) -> Waiting | None:
    """Say how a run waits; None where it waits for nothing."""
    try:
        state = read(folder)
    except UsageError:
        return Waiting(folder=folder, state=None)
    return None if state is None else Waiting(folder=folder, state=state)


def waiting_runs(runs_dir: Path) -> list[Waiting]:
    """List the runs that wait, the earliest first."""
    return [found for path in ended(runs_dir) if (found := waits(path)) is not None]


def as_json(found: Waiting, runs_dir: Path | None) -> dict[str, str]:
    """Tell of a run: when it began, how far it is, what to type; `runs_dir` is the flag's, where it was given."""
    able, told = _how_far(found)
    where = [] if runs_dir is None else ["--runs-dir", str(runs_dir)]
    # `clean` alone would take from every run what it waits with.
    words = ["resume", found.run, *where, *_urls(found.base)] if able else ["clean", "--forget", found.run, *where]
    command = shlex.join(["rowrace", *words])
    return {"run": found.run, "begun": _begun(found.run), "how_far": told, "command": command}


def _begun(run: str) -> str:
    """Read a run's time from its name, which somebody may have given to a folder by hand."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.strptime(run[:_TIME_LENGTH], _TIME))
    except ValueError:
        return "at no time that its name tells"


def lines(found: Waiting, runs_dir: Path | None) -> tuple[str, ...]:
    """Tell the same to people."""
    told = as_json(found, runs_dir)
    return (f"{told['run']}, begun {told['begun']}", f"  {told['how_far']}", f"  {told['command']}")


def _how_far(found: Waiting) -> tuple[bool, str]:
    """Say whether a run can be resumed, and tell how far it is, or why it can't."""
    state, folder = found.state, found.folder
    if state is None:
        return False, f"{STATE_FILE} can't be read, so it can't be resumed"
    if gone(found):
        return False, "its data are gone, so it can't be resumed"
    try:
        profile = toml.build(folder / "profile.toml", {})
        planned = groups(profile)
    except UsageError as error:
        return False, f"it can't be resumed: {error}"
    told = f"{len(state.done)} of {len(planned)} group{'s' if len(planned) > 1 else ''} done"
    for group in planned:
        if group.number == state.group:
            published = watermark.read(folder / group.name / watermark.PUBLISHED_FILE).end()
            told += f"; of {group.name} {published:,} of {profile.operations:,} operations published"
    return True, told


def gone(found: Waiting) -> bool:
    """Say whether the embedded data are gone that a run was to be resumed with."""
    base, state = found.base, found.folder / STATE_FILE
    return base is not None and base.folder is not None and not waiting.waits_for(Path(base.folder), state)


def _urls(base: Base | None) -> list[str]:
    """Give the flags that a run on given services needs, each with its password hidden."""
    if base is None:
        return []
    services = (("--database-url", base.database, base.database_url), ("--broker-url", base.broker, base.broker_url))
    return [word for flag, origin, url in services if origin is Origin.GIVEN for word in (flag, url)]
