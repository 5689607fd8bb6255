"""What a rung is told of the run that it carries out, and the book in which it enters what it found."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from orchestrator.history import files
from orchestrator.reports.findings import finding
from orchestrator.state import JOURNALS

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.config import Config
    from orchestrator.groups import Group
    from orchestrator.profile import Profile
    from orchestrator.reports.result import Finding
    from orchestrator.services import Services


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what to race, and where."""

    run: str
    profile: Profile
    config: Config
    groups: tuple[Group, ...]
    #: The run's folder, absolute.
    folder: Path
    #: Leave the groups' schemas in the database.
    keep: bool = False

    @property
    def logs(self) -> Path:
        """Where servers, nodes and the run itself write."""
        return self.folder / "logs"

    @property
    def journals(self) -> Path:
        """Where the nodes that it spawns write what they attempt, until it is shipped."""
        return self.folder / JOURNALS

    def rung(self, services: Services) -> str:
        """Say where it stands; what `rowrace hosts` gives to the run on its hosts is the layout's own."""
        return services.rung.replace("given ", "the layout's own ") if self.config.wires else services.rung


class Book:
    """What a run has found so far; still right when the run ends early."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        #: In words, once services are open.
        self.rung = ""
        self.notes: list[str] = []
        self.findings: list[Finding] = []

    def judge(self, group: Group) -> None:
        """Verify the group's history, read back from its files, and enter the finding."""
        folder = self._stage.folder
        load = partial(files.read, folder / group.name)
        self.findings.append(finding(group, load, self._stage.profile.gates, str(folder)))
