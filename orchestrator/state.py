"""What a run leaves written in its folder, so that it can be resumed after its orchestrator was killed.

It is replaced whole at each step, and holds against SIGKILL, not against a power cut: what is written is the kernel's,
but not forced onto the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.base import Base  # noqa: TC001 -- decoding needs it
from orchestrator.errors import UsageError
from orchestrator.profile import Mode  # noqa: TC001 -- as above
from orchestrator.services.folder import write_private

if TYPE_CHECKING:
    from pathlib import Path

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
    #: Groups whose histories are whole, by their numbers.
    done: tuple[int, ...] = ()
    #: How often the run was resumed.
    resumed: int = 0

    def begun(self, group: int) -> State:
        """A group is under way."""
        return msgspec.structs.replace(self, group=group, created=False)

    def laid_out(self) -> State:
        """The schema of the group under way is whole."""
        return msgspec.structs.replace(self, created=True)

    def ended(self) -> State:
        """The history of the group under way is whole."""
        return msgspec.structs.replace(self, group=0, created=False, done=(*self.done, self.group))


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
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{path} can't be read, so the run can't be resumed: `rowrace clean` removes it.") from error


def resolve(folder: Path) -> None:
    """Say that the run needs nothing more: it waits no longer, and embedded data that it left may go."""
    (folder / STATE_FILE).unlink(missing_ok=True)
