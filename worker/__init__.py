"""Runs race operations: deployable alone on a worker host, started with `celery -A worker worker`."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as every module's
    """Give `celery -A worker` its app, and import Celery only for those who ask."""
    if name in ("app", "celery"):
        from worker.app import app  # noqa: PLC0415 - the contract alone is imported by many

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
