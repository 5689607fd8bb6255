"""Which functions each test reaches, and how long it takes: a change is shown only to tests that can notice it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import pytest

from tests.mutants import forks

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import FrameType

#: Longest that the tests of one file may take.
_SECONDS = 600

#: Examples that show what a property reaches.
_EXAMPLES = 15


class Reach(TypedDict):
    """What one test does."""

    seconds: float
    #: Functions by file and first line: "orchestrator/verifier/arrays.py:31".
    reached: list[str]


class _Recorder:
    """Records the calls of each test into functions of the given files."""

    def __init__(self, files: Sequence[str], into: Path) -> None:
        self._names = {str(Path(name).resolve()): name for name in files}
        self._into = into
        self._tests: dict[str, Reach] = {}
        self._calls: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Pytest's hook."""
        self._calls = set()
        began = time.process_time()
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            seconds = time.process_time() - began
            self._tests[item.nodeid] = Reach(seconds=seconds, reached=sorted(self._calls))

    def pytest_sessionfinish(self) -> None:
        """Pytest's hook."""
        loaded = [name for name in sys.modules if name.partition(".")[0] not in _OF_THE_CHECKOUT]
        self._into.write_text(json.dumps({"tests": self._tests, "libraries": loaded}), encoding="utf-8")

    def _trace(self, frame: FrameType, event: str, _argument: object) -> None:
        name = self._names.get(frame.f_code.co_filename)
        if name is not None and event == "call":
            self._calls.add(f"{name}:{frame.f_code.co_firstlineno}")


#: Packages that a change may be in, or that import one that has it: every process loads these anew.
_OF_THE_CHECKOUT = {"orchestrator", "worker", "tests", "rowrace", "benchmarks", "__main__", "__mp_main__"}


def reach(pool: Sequence[str], modules: Sequence[str], scratch: Path) -> tuple[dict[str, Reach], list[str]]:
    """What each test of the pool's files reaches, and the libraries that they load; all tests must pass."""
    tests: dict[str, Reach] = {}
    libraries: dict[str, None] = {}
    for number, file in enumerate(pool):
        into = scratch / f"reach-{number}.json"
        code = forks.run([file], [forks.Chosen(None, examples=_EXAMPLES), _Recorder(modules, into)], _SECONDS)
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise SystemExit(f"{file} fails on the program as it is (pytest ended with {code})")
        found = json.loads(into.read_text(encoding="utf-8"))
        tests.update(found["tests"])
        libraries.update(dict.fromkeys(found["libraries"]))
    return tests, list(libraries)
