"""Becomes a server: run as a file of its own, it takes on an account, ties its life to its parent's, and executes.

It imports the standard library only and is started with `python -I -S`, so that it costs some 20 ms.  Its one
argument is an `Order` in JSON; nothing in it is secret, for arguments are in the process list.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn, TypedDict

#: Exit code where the launcher itself failed; one sentence is then on stderr.
FAILED: Final = 125

_CLONE_NEWUSER: Final = 0x10000000
_PR_SET_PDEATHSIG: Final = 1


class Order(TypedDict):
    """What to become."""

    #: "same": stay who we are; "namespace": be `uid` and `gid` in a user namespace; "drop": become them for good.
    rights: str
    uid: int
    gid: int
    #: Parent to die with, by `signal`; 0 outlives it.  Without a signal it must only live still when the server starts.
    parent: int
    signal: int
    #: True forks once, so that nobody has to reap the server; its process id is then a line on stdout.
    detach: bool
    #: Program and arguments; empty ends with 0 once the account was taken on.
    argv: list[str]


def command(order: Order) -> list[str]:
    """Command line that carries `order` out in a process of its own."""
    return [sys.executable, "-I", "-S", __file__, json.dumps(order)]


def main(text: str) -> NoReturn:
    """Carry the order out; returns never."""
    order: Order = json.loads(text)
    try:
        _become(order)
    except OSError as error:
        print(f"{error.strerror or error} ({order['rights']})", file=sys.stderr)  # noqa: T201 -- this is a process of its own
        sys.exit(FAILED)


def _become(order: Order) -> NoReturn:
    os.umask(0o077)
    # A parent that defers Ctrl-C may have signals blocked; a server that inherited that would not stop.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if order["detach"]:
        _detach()
    _take_account(order)
    if order["parent"]:
        _die_with(order["parent"], order["signal"])
    if not order["argv"]:
        sys.exit(0)
    os.execv(order["argv"][0], order["argv"])  # noqa: S606 -- no shell is wanted


def _take_account(order: Order) -> None:
    if order["rights"] == "namespace":
        _enter_namespace(order["uid"], order["gid"])
    elif order["rights"] == "drop":
        os.setgroups([])
        os.setgid(order["gid"])
        os.setuid(order["uid"])


def _enter_namespace(uid: int, gid: int) -> None:
    """Own user and group appear as `uid` and `gid` from here on; outside, nothing changes."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER)
    # The kernel lets a group map be written without a privilege only once setgroups is off.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def _die_with(parent: int, number: int) -> None:
    """The kernel signals us when the thread that started us ends; set last, for a change of account clears it."""
    if sys.platform.startswith("linux"):
        _call("prctl", _PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request stood
        sys.exit(FAILED)


def _detach() -> None:
    """Leave the starter: an own child goes on, this process names it and ends."""
    child = os.fork()
    if child:
        os.write(1, b"%d\n" % child)
        os._exit(0)
    os.setsid()
    os.dup2(2, 1)  # stdout led to the starter, stderr leads to the log


def _call(name: str, *args: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1])
