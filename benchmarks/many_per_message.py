"""(b) A hundred operations a message: rowrace against pgbench, the same read-check-write on rows of the same table."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict

from benchmarks import races
from benchmarks.measure import against, alternate, options, report
from orchestrator.services import open_services, postgres_bin

if TYPE_CHECKING:
    from benchmarks.measure import Options
    from orchestrator.services import Services

PER_MESSAGE = 100

#: The plan's mix: half deduct, a quarter grant, a quarter transfer (in key order).
WEIGHTS = {"deduct": 2, "grant": 1, "transfer": 1}

ONE = """\
\\set id random(0, {last})
\\set amount random(1, {most})
BEGIN;
SELECT credits, version FROM {schema}.users WHERE id = :id \\gset
\\set new :credits {sign} :amount
\\if :new >= 0
UPDATE {schema}.users SET credits = :new, version = version + 1 WHERE id = :id AND version = :version;
\\endif
COMMIT;
"""

TWO = """\
\\set x random(0, {last})
\\set y (:x + random(1, {last})) % {rows}
\\set a least(:x, :y)
\\set b greatest(:x, :y)
\\set amount (2 * random(0, 1) - 1) * random(1, 30)
BEGIN;
SELECT credits AS a_credits, version AS a_version FROM {schema}.users WHERE id = :a \\gset
SELECT credits AS b_credits, version AS b_version FROM {schema}.users WHERE id = :b \\gset
\\set a_new :a_credits - :amount
\\set b_new :b_credits + :amount
\\if :a_new >= 0 and :b_new >= 0
UPDATE {schema}.users SET credits = :a_new, version = version + 1 WHERE id = :a AND version = :a_version;
UPDATE {schema}.users SET credits = :b_new, version = version + 1 WHERE id = :b AND version = :b_version;
\\endif
COMMIT;
"""


def pgbench(services: Services, asked: Options) -> float:
    """Transactions per second of pgbench, as many clients as there are worker processes."""
    with races.bare_table(services) as schema, tempfile.TemporaryDirectory() as folder:
        files = []
        for name, text in _scripts(schema).items():
            path = Path(folder, f"{name}.sql")
            path.write_text(text, encoding="utf-8")
            files += ["-f", f"{path}@{WEIGHTS[name]}"]
        clients = str(asked.clients)
        done = subprocess.run(
            [
                *(str(postgres_bin() / "pgbench"), "--no-vacuum", "--protocol", "prepared"),
                *("--client", clients, "--jobs", clients, "--transactions", str(asked.operations // asked.clients)),
                *files,
            ],
            env={**os.environ, **_place(services.database_url)},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    found = re.search(r"^tps = ([\d.]+) \(without initial connection time\)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"pgbench failed: {done.stderr.strip()}")
    return float(found[1])


def _scripts(schema: str) -> dict[str, str]:
    last = races.ROWS - 1
    return {
        "deduct": ONE.format(schema=schema, last=last, most=30, sign="-"),
        "grant": ONE.format(schema=schema, last=last, most=60, sign="+"),
        "transfer": TWO.format(schema=schema, last=last, rows=races.ROWS),
    }


def _place(url: str) -> dict[str, str]:
    """The connection as variables: a password among arguments would be in the process list."""
    parts = conninfo_to_dict(url)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    return {variable: str(parts[name]) for variable, name in names.items() if parts.get(name)}


def main() -> None:
    """Measure and print."""
    asked = options("a hundred operations a message: rowrace, pgbench", 20_000)
    recorded = races.profile(asked, per_message=PER_MESSAGE)
    with open_services() as services:
        measured = alternate(
            asked.repetitions,
            {
                "rowrace": lambda: races.rate(services, recorded),
                "pgbench": lambda: pgbench(services, asked),
            },
        )
    report("a hundred operations a message", measured, against("pgbench", measured), asked)


if __name__ == "__main__":
    main()
