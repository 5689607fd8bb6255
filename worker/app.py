"""The Celery app, with settings fit for correctness under faults."""

from __future__ import annotations

import socket
import sys
import warnings
from pathlib import Path
from typing import Any, Final, NoReturn

from celery import Celery
from celery.signals import celeryd_init, worker_init, worker_process_shutdown, worker_ready, worker_shutdown

from worker import config, runtime
from worker.config import Config
from worker.runtime import Identity

#: Queue of a worker that is told no other.
QUEUE: Final = "rowrace"

#: A silently cut broker connection is noticed within this time, seconds.
_CUT_S: Final = 5

#: Only who holds the mutex gives timed-out messages again, which takes milliseconds; one killed while it holds it keeps
#: all others from it for this long, seconds (kombu: 300).
_MUTEX_S: Final = 10

#: Celery's pools by the modules that hold them.
_POOLS: Final = {"thread": "threads"}


def create(settings: Config) -> Celery:
    """Build the app; no result backend, JSON only, acknowledged after execution."""
    made = Celery("rowrace", broker=settings.broker_url, include=["worker.tasks"], set_as_current=False)
    made.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # A killed worker's messages come again; the guard makes that harmless.
        task_acks_late=settings.acks_late,
        task_reject_on_worker_lost=settings.reject_on_worker_lost,
        # A cap needs a count, which only a message published again carries.
        task_retry_on_worker_lost=settings.max_deliveries > 0,
        worker_prefetch_multiplier=settings.prefetch,
        # A body that is committing must not be killed because the broker went away.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport(settings),
    )
    return made


def _transport(settings: Config) -> dict[str, Any]:
    """Write kombu's options for Redis and its kin; other transports know none of them."""
    if not (settings.broker_url or "").startswith(("redis", "valkey")):
        return {}
    own = {
        "unacked_key": settings.unacked,
        "unacked_index_key": f"{settings.unacked}_index",
        "unacked_mutex_key": f"{settings.unacked}_mutex",
        "visibility_timeout": settings.visibility_timeout,
        # Tells these workers' connections apart from everybody else's.
        "client_name": settings.unacked,
    }
    return {**own, **_recovery()} if settings.recovery else own


def _recovery() -> dict[str, Any]:
    """Write what notices cut connections and timed-out messages within seconds."""
    return {
        # Kombu's defaults look for timed-out messages every 100 s only.
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": _MUTEX_S,
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive(),
        "socket_connect_timeout": _CUT_S,
        "health_check_interval": 25,
    }


def _keepalive() -> dict[int, int]:
    """Give the socket options that this platform has."""
    wanted = {"TCP_KEEPIDLE": _CUT_S, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": _CUT_S * 1000}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


@celeryd_init.connect
def _check(**_: Any) -> None:  # noqa: ANN401 - a signal's arguments
    """Refuse to start without the two URLs, by SystemExit, since signals swallow every other exception."""
    # What root may do worries Celery because of pickle; messages here are JSON only.
    warnings.filterwarnings("ignore", "You're running the worker with superuser")
    try:
        settings = config.read()
    except config.ConfigError as error:
        _refuse(str(error))
    if settings.broker_url is None:
        _refuse("Set ROWRACE_BROKER_URL to the broker that the runs use (redis://...).")
    if settings.database_url is None:
        _refuse("Set ROWRACE_DATABASE_URL to the database that the runs use (postgresql://...).")


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"rowrace worker: {sentence}\n")
    raise SystemExit(2)


@worker_init.connect
def _identify(sender: Any, **_: Any) -> None:  # noqa: ANN401 - Celery's WorkController
    """Name the node and load the driver before its pool forks, so that every process has both."""
    from worker import postgres  # noqa: F401, PLC0415 - only a worker needs it: the task runs on SQLite without

    settings = config.read()
    pool = sender.pool_cls.__module__.rpartition(".")[2]
    runtime.identify(Identity(settings.node or sender.hostname, _POOLS.get(pool, pool)))
    if settings.engine_before_fork:
        runtime.open_before_fork(settings)


@worker_ready.connect
def _ship(**_: Any) -> None:  # noqa: ANN401 - a signal's arguments
    """Start shipping once the pool has forked: a thread must not be in the middle of something then."""
    from worker import shipper  # noqa: PLC0415 - as above

    shipper.start(config.read(), runtime.node())


@worker_process_shutdown.connect
def _end(**_: Any) -> None:  # noqa: ANN401 - a signal's arguments
    """Let a pool's process take its last clock reading."""
    runtime.finish()


@worker_shutdown.connect
def _flush(**_: Any) -> None:  # noqa: ANN401 - a signal's arguments
    """Ship what the pool's last tasks wrote; Celery sends this after the pool has stopped."""
    from worker import shipper  # noqa: PLC0415 - as above

    runtime.finish()  # pools without processes of their own run tasks in this one
    shipper.stop()


def _settings() -> Config:
    try:
        return config.read()
    except config.ConfigError:
        return Config(journal_dir=Path())  # the app can be imported; a worker is refused when it starts


app: Final = create(_settings())
