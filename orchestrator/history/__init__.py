"""What worker and database wrote about a group, as columns, and its files."""

from orchestrator.history.files import HistoryError, Writer, read, read_meta, write
from orchestrator.history.model import TABLES, History, Meta

__all__ = ["TABLES", "History", "HistoryError", "Meta", "Writer", "read", "read_meta", "write"]
