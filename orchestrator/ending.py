"""Why a race ended, on every rung."""

from __future__ import annotations

from enum import StrEnum


class End(StrEnum):
    """Why a race ended."""

    SETTLED = "settled"
    DRAINED = "drained"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    #: Publishing failed for good, or no node is left.
    BROKEN = "broken"
