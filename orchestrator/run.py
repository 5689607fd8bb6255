"""The run: its folder, its rung, its groups one after another, and the report."""

from __future__ import annotations

import secrets
import shutil
import time
import traceback
from typing import TYPE_CHECKING

import msgspec

from orchestrator import ladder, misplaced, striking, toml
from orchestrator.driver import need_driver
from orchestrator.errors import OrchestratorError, ServiceError, UsageError
from orchestrator.groups import groups
from orchestrator.holding import held
from orchestrator.profile import Mode, Settings, Workers
from orchestrator.reports import table
from orchestrator.reports.result import ON_HOSTS, RUN, Exit, Report, as_json
from orchestrator.services import origins
from orchestrator.stage import Book, Stage
from orchestrator.state import Standing, State, resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.base import Base
    from orchestrator.config import Config
    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile
    from orchestrator.race import Watch


def new_run() -> str:
    """Name a run: its time, and enough at random that two begun in the same second differ."""
    return time.strftime("%y%m%d%H%M%S", time.gmtime()) + secrets.token_hex(3)


def run(profile: Profile, config: Config, watch: Watch, interrupt: Interrupt, *, keep: bool = False) -> Report:
    """Race every group and report; nothing is left running, whatever happens."""
    mode = ladder.choose(profile.mode, config)
    planned = groups(profile, eager=mode is Mode.EAGER, sqlite=not config.database_given)
    check_faults(profile, config, mode)
    if mode is Mode.DISTRIBUTED or config.database_given:
        need_driver()
    name = new_run()
    folder = (config.runs_dir / name).absolute()
    stage = Stage(run=name, profile=profile, config=config, groups=planned, folder=folder, keep=keep)
    _begin(stage)
    with held(folder):
        return _carry_out(mode, stage, watch, interrupt)


def check_faults(profile: Profile, config: Config, mode: Mode, stands_on: Base | None = None) -> None:
    """Refuse, before anything is started, a fault plan or a mistake that can't be carried out here.

    A run that is resumed stands on services already, wherever new ones would come from.
    """
    if mode is Mode.EAGER:
        if profile.faults or profile.mistakes or profile.republish:
            raise UsageError(
                "Faults, mistakes and republishing need real workers: race with --mode distributed, or leave them out."
            )
        return
    if profile.workers is Workers.EXTERNAL and profile.worker != Settings() and config.wires is None:
        raise UsageError("[worker] reaches spawned workers only: set external ones by their own environment.")
    striking.check(profile, config.wires)
    database, broker = (
        origins(config.database_url, config.broker_url, config.state_dir)
        if stands_on is None
        else (stands_on.database, stands_on.broker)
    )
    striking.check_servers(profile, database, broker, config.wires)
    misplaced.check(profile, groups(profile))


def _carry_out(mode: Mode, stage: Stage, watch: Watch, interrupt: Interrupt) -> Report:
    book = Book(stage)
    try:
        try:
            interrupted(stage, interrupt, lambda: _climb(mode, stage, book, watch, interrupt))
        except OrchestratorError as error:
            if isinstance(error, ServiceError) and book.findings:
                return _cut_short(stage, book, interrupt, error)
            _discard_empty(stage)
            raise
        return reported(stage, book, interrupt)
    finally:
        resolve(stage.folder)  # whatever ends in order leaves nothing to resume


def interrupted(stage: Stage, interrupt: Interrupt, work: Callable[[], None]) -> bool:
    """Do a run's work and say whether an interrupt has cut it short; what nobody expected is told in a sentence."""
    try:
        work()
    except OrchestratorError:
        raise
    except KeyboardInterrupt:
        interrupt.asked.set()
        return True
    except Exception as error:
        # An interrupt while an import makes a class comes wrapped up.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise OrchestratorError(_unexpected(error, stage.logs)) from error
        interrupt.asked.set()
        return True
    return False


def reported(stage: Stage, book: Book, interrupt: Interrupt, ends: Exit | None = None) -> Report:
    """Report what was found, in the run's folder too; `ends` is the exit code that the groups have no say in."""
    report = msgspec.structs.replace(_report(stage, book, interrupted=interrupt.asked.is_set()), ends=ends)
    _write(report, stage.folder)
    return report


def _cut_short(stage: Stage, book: Book, interrupt: Interrupt, error: ServiceError) -> Report:
    """Report the groups that were judged before a service failed, and say that it did."""
    book.notes.append(f"Ended early, with {len(book.findings)} of {len(stage.groups)} groups judged: {error}")
    return reported(stage, book, interrupt, Exit.SERVICE)


def _begin(stage: Stage) -> None:
    """Make the run's folder, for us alone: a history holds the rows' values."""
    try:
        stage.folder.parent.mkdir(parents=True, exist_ok=True)
        stage.folder.mkdir(mode=0o700)
        stage.logs.mkdir()
        (stage.folder / "profile.toml").write_text(toml.dumps(stage.profile), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The run's folder {stage.folder} can't be made: {error.strerror} (--runs-dir).") from error


def _discard_empty(stage: Stage) -> None:
    """Remove the folder of a run that never began; one with logs stays, for the error names them."""
    if not any(stage.logs.iterdir()):
        shutil.rmtree(stage.folder)


def _climb(mode: Mode, stage: Stage, book: Book, watch: Watch, interrupt: Interrupt) -> None:
    """Race on the rung; where the choice was ours and embedded services don't start, on the lowest, and say so."""
    try:
        _race(mode, stage, book, watch, interrupt)
    except ServiceError as error:
        ours = stage.profile.mode is Mode.AUTO and not (stage.config.database_url or stage.config.broker_url)
        if not ours or book.rung:
            raise
        check_faults(stage.profile, stage.config, Mode.EAGER)
        resolve(stage.folder)
        book.notes.append(f"Fell to the lowest rung, for embedded services did not start: {error}")
        lower = msgspec.structs.replace(stage, groups=groups(stage.profile, eager=True))
        _race(Mode.EAGER, lower, book, watch, interrupt)


def _race(mode: Mode, stage: Stage, book: Book, watch: Watch, interrupt: Interrupt) -> None:
    if mode is Mode.EAGER:
        from orchestrator import eager_rung  # noqa: PLC0415 - each rung is heavy, and one is needed

        eager_rung.race(stage, book, watch, interrupt)
    else:
        from orchestrator import distributed  # noqa: PLC0415 - as above

        state = State(run=stage.run, mode=mode, keep=stage.keep)
        standing = Standing(stage.folder, state, lasting=stage.config.wires is None)
        standing.step(standing.now)
        distributed.race(stage, book, standing, watch, interrupt)


def _report(stage: Stage, book: Book, *, interrupted: bool) -> Report:
    return Report(
        run=stage.run,
        folder=str(stage.folder),
        rung=book.rung or "no rung: it ended before a service was open",
        findings=tuple(book.findings),
        asked=len(stage.groups),
        interrupted=interrupted,
        notes=tuple(book.notes),
        command=ON_HOSTS if stage.config.wires else RUN,
    )


def _write(report: Report, folder: Path) -> None:
    text = msgspec.json.format(msgspec.json.encode(as_json(report)), indent=2)
    (folder / "run.json").write_bytes(text + b"\n")
    with (folder / "report.txt").open("w", encoding="utf-8") as stream:
        table.render(report, stream)


def _unexpected(error: Exception, logs: Path) -> str:
    log = logs / "error.log"
    log.write_text(traceback.format_exc(), encoding="utf-8")
    return f"The run failed unexpectedly ({type(error).__name__}); the traceback is in {log}."
