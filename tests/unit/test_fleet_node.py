"""A node's number is signalled for as long as it is the node's, and not a moment longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from orchestrator.fleet.node import Node, sweep
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere an end is seen by reaping only")


@pytest.fixture
def node() -> Iterator[Node]:
    """A node whose main process sleeps, and leads a group."""
    made = Node("node1", subprocess.Popen(["sleep", "60"], start_new_session=True))
    yield made
    made.kill()


def test_the_number_of_an_ended_node_is_not_given_away_before_it_is_swept(node: Node) -> None:
    """What is signalled in between, itself or its group, is nobody else."""
    os.kill(node.child.pid, signal.SIGTERM)
    wait_until(lambda: not node.lives())
    assert psutil.pid_exists(node.child.pid)
    node.signal(signal.SIGTERM)
    node.resume()
    sweep([node])
    assert (True, False, False) == (node.swept, node.lives(), psutil.pid_exists(node.child.pid))


def test_a_killed_node_is_gone(node: Node) -> None:
    """When it returns, nobody has its number."""
    node.kill()
    assert (True, False, False) == (node.swept, node.lives(), psutil.pid_exists(node.child.pid))
    node.kill()  # and once more changes nothing
