"""Work that is done twice: delivered again, tried again or published again after it took effect."""

from __future__ import annotations

from typing import Final

from orchestrator.gallery.model import Failure, race

_TWICE: Final = {"applied once": "applied-twice"}
_GUARD: Final = "an idempotency guard in the task's own transaction (--idempotency)"

DOUBLED: Final = (
    Failure(
        name="crash-redelivery",
        story="A process dies between COMMIT and acknowledgement; the message comes again, and is done again.",
        provoked="a child gets SIGKILL between its COMMIT and the acknowledgement",
        caught=_TWICE,
        prevention=_GUARD,
        profile=race(idempotency=False, faults=["failpoint:after-commit:action=kill:operation=20"]),
        prevented={"idempotency": True},
    ),
    Failure(
        name="visibility-duplicate",
        story="A task takes longer than the visibility timeout; its message goes to another worker meanwhile.",
        provoked="a task that takes 5 s under a visibility timeout of 1 s",
        caught=_TWICE,
        prevention="a visibility_timeout above the longest task",
        profile=race(
            idempotency=False,
            visibility_timeout=1,
            faults=["failpoint:after-commit:action=delay:delay=5s:operation=20"],
        ),
        prevented={"visibility_timeout": 60},
    ),
    Failure(
        name="connection-loss-duplicate",
        story="The broker's connection breaks in mid-task; the acknowledgement is lost, the message comes again.",
        provoked="the workers' connections to the broker are killed while a task runs",
        caught=_TWICE,
        prevention=_GUARD,
        profile=race(
            idempotency=False,
            faults=["failpoint:after-commit:action=delay:delay=2s:operation=0", "kill-clients:at=1s"],
        ),
        prevented={"idempotency": True},
    ),
    Failure(
        name="retry-not-idempotent",
        story="An error after COMMIT (a mail that can't be sent) makes the task retry, the committed part too.",
        provoked="an exception after COMMIT, and a task that retries on every exception",
        caught=_TWICE,
        prevention=_GUARD,
        profile=race(
            idempotency=False,
            mistakes=["retry-after-commit"],
            faults=["failpoint:after-commit:action=raise:operation=20"],
        ),
        prevented={"idempotency": True},
    ),
    Failure(
        name="ambiguous-commit",
        story="The connection breaks before COMMIT's answer; the task takes that for a failure and runs again.",
        provoked="the database connection is cut after COMMIT was sent, and the task retries on every lost connection",
        caught=_TWICE,
        prevention=_GUARD,
        profile=race(
            idempotency=False,
            mistakes=["blind-retry"],
            faults=["failpoint:in-commit:action=disconnect:operation=20"],
        ),
        prevented={"idempotency": True},
    ),
    Failure(
        name="ambiguous-publish",
        story="A publication gets no answer although the broker took it; the producer publishes again.",
        provoked="the producer's connection is reset after the broker got the messages, before it answered",
        caught=_TWICE,
        prevention=_GUARD,
        profile=race(
            idempotency=False,
            mistakes=["blind-publish"],
            faults=["reset-answer:orchestrator-broker:match=LPUSH:at=0s"],
        ),
        prevented={"idempotency": True},
    ),
)
