"""A group's tables and triggers: created, dropped, listed."""

from orchestrator.schema.postgres import abandoned, create, drop, hold, schemas

__all__ = ["abandoned", "create", "drop", "hold", "schemas"]
