"""Resuming: a run whose orchestrator was killed goes on from where it was, or what it has left whole is judged."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator import distributed, resume_tidy, toml
from orchestrator.base import refuse_urls
from orchestrator.errors import UsageError
from orchestrator.groups import groups
from orchestrator.history import files
from orchestrator.holding import held
from orchestrator.run import check_faults, interrupted, reported
from orchestrator.stage import Book, Stage
from orchestrator.state import Standing, forget, read, resolve

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile
    from orchestrator.race import Watch
    from orchestrator.reports.result import Report
    from orchestrator.state import State


def folder_of(run: str, runs_dir: Path) -> Path:
    """Find a run's folder by its id or its path; raises UsageError."""
    for folder in (runs_dir / run, Path(run)):
        if (folder / "profile.toml").is_file():
            return folder.absolute()
    raise UsageError(f"There is no run {run}: give a run's id or its folder (--runs-dir says where runs are).")


def resume(
    folder: Path,
    config: Config,
    watch: Watch,
    interrupt: Interrupt,
    *,
    republish: bool | None = None,
    urls: tuple[str | None, str | None] = (None, None),
) -> Report:
    """Bring a killed run to its end and report; `republish` overrides the profile's own.

    `urls` are database's and broker's where they were given for this very run, and not by the environment.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder))
        except OSError as error:
            raise UsageError(f"Run {folder.name} still runs: wait for it, or end it.") from error
        state = read(folder)
        if state is None:
            raise UsageError(
                f"Run {folder.name} waits for nothing: it has ended, or was cleaned. `rowrace verify {folder}` judges"
                " what it has written."
            )
        if state.base is not None:
            refuse_urls(state.base, folder.name, *urls)
        return _resumed(_stage(folder, state, config, republish), state, watch, interrupt)


def _stage(folder: Path, state: State, config: Config, republish: bool | None) -> Stage:  # noqa: FBT001 - passed on
    profile = toml.build(folder / "profile.toml", {})
    if republish is not None:
        profile = toml.checked(msgspec.structs.replace(profile, republish=republish))
    check_faults(profile, config, state.mode, state.base)
    return Stage(run=state.run, profile=profile, config=config, groups=groups(profile), folder=folder, keep=state.keep)


def _resumed(stage: Stage, state: State, watch: Watch, interrupt: Interrupt) -> Report:
    standing, book = Standing(stage.folder, state.taken_up()), Book(stage)
    _note(book, standing.now, stage.profile)
    try:
        waits = interrupted(stage, interrupt, lambda: _go_on(stage, book, standing, watch, interrupt))
    except BaseException:
        _forsake(standing)
        raise
    if waits and standing.keeps:
        book.notes.append("It was interrupted before it could go on, and waits for `rowrace resume` still.")
        return reported(stage, book, interrupt)
    report = reported(stage, book, interrupt)
    resolve(stage.folder)
    return report


def _forsake(standing: Standing) -> None:
    """Say what may become of the run after an error: with data of its own it waits on, as it did."""
    now = standing.now
    if standing.keeps:
        return
    if now.done or now.created:
        resolve(standing.folder)  # its data have ended with the error, as a run's do
    else:
        standing.step(msgspec.structs.replace(now, base=None, group=0))


def _note(book: Book, state: State, profile: Profile) -> None:
    times = "once" if state.resumed == 1 else f"{state.resumed} times"
    book.notes.append(
        f"The run was resumed {times}, for its orchestrator had been killed; the time until then counts as race time."
    )
    if profile.faults:
        book.notes.append("Its fault plan began anew when it was resumed.")


def _go_on(stage: Stage, book: Book, standing: Standing, watch: Watch, interrupt: Interrupt) -> None:
    _accept_whole(stage, standing)
    for group in stage.groups:
        if group.number in standing.now.done:
            with interrupt.raising():  # what it has found so far is judged again, should it be resumed again
                book.judge(group)
    if len(standing.now.done) < len(stage.groups):
        distributed.race(stage, book, standing, watch, interrupt)
    else:
        resume_tidy.tidy(stage, book, standing)


def _accept_whole(stage: Stage, standing: Standing) -> None:
    """Take a group for done whose history is whole, though the run was killed before it could say so."""
    for group in stage.groups:
        folder = stage.folder / group.name
        if group.number == standing.now.group and standing.now.created and _whole(folder):
            standing.step(standing.now.ended())
        if group.number in standing.now.done:
            forget(folder)


def _whole(folder: Path) -> bool:
    try:
        files.read_meta(folder)
    except files.HistoryError:
        return False
    return True
