"""Work that is said to be done and isn't, or is done on other data than was thought."""

from __future__ import annotations

from typing import Final

from orchestrator.gallery.model import Failure, race

_UNAPPLIED: Final = {"accounting": "ok-without-effect"}

WRONG: Final = (
    Failure(
        name="unchecked-rowcount",
        story="UPDATE … WHERE version = … matches no row, nobody looks at the row count, and the task reports success.",
        provoked="an optimistic body that does not look at the row count, on two contended rows",
        caught=_UNAPPLIED,
        prevention="check the row count, and retry where it is 0",
        profile=race(mistakes=["unchecked-rowcount"], rows=2),
        prevented={"mistakes": []},
    ),
    Failure(
        name="give-up-unnoticed",
        story="The last retry conflicts as well, the exception is swallowed, and the task reports success.",
        provoked="two attempts an operation on one hot row, and a body that swallows the last conflict",
        caught=_UNAPPLIED,
        prevention="let the last failure be one, and give retries a backoff that lets them through",
        profile=race(mistakes=["silent-give-up"], rows=2, retry={"attempts": 2}),
        prevented={"mistakes": [], "retry": {"attempts": 50}},
    ),
    Failure(
        name="session-poisoned",
        story="An error inside a transaction is caught and the session used on; COMMIT is answered with ROLLBACK.",
        provoked="a serialization failure inside a transaction is caught, and the body goes on regardless",
        caught=_UNAPPLIED,
        prevention="let the exception end the transaction (or use a SAVEPOINT)",
        profile=race(mistakes=["swallowed-error"], strategies=["naive"], isolation=["repeatable read"], rows=2),
        prevented={"mistakes": []},
    ),
    Failure(
        name="fork-shared-connection",
        story="Connections opened before the fork are used by all children at once: answers reach the wrong process.",
        provoked="the engine connects in the worker's main process, and its children use these connections",
        caught={},
        prevention="make the engine in each process, lazily, or dispose of it after the fork",
        profile=race(worker={"engine_before_fork": True}, timeout=15),
        prevented={"worker": {"engine_before_fork": False}},
    ),
    Failure(
        name="publish-before-commit",
        story="A producer publishes before it commits; the worker is faster, finds no row, and drops the task.",
        provoked="a producer that publishes inside its transaction and commits when the task has run",
        caught={"requests": "unfulfilled-request"},
        prevention="publish after COMMIT (transaction.on_commit, or an outbox)",
        profile=race(scenarios=["requests"], kinds=[], mistakes=["publish-before-commit"]),
        prevented={"mistakes": []},
    ),
    Failure(
        name="ghost-task",
        story="A producer publishes inside its transaction, which is then rolled back; the task runs all the same.",
        provoked="a producer that publishes inside its transaction and rolls back, and a task that trusts its message",
        caught={"requests": "ghost-effect"},
        prevention="publish after COMMIT (transaction.on_commit, or an outbox)",
        profile=race(scenarios=["requests"], kinds=[], mistakes=["publish-before-rollback", "trusting-task"]),
        prevented={"mistakes": ["trusting-task"]},
    ),
)
