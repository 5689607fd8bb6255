"""Every mutant of the verifier: a module and one change in it."""

from __future__ import annotations

import ast
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.mutants.operators import mutations

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.mutants.operators import Mutation
    from tests.mutants.reach import Reach

#: What is changed, and the tests that must notice it.
CHANGED: Final = "orchestrator/verifier"
TESTS: Final = (
    "tests/unit/test_verifier_*.py",
    # Not those of compiled code, since compiling a changed kernel takes longer than all of this.
    "tests/unit/test_dependencies_[!c]*.py",
    "tests/unit/test_planted_tables.py",
)

#: Part of the name of tests that load the compiler.
COMPILING: Final = "machine_code"

#: A line of equivalent.md: where, and the code before and after.
_EXCUSED: Final = re.compile(r"^- `([^`]+)`: `([^`]+)` → `([^`]+)`$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of one module, in words."""

    module: str
    #: Its place among the module's mutations.
    number: int
    operator: str
    line: int
    #: Module and function: accounting._repeated.
    where: str
    before: str
    after: str
    #: First line of the outermost function around it; 0 outside of all.
    entry: int

    @property
    def identity(self) -> tuple[str, str, str]:
        """What stays the same when lines move."""
        return self.where, self.before, self.after

    def __str__(self) -> str:
        """One line to look at."""
        return f"{self.module}:{self.line} {self.operator}\n    {self.where}: {self.before}\n    → {self.after}"


def modules(root: Path) -> list[str]:
    """The changed modules' files, sorted."""
    return sorted(path.relative_to(root).as_posix() for path in (root / CHANGED).rglob("*.py"))


def pool(root: Path) -> list[str]:
    """The test files, sorted."""
    return sorted(path.relative_to(root).as_posix() for pattern in TESTS for path in root.glob(pattern))


def mutants(root: Path, module: str) -> list[Mutant]:
    """Every mutant of one module."""
    short = Path(module).relative_to(CHANGED).with_suffix("").as_posix().replace("/", ".")
    found = []
    for number, mutation in enumerate(read(root, module)):
        before, after = mutation.words()
        where = f"{short}.{mutation.scope}" if mutation.scope else short
        at = {"number": number, "line": mutation.line, "entry": mutation.entry}
        found.append(Mutant(module=module, operator=mutation.operator, where=where, before=before, after=after, **at))
    return found


def read(root: Path, module: str) -> list[Mutation]:
    """The changes that can be made to one module."""
    return mutations(ast.parse((root / module).read_text(encoding="utf-8")))


def sample(every: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """That many mutants, the same ones for the same seed."""
    chosen = random.Random(seed).sample(range(len(every)), min(size, len(every)))  # noqa: S311 - no secret
    return [every[place] for place in sorted(chosen)]


def noticing(mutant: Mutant, tests: dict[str, Reach]) -> list[str]:
    """The tests that reach the changed function, quickest first; all of them for what runs when a module is loaded.

    Those that load the compiler come last, since with it there less work is worth compiling.
    """
    place = f"{mutant.module}:{mutant.entry}"
    able = [name for name, test in tests.items() if place in test["reached"]]
    return sorted(able or tests, key=lambda name: (COMPILING in name, tests[name]["seconds"]))


def excused(root: Path) -> set[tuple[str, str, str]]:
    """The mutants that equivalent.md names."""
    text = (root / "tests/mutants/equivalent.md").read_text(encoding="utf-8")
    rows: Iterable[tuple[str, str, str]] = _EXCUSED.findall(text)
    return set(rows)
