"""A run across hosts: they are laid out, the services started, the run carried out on one of them, all torn down."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator import misplaced, toml
from orchestrator.errors import UsageError
from orchestrator.faults import clock, network, pop, worker
from orchestrator.faults.plan import parse
from orchestrator.groups import groups
from orchestrator.hosts import compose, image
from orchestrator.hosts.faults import check_hosts, known
from orchestrator.hosts.layout import ORCHESTRATOR, laid_out, planned, require
from orchestrator.hosts.remote import serving
from orchestrator.hosts.services import Fleet
from orchestrator.hosts.wires import Wires
from orchestrator.profile import Mode, Pool, Workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.hosts.host import Program
    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile

#: Pause between two looks at the run, seconds.
_TICK: Final = 0.1

#: Faults that need nodes, servers or proxies of the run's own.
_ELSEWHERE: Final = (
    {*worker.FAULTS, *pop.FAULTS, *network.FAULTS, *clock.FAULTS}
    | {f"{verb}-{server}" for verb in ("restart", "stop", "pause") for server in ("database", "broker")}
) - {"partition"}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run, and on what."""

    profile: Profile
    workers: int
    #: The docker-compose.yml whose commands are started.
    file: Path
    #: Where the run's folder is made.
    runs_dir: Path
    #: Where services write what they have to say; None: nowhere that lasts.
    logs: Path | None = None
    #: Further arguments of `rowrace run`.
    arguments: tuple[str, ...] = ()


def race(wanted: Wanted, interrupt: Interrupt, tell: Callable[[str], None]) -> int:
    """Run it, its report going to our own stdout; its exit code.  Nothing is left running, whatever happens."""
    require()
    _check(wanted)
    with ExitStack() as stack:
        with interrupt.raising():
            tell(f"Laying out {wanted.workers + 3} hosts.")
            layout = stack.enter_context(laid_out(wanted.workers))
            logs = wanted.logs or layout.folder / "logs"
            _make(logs)
            fleet = Fleet(layout, wanted.file, wanted.profile.concurrency, logs)
            tell("Starting what docker-compose.yml declares.")
            fleet.start(_told(wanted.profile), _pool(wanted.profile))
            socket = layout.folder / "wires"
            stack.enter_context(serving(Wires(layout), socket))
        sys.stdout.flush()
        host = layout.hosts[ORCHESTRATOR]
        env = {
            **fleet.environment("orchestrator", ORCHESTRATOR),
            "ROWRACE_RUNS_DIR": str(wanted.runs_dir.absolute()),
            "ROWRACE_WIRES": str(socket),
        }
        program = host.start(_command(wanted, fleet, layout.folder), env, layout.folder, 1, 2)
        return _follow(program, fleet, interrupt, tell)


def profile_for(profile: Profile, workers: int) -> Profile:
    """The profile as the run on the hosts gets it: a node on each worker host, and none missing."""
    return msgspec.structs.replace(profile, workers=Workers.EXTERNAL, nodes=workers, hosts=workers)


def _check(wanted: Wanted) -> None:
    """Refuse what can't be run, before anything is laid out."""
    if wanted.profile.mode is not Mode.DISTRIBUTED:
        raise UsageError("Hosts are for real workers: leave --mode away.")
    profile = toml.checked(profile_for(wanted.profile, wanted.workers))
    planned_groups = groups(profile)
    if wanted.profile.faults:
        found = parse(wanted.profile.faults, known(wanted.file))
        for each in found:
            if each.name in _ELSEWHERE:
                raise UsageError(
                    f"Fault «{each.text}»: hosts' nodes and servers are not the run's own to stop; cut ways between "
                    "them (partition:A-B), or strike failpoints, sessions and connections."
                )
        check_hosts(found, planned(wanted.workers))
    misplaced.check(profile, planned_groups)


def _make(logs: Path) -> None:
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{logs} can't be made for the logs: {(error.strerror or 'error').lower()} (--logs)."
        ) from error


def _told(profile: Profile) -> dict[str, str]:
    """What the profile asks of workers, in the environment that they read."""
    settings: dict[str, Any] = msgspec.to_builtins(profile.worker)
    told = {f"ROWRACE_{key.upper()}": _text(value) for key, value in settings.items()}
    return {
        **told,
        "ROWRACE_VISIBILITY_TIMEOUT": str(profile.visibility_timeout),
        "ROWRACE_PREFETCH": str(profile.prefetch),
    }


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _pool(profile: Profile) -> tuple[str, ...]:
    """What the declared command lacks where another pool than Celery's default is asked for."""
    return () if profile.pool is Pool.PREFORK else (f"--pool={profile.pool.value}",)


def _command(wanted: Wanted, fleet: Fleet, folder: Path) -> list[str]:
    """The declared `rowrace run`, with a profile for what it is to race."""
    words = compose.argv(fleet.declared["orchestrator"])[:2]
    if words != ["rowrace", "run"]:
        raise UsageError(f"{wanted.file} declares an orchestrator that is not `rowrace run`: {' '.join(words)}")
    path = folder / "profile.toml"
    path.write_text(toml.dumps(profile_for(wanted.profile, wanted.workers)), encoding="utf-8")
    return [*image.program(words), "--profile", str(path), *wanted.arguments]


def _follow(program: Program, fleet: Fleet, interrupt: Interrupt, tell: Callable[[str], None]) -> int:
    """Wait for the run's end; signals that we get are passed on, and services that end are told of."""
    passed_on = 0
    while (code := program.wait(_TICK)) is None:
        asked = interrupt.asked.is_set() + interrupt.hurry.is_set()
        if asked > passed_on:
            program.signal(signal.SIGINT)
            passed_on += 1
        for sentence in fleet.mend():
            tell(sentence)
    return 128 - code if code < 0 else code
