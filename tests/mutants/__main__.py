"""Mutation testing of orchestrator/verifier: `python -m tests.mutants` tries every mutant, `--sample 40` only some.

A mutant is the verifier with one small change; it is killed when a test fails because of it.  Everything happens in
copies of the tree in a temporary folder.  Mutants that equivalent.md lists are not tried, and count as not killed; no
sample has any.  Exit 0 if at least `--least` per cent were killed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import TYPE_CHECKING, Final

from tests.mutants.mutants import CHANGED, excused, modules, mutants, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutants.mutants import Mutant

ROOT: Final = Path(__file__).resolve().parents[2]

#: Not needed in a copy, or made anew.
_LEFT: Final = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "rowrace-runs")

#: One core a process, and nothing compiled is written, since a change could be too quick for a file's time.
_SETTINGS: Final = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutants and say which survived."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    every = [mutant for module in modules(ROOT) for mutant in mutants(ROOT, module)]
    if asked.module:
        every = [mutant for mutant in every if _named(mutant, asked.module)]
    known = excused(ROOT)
    if asked.sample:
        every = sample([mutant for mutant in every if mutant.identity not in known], asked.sample, asked.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rowrace-mutants-") as folder:
        tried = [mutant for mutant in every if mutant.identity not in known]
        results = _try(tried, Path(folder).resolve(), asked.jobs)
    return _report([(mutant, results.get(mutant)) for mutant in every], asked.least, time.monotonic() - began)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="try only N mutants, drawn with --seed")
    parser.add_argument("--seed", type=int, default=0, help="what --sample draws with (default 0)")
    parser.add_argument("--module", action="append", metavar="NAME", help="only this module's, such as accounting")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes (default 1)")
    parser.add_argument("--least", type=float, default=90.0, help="per cent that must be killed (default 90)")
    return parser


def _named(mutant: Mutant, names: Sequence[str]) -> bool:
    name = Path(mutant.module).relative_to(CHANGED).with_suffix("").as_posix().replace("/", ".")
    return any(name == each or name.startswith(f"{each}.") for each in names)


def _try(chosen: Sequence[Mutant], folder: Path, jobs: int) -> dict[Mutant, bool]:
    """Whether a test noticed each mutant; every process has a copy of the tree and every so-many-th mutant."""
    copies = [_copy(folder / f"copy-{job}") for job in range(max(jobs, 1))]
    surveyed, results = folder / "survey.json", []
    with ExitStack() as stack:
        _wait(_inside(stack, copies[0], "survey", surveyed))
        running = []
        for job, copy in enumerate(copies):
            share, into = folder / f"share-{job}.json", folder / f"results-{job}.jsonl"
            share.write_text(json.dumps([asdict(mutant) for mutant in chosen[job :: len(copies)]]), encoding="utf-8")
            running.append((_inside(stack, copy, "judge", surveyed, share, into), into))
        for process, into in running:
            _wait(process)
            results += [json.loads(line) for line in into.read_text(encoding="utf-8").splitlines()]
    killed = {(row["module"], row["number"]): row["killed"] for row in results}
    return {mutant: killed[mutant.module, mutant.number] for mutant in chosen}


def _copy(to: Path) -> Path:
    shutil.copytree(ROOT, to, ignore=_LEFT)
    # By the text's hash: a changed module is recognised as such, however quickly it was changed.
    compileall.compile_dir(to, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return to


def _inside(stack: ExitStack, copy: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """Run `inside` in a copy, in the background; the stack ends it with whatever it has started."""
    temporary = copy.with_name(f"{copy.name}-temporary")
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, **_SETTINGS, "TMPDIR": str(temporary)}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "tests.mutants.inside", *map(str, arguments)]
    process = stack.enter_context(subprocess.Popen(command, cwd=copy, env=environment))
    stack.callback(process.terminate)
    return process


def _wait(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise SystemExit(f"tests.mutants.inside ended with {process.returncode}")


def _report(results: Sequence[tuple[Mutant, bool | None]], least: float, seconds: float) -> int:
    """Print the survivors and figures by module, None being an equivalent mutant; the exit code."""
    say = sys.stdout.write
    for mutant, killed in results:
        if killed is False:
            say(f"{mutant}\n")
    every, dead, equivalent = (
        Counter(mutant.module for mutant, killed in results if killed in kinds)
        for kinds in ((True, False, None), (True,), (None,))
    )
    say(f"\n{'module':<60}{'mutants':>8}{'killed':>8}{'equivalent':>12}{'%':>7}\n")
    for module, count in every.items():
        say(f"{module:<60}{count:>8}{dead[module]:>8}{equivalent[module]:>12}{100 * dead[module] / count:>7.1f}\n")
    share = 100 * dead.total() / every.total() if results else 0.0
    say(f"{'all':<60}{every.total():>8}{dead.total():>8}{equivalent.total():>12}{share:>7.1f}\n")
    say(f"{seconds:.0f} s; at least {least:g} % asked\n")
    return int(share < least)


if __name__ == "__main__":
    raise SystemExit(main())
