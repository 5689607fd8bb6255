"""Histories of lists as Jepsen and Elle write them: transactions append unique elements and read whole lists."""

from orchestrator.history.list_append.reading import read

__all__ = ["read"]
