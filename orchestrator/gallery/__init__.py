"""The gallery: failures that Celery teams meet, each provoked for real, caught, and prevented."""

from orchestrator.gallery.doubled import DOUBLED
from orchestrator.gallery.lost import LOST
from orchestrator.gallery.model import Failure, Shown
from orchestrator.gallery.stuck import STUCK
from orchestrator.gallery.wrong import WRONG

#: Every failure, in the order in which it is told.
FAILURES: dict[str, Failure] = {failure.name: failure for failure in (*LOST, *DOUBLED, *WRONG, *STUCK)}

__all__ = ["FAILURES", "Failure", "Shown"]
