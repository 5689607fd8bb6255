"""The fleet: worker nodes that are spawned for a run and always stopped, or nodes that listen already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.fleet.external import listening
from orchestrator.fleet.model import Crew, Fleet, Place
from orchestrator.fleet.spawned import spawning
from orchestrator.profile import Workers

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from threading import Event

    from orchestrator.broker import Broker
    from orchestrator.profile import Profile

__all__ = ("Crew", "Fleet", "Place", "fleet")


def fleet(profile: Profile, broker: Broker, place: Place, hurry: Event) -> AbstractContextManager[Crew]:
    """Provide the nodes that the profile asks for, all listening; those it spawned end with the block."""
    if profile.workers is Workers.EXTERNAL:
        return listening(profile, broker)
    return spawning(profile, broker, place, hurry)
