"""Work that vanishes: acknowledged and never done."""

from __future__ import annotations

from typing import Final

from orchestrator.gallery.model import Failure, race

_LOST: Final = {"lost operations": "lost-operation"}

LOST: Final = (
    Failure(
        name="lost-early-ack",
        story="A message is acknowledged before its task runs (Celery's default); the process dies with it.",
        provoked="workers acknowledge early; a child gets SIGKILL in mid-task",
        caught=_LOST,
        prevention="task_acks_late = True",
        profile=race(worker={"acks_late": False}, faults=["failpoint:after-read:action=kill:operation=20"]),
        prevented={"worker": {"acks_late": True}},
    ),
    Failure(
        name="lost-child-kill",
        story="With late acknowledgement alone, Celery acknowledges the message of a killed child as failed.",
        provoked="late acknowledgement alone; a child gets SIGKILL in mid-task, as from the kernel's OOM killer",
        caught=_LOST,
        prevention="task_reject_on_worker_lost = True, with task_acks_late",
        # Celery takes up to 10 s to call a killed child lost; until then the message must not come again by itself.
        profile=race(
            visibility_timeout=60,
            worker={"reject_on_worker_lost": False},
            faults=["failpoint:after-read:action=kill:operation=20"],
        ),
        prevented={"worker": {"reject_on_worker_lost": True}},
    ),
    Failure(
        name="lost-in-pop",
        story="BRPOP hands a message over before it stands in `unacked`; a worker that dies in between takes it along.",
        provoked="a node is stopped while it waits in BRPOP, and killed once the broker has handed it a message",
        caught=_LOST,
        prevention="publish again what does not arrive (--republish), safe with an idempotency guard; no setting helps",
        # Long enough for the node to come back and take part.
        profile=race(faults=["kill-in-pop:node1:at=0s:for=500ms"], operations=400, think={"min_ms": 20, "max_ms": 40}),
        prevented={"republish": True},
    ),
)
