"""What may be explored: plain callables, and Celery tasks and signatures, which then run through Celery."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.controlled.arena import needed
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Body(NamedTuple):
    """Something to run, and what to call it."""

    run: Callable[..., object]
    title: str


def called(body: Any) -> Body:  # noqa: ANN401 - whatever the caller has
    """Make a body of a callable, a Celery task or a signature; raises UsageError for anything else."""
    if hasattr(body, "apply") and hasattr(body, "subtask_type"):  # a signature
        words = [*map(repr, body.args), *(f"{name}={value!r}" for name, value in body.kwargs.items())]
        return Body(partial(_apply, body), f"{_short(body.task)}({', '.join(words)})")
    if hasattr(body, "apply_async") and hasattr(body, "request"):  # a task
        _check_runs(body.run)
        return Body(partial(_apply, body), f"{_short(body.name)}()")
    if not callable(body):
        raise UsageError(f"{body!r} can't be explored: give callables, Celery tasks or signatures.")
    _check_runs(body)
    if needed(body) > 1:
        raise UsageError(f"{_title(body)} needs {needed(body)} arguments: a body takes none, or a connection.")
    return Body(body, _title(body))


def _check_runs(body: Callable[..., object]) -> None:
    """Refuse a function of which a call runs nothing."""
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_one(body) for is_one in kinds):
        raise UsageError(f"{_title(body)} is a coroutine or a generator, which a call only makes: give a function.")


def _apply(task: Any) -> object:  # noqa: ANN401 - Celery's, which is not imported here
    """Run it as Celery does in the caller's process, a retry at once; what it raises in the end comes out."""
    from celery.exceptions import Retry  # noqa: PLC0415 - who gives a task has Celery

    retries = 0
    while True:
        try:
            return task.apply(throw=True, retries=retries).get(disable_sync_subtasks=False)
        except Retry as again:
            task, retries = getattr(again, "sig", None), retries + 1
            if task is None:
                raise


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _title(body: Callable[..., object]) -> str:
    """Name a callable, a partial with what it is given."""
    if isinstance(body, partial):
        words = [*map(repr, body.args), *(f"{name}={value!r}" for name, value in body.keywords.items())]
        return f"{_title(body.func)}({', '.join(words)})"
    return getattr(body, "__name__", type(body).__name__)
