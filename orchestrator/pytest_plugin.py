"""The pytest plugin: a fixture `rowrace` that fails a test whose bodies race, and replays what it found before."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.pytest_found import FoundFile

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from orchestrator.explore import Found
    from orchestrator.pytest_scratch import Scratch

_FILE: Final = "rowrace_found"
_DEFAULT_FILE: Final = ".rowrace-found.json"

#: What a report carries from where the test ran to where the file is written: with pytest-xdist two processes.
_CARRIED: Final = "rowrace"

#: What a remark says of schedules that the limit of steps has ended.
_CUT: Final = "ended after"


class Rowrace:
    """The fixture: explores as `rowrace.explore` does, and fails the test where an anomaly is found."""

    def __init__(self, request: pytest.FixtureRequest, scratch: Scratch) -> None:
        self._config = request.config
        self._test = str(request.node.nodeid)
        self._scratch = scratch
        self._file = _found_file(request.config)
        self._call = 0
        #: What each call found, to be kept for later runs.
        self.calls: dict[str, list[str]] = {}
        #: What to tell though the test passes.
        self.said: list[str] = []
        #: Whether a call took the token that is to be replayed, and why others didn't.
        self.replayed = False
        self.refused: list[str] = []

    @property
    def sqlite_path(self) -> Path:
        """Path of a SQLite database of this test's own; the file is made by whoever opens it."""
        return self._scratch.sqlite_path

    @property
    def postgres(self) -> str:
        """URL of an empty PostgreSQL database of this test's own, `postgresql://…`."""
        try:
            return self._scratch.postgres
        except OrchestratorError as error:
            said = f"rowrace: {error}"
        pytest.fail(said, pytrace=False)

    @property
    def postgres_for_sqlalchemy(self) -> str:
        """The same database, with the driver named as `create_engine` wants it: `postgresql+psycopg://…`."""
        return self.postgres.replace("postgresql://", "postgresql+psycopg://", 1)

    def explore(self, *bodies: Any, accept_sample: bool = False, **settings: Any) -> Found:  # noqa: ANN401 - as the function's
        """Explore; fails the test on an anomaly, and on a search that was not complete unless that is accepted."""
        __tracebackhide__ = True
        from orchestrator.reports import exploration  # noqa: PLC0415 - only where it is needed

        call, self._call = self._call, self._call + 1
        asked = self._config.getoption("rowrace_replay")
        if asked is not None:
            return self._replay(asked, bodies, settings)
        kept = [] if settings.get("replay") else self._file.tokens(self._test, call)
        found = _explored(bodies, {**settings, "known": [*kept, *settings.get("known", ())]} if kept else settings)
        if kept and found.found and found.policy == exploration.REPLAY:
            self._fail(found, "A schedule that was found before still fails.")
        self.calls[str(call)] = [failure.token for failure in found.failures if failure.token]
        if found.found:
            self._fail(found, f"Its tokens are kept in {self._file.path.name}, and replayed first from now on.")
        if not (found.complete or accept_sample):
            self._fail(found, _advice(found))
        return found

    def _replay(self, token: str, bodies: tuple[Any, ...], settings: dict[str, Any]) -> Found:
        """Run the one schedule that `--rowrace-replay` names; a token of another call leaves this one to a search."""
        __tracebackhide__ = True
        try:
            found = _explored(bodies, {**settings, "replay": token}, UsageError)
        except UsageError as error:
            self.refused.append(str(error))
            return _explored(bodies, settings)
        self.replayed = True
        if found.found:
            self._fail(found, "")
        self.said += [self._test, *self._lines(found)]
        return found

    def _lines(self, found: Found) -> Iterator[str]:
        from orchestrator.reports import exploration  # noqa: PLC0415 - only where it is needed

        return exploration.lines(found, self._command)

    def _fail(self, found: Found, why: str) -> None:
        __tracebackhide__ = True
        text = "\n".join(self._lines(found))
        pytest.fail(f"{text}\n\n{why}".rstrip(), pytrace=False)

    def _command(self, token: str) -> str:
        path, colons, names = self._test.partition("::")
        here = os.path.relpath(self._config.rootpath / path, self._config.invocation_params.dir)
        return shlex.join(["pytest", f"{here}{colons}{names}", "--rowrace-replay", token])


def _advice(found: Found) -> str:
    """Say how a search that was not complete could pass."""
    if _CUT in (found.remark or ""):  # no budget is large enough for it
        return (
            "A body asks again and again for what another one does, so some schedules never end: let it ask only a few"
            " times, or let a sample pass: accept_sample=True."
        )
    return "Give it a larger budget, or let a sample pass: accept_sample=True."


def _explored(bodies: tuple[Any, ...], settings: dict[str, Any], passed_on: type[Exception] | tuple[()] = ()) -> Found:
    """Explore; what the explorer itself has to complain about is a sentence and needs no traceback."""
    __tracebackhide__ = True
    from orchestrator.explorer.scheduler import ExplorerError  # noqa: PLC0415 - only where it is needed

    try:
        return _explore(bodies, settings)
    except passed_on:
        raise
    except (ExplorerError, OrchestratorError) as error:
        said = f"rowrace: {error}"
    pytest.fail(said, pytrace=False)


def _explore(bodies: tuple[Any, ...], settings: dict[str, Any]) -> Found:
    from orchestrator.explore import explore  # noqa: PLC0415 - heavy, and only those who explore need it

    return explore(*bodies, **settings)


@pytest.fixture(scope="session")
def _rowrace_server() -> Iterator[Callable[[], str]]:
    """Start a PostgreSQL server when the first test asks for one; it ends with the session."""
    from orchestrator.pytest_scratch import started  # noqa: PLC0415 - only where it is needed

    with ExitStack() as stack:
        yield started(stack)


@pytest.fixture
def rowrace(
    request: pytest.FixtureRequest, _rowrace_server: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rowrace]:
    """Explore interleavings of bodies: `rowrace.explore(body, body, setup=…, invariant=…)`."""
    from orchestrator.pytest_scratch import Scratch  # noqa: PLC0415 - only where it is needed

    with ExitStack() as stack:
        explorer = Rowrace(request, Scratch(stack, _rowrace_server, tmp_path_factory))
        request.node.stash[_USED] = explorer
        yield explorer


_USED: Final = pytest.StashKey[Rowrace]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option and the setting."""
    group = parser.getgroup("rowrace", "interleavings explored by rowrace")
    helping = "Run only the schedule that TOKEN names."
    group.addoption("--rowrace-replay", metavar="TOKEN", type=str.strip, default=None, help=helping)
    said = f"File of the schedules that failed, in the root folder [default: {_DEFAULT_FILE}]."
    parser.addini(_FILE, said, default=_DEFAULT_FILE)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what is no token, and write the file in the one process that hears of every test."""
    _check(config.getoption("rowrace_replay"))
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist has one
        return
    config.pluginmanager.register(_Keeper(_found_file(config)), "rowrace-keeper")


def _check(token: str | None) -> None:
    """Say at once what is wrong with a token that no test could replay."""
    if token is None:
        return
    from orchestrator.explorer.token import TokenError, decode  # noqa: PLC0415 - only where it is needed

    try:
        decode(token)
    except TokenError as error:
        raise pytest.UsageError(f"rowrace: {error}") from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test of which no call takes the token that is to be replayed."""
    done = yield
    explorer = item.stash.get(_USED, None)
    if explorer is not None and explorer.refused and not explorer.replayed:
        pytest.fail(f"rowrace: {explorer.refused[0]}", pytrace=False)
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the last report of a test carry what its explorations found."""
    report = yield
    explorer = item.stash.get(_USED, None)
    if call.when == "teardown" and explorer is not None:
        setattr(report, _CARRIED, {"calls": explorer.calls, "said": explorer.said})
    return report


class _Keeper:
    """Hears of every test's end, wherever it ran."""

    def __init__(self, file: FoundFile) -> None:
        self._file = file
        self._said: list[str] = []
        try:
            file.read()
        except UsageError as error:
            raise pytest.UsageError(f"rowrace: {error}") from None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test found, and forget what it found before."""
        carried = getattr(report, _CARRIED, None)
        if carried is not None:
            self._said += carried["said"]
            if carried["calls"]:
                self._file.note(str(report.nodeid), carried["calls"])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell what a replay of a test that passed has shown."""
        if self._said:
            terminalreporter.section("rowrace")
            for line in self._said:
                terminalreporter.write_line(line)


def _found_file(config: pytest.Config) -> FoundFile:
    return FoundFile(config.rootpath / config.getini(_FILE), config.rootpath)
