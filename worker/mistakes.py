"""Mistakes that people write around a task, each a small deviation that a run can ask for, to see it caught."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.scenarios.model import Change


class Mistake(StrEnum):
    """What is done wrong; where it happens, `access.py`, `attempt.py` or the publisher ask for it by name."""

    #: The version check's number of matched rows is not looked at: a write that matched none counts as done.
    UNCHECKED_ROWCOUNT = "unchecked-rowcount"
    #: A conflict after the last attempt is swallowed: the task ends as if it had done its work.
    SILENT_GIVE_UP = "silent-give-up"
    #: A write's error is caught inside the transaction, which goes on; nobody sees COMMIT's answer, a ROLLBACK.
    SWALLOWED_ERROR = "swallowed-error"
    #: An attempt whose COMMIT got no answer is run again as if it had failed.
    BLIND_RETRY = "blind-retry"
    #: An error after COMMIT makes the task run again, whole.
    RETRY_AFTER_COMMIT = "retry-after-commit"
    #: A transfer takes its source before its target, whatever their keys.
    UNORDERED_KEYS = "unordered-keys"
    #: A deadlock's victim gives up instead of trying again.
    NO_DEADLOCK_RETRY = "no-deadlock-retry"
    #: Conflicts are tried again at once, without a pause.
    NO_BACKOFF = "no-backoff"
    #: A task that needs a request trusts its message, and does not look whether the request is there.
    TRUSTING_TASK = "trusting-task"
    #: The producer publishes inside the transaction that inserts a request, and commits when the task has run.
    PUBLISH_BEFORE_COMMIT = "publish-before-commit"
    #: The producer publishes inside the transaction that inserts a request, also where it then rolls back.
    PUBLISH_BEFORE_ROLLBACK = "publish-before-rollback"
    #: A batch whose publication was not confirmed is published again, whether or not anything guards the operations.
    BLIND_PUBLISH = "blind-publish"


KNOWN = frozenset(Mistake)


def unordered(change: Change) -> Change:
    """Take a transfer's rows as they come, source first; what touches one row has no order to lose."""
    params = change.params
    return change._replace(keys=(params["source"], params["target"])) if "source" in params else change
