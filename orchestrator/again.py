"""Judging again: a run's folder, or one group's, read back and verified, elsewhere and later."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import UsageError
from orchestrator.groups import Group, expected
from orchestrator.history import files
from orchestrator.profile import Expect, Profile
from orchestrator.reports.findings import finding
from orchestrator.reports.result import RUN, Exit, Report
from orchestrator.verifier.verdict import Value, merge
from worker.contract import Isolation

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.history.model import Meta
    from orchestrator.reports.result import Finding

_EXITS = {Value.VALID: Exit.AS_EXPECTED, Value.INVALID: Exit.NOT_AS_EXPECTED, Value.UNKNOWN: Exit.UNKNOWN}


_REPORT: Final = "run.json"


class _Judged(msgspec.Struct, frozen=True):
    """A row of a run's report, as far as it is needed here."""

    name: str


class _Told(msgspec.Struct, frozen=True):
    """What a run's own report says that its groups' histories don't."""

    rows: tuple[_Judged, ...]
    notes: tuple[str, ...] = ()
    command: str = RUN


def again(path: Path, level: str | None = None) -> Report:
    """Verify every group's history under a path; with a level, hold the dependencies to that consistency model too."""
    folders = _groups(path)
    run = _run(path, folders)
    told = _told(run)
    missing = () if path != run else _missing(told, folders)
    try:
        metas = [files.read_meta(folder) for folder in folders]
        findings = tuple(_finding(folder, level) for folder in folders)
    except files.HistoryError as error:
        raise UsageError(f"{error}.") from error
    report = Report(
        run=metas[0].run,
        folder=str(run),
        rung=metas[0].rung,
        findings=findings,
        asked=len(folders) + len(missing),
        interrupted=any(meta.interrupted for meta in metas),
        notes=(
            *told.notes,
            *(f"Missing: group {name} was judged in the run, and its history is gone." for name in missing),
        ),
        level=level,
        command=told.command,
    )
    return msgspec.structs.replace(report, ends=exit_code(report))


def exit_code(report: Report) -> Exit:
    """Say VALID, INVALID or UNKNOWN as an exit code; what was expected has no say, and a missing group is UNKNOWN."""
    gone = [Value.UNKNOWN] * (report.asked - len(report.findings))
    return _EXITS[merge([*(row.verdict for row in report.rows), *gone])]


def _groups(path: Path) -> list[Path]:
    if (path / files.META_FILE).is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such folder; give a run's folder, or a group's.")
    found = [each.parent for each in path.glob(f"*/{files.META_FILE}")]
    if not found:
        raise UsageError(f"{path}: holds no group's history (no {files.META_FILE} in it or one folder below).")
    return sorted(found, key=lambda each: int(number) if (number := each.name.partition("-")[0]).isdigit() else 0)


def _run(path: Path, folders: list[Path]) -> Path:
    """Find the run's folder; a lone group that was carried elsewhere stands for its run."""
    if folders == [path] and (path.absolute().parent / "profile.toml").is_file():
        return path.absolute().parent
    return path


def _told(run: Path) -> _Told:
    """Read the run's own report; a run that ended before it was written has none."""
    file = run / _REPORT
    if not file.is_file():
        return _Told(rows=())
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Told)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: can't be read as a run's report, so groups may be missing unnoticed.") from error


def _missing(told: _Told, folders: list[Path]) -> tuple[str, ...]:
    found = {folder.name for folder in folders}
    return tuple(row.name for row in told.rows if row.name not in found)


def _finding(folder: Path, level: str | None) -> Finding:
    meta = files.read_meta(folder)
    load = partial(files.read, folder)
    return finding(_group(folder, meta), load, _profile(meta).gates, str(folder.parent), level)


def _profile(meta: Meta) -> Profile:
    try:
        return msgspec.convert(meta.profile, Profile)
    except msgspec.ValidationError:
        return Profile()  # written by another version: its gates are not ours


def _group(folder: Path, meta: Meta) -> Group:
    number = folder.name.partition("-")[0]
    level = Isolation(meta.isolation) if meta.isolation in set(Isolation) else Isolation.READ_COMMITTED
    return Group(
        number=int(number) if number.isdigit() else 1,
        scenario=meta.scenario,
        strategy=meta.strategy,
        isolation=level,
        expected=expected(Expect.TABLE, meta.strategy, level),
    )
