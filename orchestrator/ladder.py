"""The ladder: given services, embedded services, eager on SQLite; and what each rung can't show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.driver import need_driver
from orchestrator.errors import OrchestratorError
from orchestrator.profile import Mode
from orchestrator.services.binaries import wheel_postgres, wheel_valkey

if TYPE_CHECKING:
    from orchestrator.config import Config

#: The lowest rung, in words.
EAGER: Final = "SQLite in WAL mode, one process, logical workers interleaved at statement boundaries"

_EAGER_LIMITS: Final = (
    "eager on SQLite has no row locks, deadlocks between rows, snapshot isolation, several processes or hosts, "
    "redelivery, lost workers or network faults: race with `--mode distributed` for these."
)
_LOCAL_LIMITS: Final = "all services and workers stood on one machine: faults between hosts were not exercised."


def choose(mode: Mode, config: Config) -> Mode:
    """Take the highest rung that stands; URLs that were given are used, or are an error when they are used."""
    if mode is not Mode.AUTO:
        return mode
    if config.database_url and config.broker_url:
        return Mode.DISTRIBUTED
    try:
        need_driver()
        wheel_postgres()
        wheel_valkey()
    except OrchestratorError:
        return Mode.EAGER
    return Mode.DISTRIBUTED


def limits(mode: Mode, *, local: bool) -> tuple[str, ...]:
    """Say what a rung can't show."""
    if mode is Mode.EAGER:
        return (f"Not shown on this rung: {_EAGER_LIMITS}",)
    return (f"Not shown on this rung: {_LOCAL_LIMITS}",) if local else ()
