"""The file of found schedules: what failed once is replayed first, until it no longer fails."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    #: A test's tokens, by the number of its call of `explore`, as JSON has it.
    Calls = dict[str, list[str]]

_ABOUT: Final = "Schedules that failed. rowrace replays them first, and removes those that no longer fail."


class FoundFile:
    """Tokens by test; every change is read, made and written at once, so that several runs may share it."""

    def __init__(self, path: Path, root: Path) -> None:
        """Take the file's place, and the folder that tests' names begin in."""
        self.path, self._root = path, root

    def read(self) -> dict[str, Calls]:
        """Give the tokens of every test; no file, no tokens."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            return _checked(json.loads(text))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.path} does not hold what rowrace wrote ({error}); correct or delete it.") from None

    def tokens(self, test: str, call: int) -> list[str]:
        """Give what a test's call found when it last ran."""
        return self.read().get(test, {}).get(str(call), [])

    def note(self, test: str, calls: Mapping[str, list[str]]) -> None:
        """Put what a test's calls found in the place of what they had found before."""
        before = self.read()
        after = {name: kept for name, kept in before.items() if (self._root / name.partition("::")[0]).exists()}
        kept = {call: found for call, found in {**after.pop(test, {}), **calls}.items() if found}
        if kept:
            after[test] = kept
        if after != before:
            self._write(after)

    def _write(self, tests: dict[str, Calls]) -> None:
        if not tests:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"about": _ABOUT, "tests": tests}, indent=1, sort_keys=True, ensure_ascii=False)
        handle, name = tempfile.mkstemp(prefix=self.path.name, dir=self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def _checked(read: object) -> dict[str, Calls]:
    if not isinstance(read, dict) or not isinstance(tests := read.get("tests"), dict):
        raise TypeError("it has no table «tests»")
    for test, calls in tests.items():
        if not isinstance(calls, dict) or not all(isinstance(found, list) for found in calls.values()):
            raise TypeError(f"the entry of {test} is none")
        if not all(isinstance(token, str) for found in calls.values() for token in found):
            raise TypeError(f"a token of {test} is no text")
    return tests
