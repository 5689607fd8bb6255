"""A Valkey (or Redis) server of our own: private, on loopback, with a random password."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.services import folder as folders
from orchestrator.services.boot import Program
from orchestrator.services.process import Spawn

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.services.binaries import BrokerBinary
    from orchestrator.services.rights import Account

# The append-only file keeps messages over a restart; without eviction none is dropped for want of memory.  It is
# synchronised every second, the server's own default, for a server that is stopped in order writes all of it first;
# `appendfsync always` was measured to take and acknowledge at 0.4 of the rate, and would help in a power cut only.
_SETTINGS: Final = """\
bind 127.0.0.1
port {port}
dir "{folder}"
requirepass {password}
daemonize no
appendonly yes
save ""
maxmemory-policy noeviction
"""


class Valkey(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that starting a server needs."""

    binary: BrokerBinary
    #: Holds the data; made already, private, the account's own.
    folder: Path
    log: Path
    account: Account
    password: str
    #: True keeps it up when its starter ends.
    outlive: bool = False
    #: True leaves it to somebody else to end it when its starter dies.
    watched: bool = False

    def program(self) -> Program:
        """The server, to be brought up."""
        return Program(
            name="Valkey",
            order=self._order,
            ready=self._is_ready,
            signals=(signal.SIGTERM, signal.SIGKILL),  # orderly, then not
            log=self.log,
        )

    def forget(self) -> None:
        """Remove the data, that is the append-only files; for a server that is down."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)  # Redis 7's and Valkey's
        (self.folder / "appendonly.aof").unlink(missing_ok=True)  # Redis 6's

    def url(self, port: int) -> str:
        """Where the server answers."""
        return f"redis://:{self.password}@127.0.0.1:{port}/0"

    def _order(self, port: int) -> Spawn:
        """The password goes through a file: arguments are in the process list."""
        conf = self.folder / "valkey.conf"
        text = _SETTINGS.format(port=port, folder=self.folder, password=self.password)
        folders.write_private(conf, text.encode(), self.account)
        return Spawn(
            argv=(str(self.binary.path), str(conf)),
            log=self.log,
            account=self.account,
            death_signal=None if self.outlive else signal.SIGTERM,
            watched=self.watched,
        )

    def _is_ready(self, port: int) -> bool:
        """It answers PING with its password; while it loads, it answers something else."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
                link.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = link.makefile("rb")
                return (answer.readline(), answer.readline()) == (b"+OK\r\n", b"+PONG\r\n")
        except OSError:
            return False


def password() -> str:
    """A fresh random password."""
    return secrets.token_urlsafe(24)
