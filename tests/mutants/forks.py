"""Runs pytest in a forked process, which begins with all libraries loaded and takes whatever goes wrong with it."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import Phase, is_hypothesis_test, settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

#: Examples that a property is tried with: enough to find most changes, few enough to be quick.
EXAMPLES: Final = 60

#: What a test may take of memory and of processor time: one that takes more notices a change that runs in circles.
_BYTES: Final = 4 * 2**30
_SECONDS: Final = 10

#: Nothing is rewritten, cached or reordered; what matters is only whether a test fails.
_PYTEST: Final = ("-x", "-q", "-m", "not prove", "--assert=plain", "-p", "no:randomly", "-p", "no:cacheprovider")

_FORK: Final = multiprocessing.get_context("fork")


class Chosen:
    """Leaves the chosen tests, in the order of their names here, and gives properties the same few examples each time.

    The name of a test that fails is written to `noted`.
    """

    def __init__(self, names: Sequence[str] | None, noted: Path | None = None, examples: int = EXAMPLES) -> None:
        self._places = None if names is None else {name: place for place, name in enumerate(names)}
        self._noted = noted
        self._examples = examples

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Pytest's hook."""
        places = self._places
        if places is not None:
            items[:] = sorted((item for item in items if item.nodeid in places), key=lambda item: places[item.nodeid])
        for item in items:
            _make_quick(item, self._examples)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        """Pytest's hook: processor time, unlike time on a clock, doesn't grow with what else the machine does."""
        signal.setitimer(signal.ITIMER_PROF, _SECONDS)  # nobody handles this signal, so that it ends the process
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pytest's hook."""
        if report.failed and self._noted:
            self._noted.write_text(report.nodeid, encoding="utf-8")


def run(files: Iterable[str], plugins: Sequence[object], seconds: float) -> int | None:
    """Pytest's exit code on these files; None if it took longer or was ended by a signal."""
    child = _FORK.Process(target=_child, args=([*files], plugins))
    child.start()
    try:
        child.join(seconds)
    finally:
        if child.is_alive() and child.pid:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.join()
    code = child.exitcode
    child.close()
    return None if code is None or code < 0 else code


def _child(files: list[str], plugins: Sequence[object]) -> None:
    os.setpgid(0, 0)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    raise SystemExit(int(pytest.main([*_PYTEST, *files], plugins=plugins)))


def _make_quick(item: pytest.Item, examples: int) -> None:
    test: Any = getattr(item, "obj", None)
    if test is not None and is_hypothesis_test(test):
        asked = test._hypothesis_internal_use_settings
        test._hypothesis_internal_use_settings = settings(
            asked,
            max_examples=min(asked.max_examples, examples),
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
        )
