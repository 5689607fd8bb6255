"""The orchestrator's own errors; each message is one clear sentence: what, where, what to do."""

from __future__ import annotations


class OrchestratorError(Exception):
    """Root; `exit_code` is what the command ends with."""

    exit_code = 1


class UsageError(OrchestratorError):
    """Wrong usage or configuration: correct the flag, the profile's key or the file that the message names."""

    exit_code = 2


class ServiceError(OrchestratorError):
    """A service can't be reached or fails to start: start it, or correct its URL."""

    exit_code = 4
