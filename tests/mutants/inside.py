"""What runs in a copy of the tree: `survey` finds out which test reaches what, `judge` tries mutants."""

from __future__ import annotations

import importlib
import json
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.mutants import forks
from tests.mutants.mutants import Mutant, modules, noticing, pool, read
from tests.mutants.reach import reach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mutants.reach import Reach

#: Time on the clock after which a mutant's tests are ended: this, and this many times what they should take.
_SECONDS = 300
_TIMES = 20

#: Where the compiler is loaded, less work is worth compiling, and a changed kernel would have to be compiled anew.
_NOT_SHARED = {"numba", "llvmlite"}

#: Tests that are tried first because they noticed something lately.
_LIKELY = 12


def survey(into: Path) -> None:
    """Write down what each test reaches."""
    here = Path.cwd()
    tests, libraries = reach(pool(here), modules(here), into.parent)
    into.write_text(json.dumps({"tests": tests, "libraries": libraries}), encoding="utf-8")


def judge(surveyed: Path, share: Path, into: Path) -> None:
    """Try this share of the mutants; each one's line says whether a test noticed it."""
    facts = json.loads(surveyed.read_text(encoding="utf-8"))
    _load(facts["libraries"])
    todo = [Mutant(**row) for row in json.loads(share.read_text(encoding="utf-8"))]
    with into.open("w", encoding="utf-8") as lines:
        for mutant, killed in _tried(todo, facts["tests"], into.with_suffix(".failed")):
            lines.write(json.dumps({**asdict(mutant), "killed": killed}) + "\n")
            lines.flush()


def _tried(todo: list[Mutant], tests: dict[str, Reach], scratch: Path) -> Iterator[tuple[Mutant, bool]]:
    by_module = defaultdict(list)
    for mutant in todo:
        by_module[mutant.module].append(mutant)
    for module, some in by_module.items():
        path = Path(module)
        original = path.read_text(encoding="utf-8")
        changes = read(Path(), module)
        killers: dict[str, None] = {}
        for mutant in some:
            path.write_text(changes[mutant.number].text(), encoding="utf-8")
            names = noticing(mutant, tests)
            able = set(names)
            # What noticed the latest changes of this module is likely to notice the next one.
            first = [name for name in reversed(killers) if name in able][:_LIKELY]
            killed, killer = _noticed(first, tests, scratch)
            if not killed:
                killed, killer = _noticed([name for name in names if name not in first], tests, scratch)
            if killer:
                killers.pop(killer, None)
                killers[killer] = None
            yield mutant, killed
        path.write_text(original, encoding="utf-8")


def _noticed(names: list[str], tests: dict[str, Reach], scratch: Path) -> tuple[bool, str | None]:
    """Does one of the tests fail, or come to no end; and which one failed, if it could say so."""
    if not names:
        return False, None
    scratch.unlink(missing_ok=True)
    files = dict.fromkeys(name.partition("::")[0] for name in names)
    seconds = _SECONDS + _TIMES * sum(tests[name]["seconds"] for name in names)
    killed = forks.run(files, [forks.Chosen(names, scratch)], seconds) != pytest.ExitCode.OK
    return killed, scratch.read_text(encoding="utf-8") if scratch.exists() else None


def _load(libraries: list[str]) -> None:
    """Load what tests need besides the checkout, once, so that every forked process has it."""
    for name in libraries:
        if name.partition(".")[0] in _NOT_SHARED:
            continue
        with suppress(Exception):  # a part of a library that can't be loaded by itself is loaded when it is needed
            importlib.import_module(name)


def main(arguments: list[str]) -> None:
    """Called by `python -m tests.mutants`."""
    # So that being ended ends what runs below, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    commands: dict[str, Any] = {"survey": survey, "judge": judge}
    commands[arguments[0]](*map(Path, arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
