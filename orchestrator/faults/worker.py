"""Faults of workers: killed, paused, shut down in mid-task; healed by starting or continuing them again."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING, Final

import msgspec
import psutil

from orchestrator.errors import UsageError
from orchestrator.faults.model import Kind, Struck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.faults.model import Builder, Fault, Nodes, Planned, Reach

#: How long a node that was asked to end may take after its time is up, seconds; it is killed then.
_PATIENCE: Final = 5.0
_TICK: Final = 0.02
#: Ages from which a node, and a process of its pool, are at work, seconds.  Celery ends a node whose pool loses
#: a process while it starts.
_UP: Final = 3.0
_FORKED: Final = 0.3
#: How long a soft shutdown waits for the tasks that run, seconds.
_SOFT: Final = 2.0


class Aim(msgspec.Struct, frozen=True):
    """The nodes that a fault may strike, and how it chooses."""

    nodes: Nodes
    names: tuple[str, ...]
    reach: Reach

    def node(self) -> str | None:
        """Choose among the nodes that live and are not paused."""
        found = [name for name in self.names if (pid := self.nodes.pid(name)) is not None and not _stopped(pid)]
        return self.reach.random.choice(found) if found else None

    def child(self) -> tuple[str, psutil.Process] | None:
        """Choose among the pools' processes that are at work."""
        up = [name for name in self.names if (pid := self.nodes.pid(name)) is not None and _age(pid) >= _UP]
        found = [(name, pid) for name in up for pid in self.nodes.children(name) if _at_work(pid)]
        if not found:
            return None
        node, number = self.reach.random.choice(found)
        try:
            process = psutil.Process(number)  # knows its process by its start too, so that no later one is struck
        except psutil.NoSuchProcess:
            return None
        return (node, process) if number in self.nodes.children(node) else None

    def signalled(self, send: Callable[[psutil.Process], None]) -> tuple[str, psutil.Process] | None:
        """Signal a child, and name it with its node; None where there is none, or it ended by itself."""
        found = self.child()
        try:
            if found is not None:
                send(found[1])
        except psutil.NoSuchProcess:
            return None
        return found


class KillChild(msgspec.Struct, frozen=True):
    """SIGKILL to a process of a pool; the node starts another."""

    aim: Aim

    def strike(self) -> Struck | None:
        """Kill one."""
        if (found := self.aim.signalled(psutil.Process.kill)) is None:
            return None
        node, process = found
        return Struck(f"{node}'s child {process.pid} got SIGKILL")


class KillNode(msgspec.Struct, frozen=True):
    """SIGKILL to a node and its pool at once, as a host that loses power."""

    aim: Aim

    def strike(self) -> Struck | None:
        """Kill one."""
        nodes = self.aim.nodes
        if (node := self.aim.node()) is None or (pid := nodes.pid(node)) is None:
            return None
        back = nodes.expect(node)
        try:
            nodes.kill(node)
        except BaseException:
            back()
            raise
        return Struck(f"{node} ({pid}) and its pool got SIGKILL", lambda: _again(nodes, node, back))


class ShutDown(msgspec.Struct, frozen=True):
    """A signal that asks a node to end, in whatever it is doing."""

    aim: Aim
    number: signal.Signals

    def strike(self) -> Struck | None:
        """Ask one."""
        nodes = self.aim.nodes
        if (node := self.aim.node()) is None or (pid := nodes.pid(node)) is None:
            return None
        back = nodes.expect(node)
        nodes.signal(node, self.number)

        def heal() -> None:
            deadline = time.monotonic() + _PATIENCE
            while nodes.pid(node) == pid and time.monotonic() < deadline:
                time.sleep(_TICK)
            if nodes.pid(node) == pid:
                nodes.kill(node)
            _again(nodes, node, back)

        return Struck(f"{node} ({pid}) got {self.number.name}", heal)


class PauseNode(msgspec.Struct, frozen=True):
    """SIGSTOP to a node and its pool: it keeps its connections and says nothing."""

    aim: Aim

    def strike(self) -> Struck | None:
        """Pause one."""
        if (node := self.aim.node()) is None or (pid := self.aim.nodes.pid(node)) is None:
            return None
        # The main process first, and whatever it has forked until it heard.
        stopped = _pause([pid])
        for _ in range(2):
            stopped += _pause(self.aim.nodes.children(node))
        return Struck(f"{node} ({pid}) and its pool got SIGSTOP", lambda: _resume(stopped)) if stopped else None


class PauseChild(msgspec.Struct, frozen=True):
    """SIGSTOP to a process of a pool: it keeps its locks and its connections."""

    aim: Aim

    def strike(self) -> Struck | None:
        """Pause one."""
        if (found := self.aim.signalled(psutil.Process.suspend)) is None:
            return None
        node, process = found
        return Struck(f"{node}'s child {process.pid} got SIGSTOP", lambda: _resume([process]))


def celery_settings(planned: Sequence[Planned], nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Give each node the settings of Celery's own that the plan's faults need: SIGQUIT is soft where this is set."""
    soft, cold = (
        {node for each in planned if each.name == name for node in each.targets or nodes}
        for name in ("soft-shutdown", "cold-shutdown")
    )
    if both := sorted(soft & cold):
        raise UsageError(
            f"A node's shutdown is soft or cold, and {both[0]} is to have both: give soft-shutdown and cold-shutdown "
            "nodes of their own, as in soft-shutdown:node1,cold-shutdown:node2."
        )
    return dict.fromkeys(sorted(soft), (f"worker.soft_shutdown_timeout={_SOFT:g}",))


def _again(nodes: Nodes, node: str, back: Callable[[], None]) -> None:
    try:
        nodes.start(node)
    finally:
        back()


def _pause(pids: Iterable[int]) -> list[psutil.Process]:
    stopped = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)  # knows its process by its start too, so that no later one is continued
            process.suspend()
            stopped.append(process)
    return stopped


def _resume(stopped: Iterable[psutil.Process]) -> None:
    """Continue those that still live."""
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def _at_work(pid: int) -> bool:
    """Say whether a process is neither paused nor just forked."""
    return _age(pid) >= _FORKED and not _stopped(pid)


def _age(pid: int) -> float:
    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _aim(planned: Planned, reach: Reach) -> Aim:
    names = reach.nodes.names()
    for target in planned.targets:
        if target not in names:
            raise UsageError(f"Fault «{planned.text}»: there is no {target}; the nodes are {', '.join(names)}.")
    return Aim(reach.nodes, planned.targets or names, reach)


def _of_children(make: Callable[[Aim], Fault]) -> Builder:
    """Refuse pools that have no processes."""

    def build(planned: Planned, reach: Reach) -> Fault:
        if not reach.nodes.forks():
            raise UsageError(f"Fault «{planned.text}»: the pool has no processes of its own; use --pool prefork.")
        return make(_aim(planned, reach))

    return build


def _of_nodes(make: Callable[[Aim], Fault]) -> Builder:
    return lambda planned, reach: make(_aim(planned, reach))


def _kind(build: Builder, default_duration: float | None, text: str) -> Kind:
    return Kind(build=build, default_duration=default_duration, targets="[node...]", help=text)


#: Those that strike a pool's processes, and so need some.
OF_CHILDREN: Final = ("kill-child", "pause-child")

FAULTS: Final[Mapping[str, Kind]] = {
    "kill-child": _kind(_of_children(KillChild), None, "SIGKILL to a process of a node's pool"),
    "kill-node": _kind(_of_nodes(KillNode), 1.0, "SIGKILL to a node and its pool; started again"),
    "pause-child": _kind(_of_children(PauseChild), 1.0, "SIGSTOP to a process of a node's pool; continued"),
    "pause-node": _kind(_of_nodes(PauseNode), 1.0, "SIGSTOP to a node and its pool; continued"),
    "warm-shutdown": _kind(
        _of_nodes(lambda aim: ShutDown(aim, signal.SIGTERM)), 2.0, "SIGTERM to a node, which ends its tasks first"
    ),
    "soft-shutdown": _kind(
        _of_nodes(lambda aim: ShutDown(aim, signal.SIGQUIT)),
        _SOFT + 1.0,
        "SIGQUIT to a node that gives its tasks some time; started again",
    ),
    "cold-shutdown": _kind(
        _of_nodes(lambda aim: ShutDown(aim, signal.SIGQUIT)), 2.0, "SIGQUIT to a node, which drops its tasks"
    ),
}
