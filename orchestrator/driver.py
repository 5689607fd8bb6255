"""PostgreSQL's driver: asked for before anything is imported that can't do without it; SQLite can."""

from __future__ import annotations

from importlib import import_module

from orchestrator.errors import ServiceError


def need_driver() -> None:
    """Go on only where psycopg can be imported; else a sentence says what to install."""
    try:
        import_module("psycopg")
    except ImportError as error:
        raise ServiceError(f"PostgreSQL needs the driver psycopg, which {_why(error)}.") from error


def _why(error: ImportError) -> str:
    """Tell a driver that is not there from one without its library, which says more than a line."""
    if isinstance(error, ModuleNotFoundError):
        instead = "pip install 'psycopg[binary]', or stay on SQLite (rowrace explore, rowrace run --mode eager)"
        return f"is not installed: {instead}"
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return f"can't be imported ({said}): pip install 'psycopg[binary]', or install libpq"
