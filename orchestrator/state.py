"""What a run leaves written in its folder, so that it can be resumed after its orchestrator was killed.

It is replaced whole at each step, and holds against SIGKILL, not against a power cut: what is written is the kernel's,
but not forced onto the disk.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.base import Base  # noqa: TC001 -- decoding needs it
from orchestrator.errors import UsageError
from orchestrator.faults.strike_log import STRIKES_FILE
from orchestrator.profile import Mode  # noqa: TC001 -- as above
from orchestrator.services.folder import write_private
from orchestrator.watermark import PUBLISHED_FILE

if TYPE_CHECKING:
    from pathlib import Path

#: Where a run's own nodes write what they attempt, until it is shipped; in the run's folder.
JOURNALS: Final = "journals"
#: The state's file in the run's folder; while it is there and nobody holds the folder, the run waits for `resume`.
STATE_FILE: Final = "state.json"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is."""

    run: str
    mode: Mode
    #: Leave the groups' schemas in the database.
    keep: bool = False
    #: None before services are open.
    base: Base | None = None
    #: The group under way, by its number; 0 where none is.
    group: int = 0
    #: Its schema is whole, rows and triggers and all: what is in it counts from here on.
    created: bool = False
    #: The database's clock when that group's race began, microseconds.
    began_us: int = 0
    #: Groups whose histories are whole, by their numbers.
    done: tuple[int, ...] = ()
    #: How often the run was resumed.
    resumed: int = 0

    def begun(self, group: int) -> State:
        """A group is under way."""
        return msgspec.structs.replace(self, group=group, created=False, began_us=0)

    def laid_out(self, began_us: int) -> State:
        """The schema of the group under way is whole, and its race begins."""
        return msgspec.structs.replace(self, created=True, began_us=began_us)

    def ended(self) -> State:
        """The history of the group under way is whole."""
        return msgspec.structs.replace(self, group=0, created=False, began_us=0, done=(*self.done, self.group))

    def taken_up(self) -> State:
        """The run is resumed."""
        return msgspec.structs.replace(self, resumed=self.resumed + 1)


class Standing:
    """How far a run is, in memory and in its folder: a step is written before what follows it begins."""

    def __init__(self, folder: Path, now: State, *, lasting: bool = True) -> None:
        """Where what it stands on ends with it (`rowrace hosts`), nothing is written: it could not be resumed."""
        self.folder = folder
        self._lasting = lasting
        self.now = now
        #: An earlier process has left data: should this one fail, they are left as they are, to be resumed again.
        self.keeps = now.base is not None

    @property
    def path(self) -> Path:
        """The state's file."""
        return self.folder / STATE_FILE

    def step(self, now: State) -> None:
        """Write down how far the run is now."""
        if self._lasting:
            write(now, self.folder)
        self.now = now


def write(state: State, folder: Path) -> None:
    """Write the state into the run's folder, whole or not at all."""
    write_private(folder / STATE_FILE, msgspec.json.encode(state))


def read(folder: Path) -> State | None:
    """Read the run's state; None where the run waits for nothing, UsageError where nobody can read it."""
    path = folder / STATE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:  # ValueError: a text in it is not UTF-8
        raise UsageError(
            f"{path} can't be read, so the run can't be resumed: `rowrace clean --forget {folder.name}` removes it."
        ) from error


def resolve(folder: Path) -> None:
    """Say that the run needs nothing more: it waits no longer, and embedded data that it left may go.

    What is in its folder for resuming alone goes at once.
    """
    state = folder / STATE_FILE
    if state.is_dir() and not state.is_symlink():
        shutil.rmtree(state)  # somebody else made it, and the run waits for as long as it is there
    else:
        state.unlink(missing_ok=True)
    for path in folder.glob(f"{STATE_FILE}.*"):
        path.unlink(missing_ok=True)  # a kill left half a new one
    for group in folder.glob("*/"):
        forget(group)
    shutil.rmtree(folder / JOURNALS, ignore_errors=True)


def forget(group: Path) -> None:
    """Remove what a group's folder holds for resuming alone."""
    for name in (PUBLISHED_FILE, STRIKES_FILE):
        (group / name).unlink(missing_ok=True)
