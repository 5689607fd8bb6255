"""What a database can't express, and why."""

from __future__ import annotations

from typing import Final

from orchestrator.errors import UsageError
from orchestrator.groups import EAGER_STRATEGIES

#: Why strategies can't run on SQLite.
_BEYOND: Final = {
    "naive-autocommit": "reads here are outside the transaction until its first write, so it would be naive once more",
    "pessimistic": "SQLite has no row locks",
    "advisory": "SQLite has no advisory locks",
    "serializable": "SQLite's one snapshot level is not the SERIALIZABLE that this strategy trusts",
}


def check_sqlite(strategy: str, where: str) -> None:
    """Refuse by name what SQLite can't express; `where` is the mode in which it can't run."""
    if strategy not in EAGER_STRATEGIES:
        why = _BEYOND.get(strategy, "it needs what SQLite hasn't got")
        raise UsageError(
            f"Strategy {strategy} can't run {where}, since {why}; SQLite can express {', '.join(EAGER_STRATEGIES)}."
        )
