"""A host's first process: run as a file of its own, it makes the host's namespaces and starts what it is told to.

It listens on stdin, a socket, for the one who laid the host out.  When that one closes it or dies, however it dies,
this process ends; it is the first of its process namespace, so the kernel then kills all the others, and cables and
mounts go with the namespaces.  It imports the standard library only and is started with `python -I -S`.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn, TypedDict

_NEWNS, _NEWUTS, _NEWPID, _NEWNET = 0x00020000, 0x04000000, 0x20000000, 0x40000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_NOSUID, _NODEV, _NOEXEC = 0x2, 0x4, 0x8

#: Longest message either way.
MESSAGE: Final = 1 << 17

#: What Python sets for itself, or this process for itself, and a started program must not inherit.
_RESET: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)

#: How long what is left of a layout's folder may resist, seconds.
_PATIENCE: Final = 20.0


class Order(TypedDict):
    """What kind of host to be."""

    name: str
    #: Bound over /etc/hosts; empty: a switch, which has a network of its own and shares all else with the machine.
    hosts: str
    #: Removed at the end; empty: nothing is.
    folder: str


def command(order: Order) -> list[str]:
    """Command line that carries `order` out in a process of its own."""
    return [sys.executable, "-I", "-S", __file__, json.dumps(order)]


def main(text: str) -> None:
    """Be the host until the other end of stdin is closed."""
    order: Order = json.loads(text)
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    channel = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        _unshare(_NEWNS | _NEWUTS | _NEWNET | _NEWPID if order["hosts"] else _NEWNET)
        if order["hosts"]:
            _fork(channel)
            _settle(order)
    except OSError as error:
        _tell(channel, {"failed": f"{error.strerror or error}"})
        sys.exit(1)
    _tell(channel, {"ready": os.getpid()})
    _serve(channel)
    if order["folder"]:
        _remove(Path(order["folder"]))


def _fork(channel: socket.socket) -> None:
    """Go on in a child, the first of the new process namespace; the parent stays outside to be waited for."""
    child = os.fork()
    if child:
        _tell(channel, {"pid": child})
        channel.close()
        os.waitpid(child, 0)
        os._exit(0)


def _settle(order: Order) -> None:
    """Take on the name, and mount what must be this host's own; nothing of it is seen outside."""
    _mount("none", "/", "", _RECURSIVE | _PRIVATE)
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _mount(order["hosts"], "/etc/hosts", "", _BIND)
    socket.sethostname(order["name"])
    for scope in ("all", "default"):
        # A packet is taken even where the way back is cut: that is what makes a cut one-way.
        Path(f"/proc/sys/net/ipv4/conf/{scope}/rp_filter").write_text("0", encoding="ascii")


def _serve(channel: socket.socket) -> None:
    """Start programs and tell of their ends, until nobody is there to hear it."""
    wake, woken = os.pipe()
    for end in (wake, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    started: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([channel.fileno(), wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
            _reap(channel, started)
        if channel.fileno() in readable and not _hear(channel, started):
            return


def _hear(channel: socket.socket, started: dict[int, int]) -> bool:
    """Carry one message out; False at the end."""
    try:
        data, streams = _receive(channel)
    except OSError:
        return False
    if not data:
        return False
    said: dict[str, Any] = json.loads(data)
    if "argv" in said:
        pid = _start(said, streams)
        started[pid] = said["id"]
        _tell(channel, {"started": said["id"]})
    else:
        for pid in [pid for pid, number in started.items() if number == said["id"]]:
            os.kill(pid, said["signal"])
    return True


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    size = array.array("i").itemsize
    data, parts, _, _ = channel.recvmsg(MESSAGE, socket.CMSG_LEN(2 * size), socket.MSG_CMSG_CLOEXEC)
    streams = array.array("i")
    for _, _, part in parts:
        streams.frombytes(part[: len(part) - len(part) % size])
    return data, list(streams)


def _start(said: dict[str, Any], streams: list[int]) -> int:
    """Start a program in a session of its own; the two streams are its stdout and stderr."""
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        return pid
    try:
        os.setsid()
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        for target, stream in enumerate(streams, 1):
            os.dup2(stream, target)
        os.chdir(said["cwd"])
        os.execvpe(said["argv"][0], said["argv"], said["env"])  # noqa: S606 -- no shell is wanted
    except OSError as error:
        os.write(2, f"{said['argv'][0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _reap(channel: socket.socket, started: dict[int, int]) -> None:
    """Wait for whoever has ended, adopted ones too."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if pid in started:
            _tell(channel, {"ended": started.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _tell(channel: socket.socket, said: dict[str, Any]) -> None:
    try:
        channel.send(json.dumps(said).encode())
    except OSError:
        return  # nobody hears it any more: the next look finds the end


def _remove(folder: Path) -> None:
    """Remove a folder that processes of dying hosts may still write to."""
    deadline = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def _unshare(flags: int) -> None:
    _checked("unshare", ctypes.CDLL(None, use_errno=True).unshare(flags))


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), None)
    _checked(f"mount on {target}", result)


def _checked(what: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _main() -> NoReturn:
    main(sys.argv[1])
    sys.exit(0)


if __name__ == "__main__":
    _main()
