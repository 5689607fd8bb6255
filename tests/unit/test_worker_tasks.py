"""What a message must be, before a worker runs it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from celery.app.utils import find_app

import worker
from worker.app import create
from worker.config import read
from worker.contract import TASK, Isolation, Operation, Retry, Settings
from worker.tasks import decode

SETTINGS = Settings(
    run="abcd",
    schema="rowrace_abcd_1",
    scenario="credits",
    strategy="naive",
    isolation=Isolation.READ_COMMITTED,
    retry=Retry(),
    think_ms=(0, 5),
    lock_timeout_ms=0,
    recording=True,
    seed=1,
)


def _message(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - wrong values too
    return {
        "settings": {**msgspec.to_builtins(SETTINGS), **changes},
        "operations": [[0, "deduct", {"user": 1, "amount": 2}]],
    }


def test_a_message_says_what_it_was_given() -> None:
    """Settings and operations come back as they were sent."""
    batch = decode(_message())
    assert (SETTINGS, [Operation(0, "deduct", {"user": 1, "amount": 2})]) == (batch.settings, batch.operations)


@pytest.mark.parametrize(
    "message",
    [
        {},
        [1],
        None,
        _message(schema="public"),
        _message(schema="rowrace_abcd_1; drop table users"),
        _message(scenario="other"),
        _message(strategy="other"),
        _message(isolation="chaos"),
        _message(surprise=1),
        {**_message(), "operations": [["x"]]},
    ],
)
def test_a_message_that_cannot_be_run_is_a_value_error(message: Any) -> None:  # noqa: ANN401 - wrong values
    """Whatever is wrong with it, one kind of error says so."""
    with pytest.raises(ValueError, match=r"."):
        decode(message)


def test_the_package_gives_celery_its_app() -> None:
    """`celery -A worker` finds the app, though `worker.app` is a module's name too, and the task in it."""
    assert find_app("worker") is worker.celery
    assert TASK in worker.celery.tasks


def test_settings_are_fit_for_faults() -> None:
    """Late acknowledgement, redelivery after a lost worker, one message ahead, JSON, no results."""
    conf = create(read({"ROWRACE_BROKER_URL": "redis://localhost/0", "ROWRACE_VISIBILITY_TIMEOUT": "7"})).conf
    expected = {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "task_default_queue": "rowrace",
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }
    assert expected == {key: conf[key] for key in expected}
    transport = {"visibility_timeout": 7.0, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    assert transport.items() <= conf.broker_transport_options.items()


@pytest.mark.parametrize(("environment", "key"), [({}, "rowrace:unacked"), ({"ROWRACE_UNACKED": "mine"}, "mine")])
def test_other_apps_messages_are_not_given_again(environment: dict[str, str], key: str) -> None:
    """Kombu's default keys are every app's, and our visibility timeout would hold for their messages too."""
    options = create(read({"ROWRACE_BROKER_URL": "redis://localhost/0", **environment})).conf.broker_transport_options
    expected = {"unacked_key": key, "unacked_index_key": f"{key}_index", "unacked_mutex_key": f"{key}_mutex"}
    assert expected.items() <= options.items()


def test_other_brokers_get_no_options_of_redis() -> None:
    """Options that a transport doesn't know would be an error there."""
    assert create(read({"ROWRACE_BROKER_URL": "memory://"})).conf.broker_transport_options == {}
