"""The documentation as a test reads it: fenced blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: An optional `<!-- tested with: FLAGS -->`, then a fenced block.
_BLOCK = re.compile(
    r"(?:^<!-- tested with: (?P<extra>.+?) -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_EXIT = re.compile(r"\s+# exit (\d+)$")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One `$ ` line of a `console` block."""

    #: The document, relative to the checkout.
    document: str
    #: Its words, as a shell splits them.
    argv: tuple[str, ...]
    #: What it is to end with.
    exit: int = 0

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.argv)}"


def documents() -> list[Path]:
    """Every document whose commands are checked."""
    return sorted(
        [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
    )


def commands() -> list[Command]:
    """Every command behind a `$ ` in a `console` block; a line that ends in a backslash goes on."""
    found = []
    for path in documents():
        for extra, language, body in _BLOCK.findall(path.read_text(encoding="utf-8")):
            if language == "console":
                lines = body.replace("\\\n", " ").splitlines()
                found += [_command(path, line[2:], extra) for line in lines if line.startswith("$ ")]
    return found


def scripts() -> list[tuple[str, str]]:
    """Every `sh` block, with its document."""
    return [
        (path.relative_to(ROOT).as_posix(), body)
        for path in documents()
        for _, language, body in _BLOCK.findall(path.read_text(encoding="utf-8"))
        if language == "sh"
    ]


def _command(path: Path, line: str, extra: str) -> Command:
    code = _EXIT.search(line)
    argv = (*shlex.split(_EXIT.sub("", line)), *shlex.split(extra))
    return Command(document=path.relative_to(ROOT).as_posix(), argv=argv, exit=int(code[1]) if code else 0)
