"""docker-compose.yml as tests read it: by the reader of `rowrace hosts`."""

from __future__ import annotations

from orchestrator.hosts.compose import FILE, MissingVariableError, argv, services

__all__ = ["ROOT", "MissingVariableError", "argv", "services"]

ROOT = FILE.parent
