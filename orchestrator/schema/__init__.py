"""A group's tables and triggers: created, dropped, listed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.schema.postgres import abandoned, create, drop, hold, run_of, schemas

__all__ = ["abandoned", "create", "drop", "hold", "run_of", "schemas"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function of postgres.py
    """Load what is for Postgres when it is asked for: on SQLite nobody needs the driver."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("orchestrator.schema.postgres"), name)
