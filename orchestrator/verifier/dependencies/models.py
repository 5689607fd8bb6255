"""Consistency models: which implies which, and which anomalies each prohibits.

The hierarchy is that of Adya 1999, Bailis et al. 2013, Cerone, Bernardi, Gotsman 2015 and Daudjee, Salem 2004 and 2006,
as Elle draws it together (Alvaro, Kingsbury 2020); names are Elle's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.verifier.dependencies.anomalies import implied

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: Model to the weaker ones that it implies.
_WEAKER: Final[dict[str, tuple[str, ...]]] = {
    "strong-serializable": (
        *("serializable", "snapshot-isolation", "strong-snapshot-isolation", "strong-session-serializable", "causal"),
    ),
    "strong-session-serializable": ("serializable", "strong-session-snapshot-isolation"),
    "serializable": ("repeatable-read", "snapshot-isolation", "update-serializable"),
    "strong-snapshot-isolation": ("strong-session-snapshot-isolation", "strong-read-committed"),
    "strong-session-snapshot-isolation": ("snapshot-isolation", "strong-session-read-committed"),
    "snapshot-isolation": (
        *("forward-consistent-view", "monotonic-atomic-view", "monotonic-snapshot-read"),
        *("parallel-snapshot-isolation", "prefix"),
    ),
    "repeatable-read": ("cursor-stability", "monotonic-atomic-view"),
    "update-serializable": ("forward-consistent-view",),
    "forward-consistent-view": ("consistent-view",),
    "consistent-view": ("cursor-stability", "monotonic-view"),
    "prefix": ("causal-cerone",),
    "parallel-snapshot-isolation": ("causal-cerone", "update-atomic"),
    "causal-cerone": ("read-atomic",),
    "update-atomic": ("read-atomic",),
    "read-atomic": ("monotonic-atomic-view",),
    "monotonic-atomic-view": ("read-committed",),
    "monotonic-snapshot-read": ("read-committed",),
    "monotonic-view": ("read-committed",),
    "cursor-stability": ("read-committed",),
    "strong-read-committed": ("strong-session-read-committed", "strong-read-uncommitted"),
    "strong-session-read-committed": ("read-committed", "strong-session-read-uncommitted"),
    "read-committed": ("read-uncommitted",),
    "strong-read-uncommitted": ("strong-session-read-uncommitted",),
    "strong-session-read-uncommitted": ("read-uncommitted",),
    "read-uncommitted": (),
    "causal": ("writes-follow-reads", "PRAM"),
    "PRAM": ("monotonic-reads", "monotonic-writes", "read-your-writes"),
    "writes-follow-reads": (),
    "monotonic-reads": (),
    "monotonic-writes": (),
    "read-your-writes": (),
}

#: Model to the anomalies that it prohibits beyond those that weaker models do, and those that imply these.
_PROHIBITS: Final[dict[str, tuple[str, ...]]] = {
    "read-uncommitted": ("G0", "duplicate-elements", "duplicate-version", "version-gap", "duplicate-effect"),
    "read-committed": ("G1",),
    "cursor-stability": ("lost-update",),
    "consistent-view": ("G-single",),
    "causal-cerone": ("internal", "G1a"),
    "read-atomic": ("internal", "G1a", "future-read"),
    "update-atomic": ("lost-update",),
    "repeatable-read": ("G2-item", "lost-update"),
    "snapshot-isolation": ("internal", "G-nonadjacent"),
    "serializable": ("internal", "G2"),
    "strong-session-read-uncommitted": ("G0-process",),
    "strong-session-read-committed": ("G1c-process",),
    "strong-session-snapshot-isolation": ("G1-process", "G-nonadjacent-process"),
    "strong-session-serializable": ("G1-process", "G2-process"),
    "strong-read-uncommitted": ("G0-realtime",),
    "strong-read-committed": ("G1c-realtime",),
    "strong-snapshot-isolation": ("G1-realtime", "G-nonadjacent-realtime"),
    "strong-serializable": ("G1c-realtime", "G2-realtime"),
    "monotonic-reads": ("monotonic-reads-violation",),
    "monotonic-writes": ("monotonic-writes-violation",),
    "read-your-writes": ("read-your-writes-violation",),
    "writes-follow-reads": ("writes-follow-reads-violation",),
}

#: Models of single sessions: told apart from those of transactions.
OF_SESSIONS: Final = frozenset(
    ("causal", "PRAM", "writes-follow-reads", "monotonic-reads", "monotonic-writes", "read-your-writes")
)

#: The models that are asked for by name in practice, the strongest first; of these the strongest survivors are told.
_LADDER: Final = (
    *("strong-serializable", "strong-session-serializable", "serializable", "strong-snapshot-isolation"),
    *("strong-session-snapshot-isolation", "snapshot-isolation", "repeatable-read", "strong-read-committed"),
    *("strong-session-read-committed", "read-committed", "strong-read-uncommitted"),
    *("strong-session-read-uncommitted", "read-uncommitted"),
)

#: Every name that a level can be asked for by, and the model that it means.
LEVELS: Final[dict[str, str]] = {
    **{name: name for name in _WEAKER},
    "strict-serializable": "strong-serializable",
    "conflict-serializable": "serializable",
}


def prohibited(model: str) -> frozenset[str]:
    """Anomalies that rule the model out, without those that merely imply them."""
    return frozenset(name for each in _reached(_WEAKER, (model,)) for name in _PROHIBITS.get(each, ()))


def rules_out(anomaly: str, model: str) -> bool:
    """Does the model prohibit the anomaly, or one that it implies."""
    return not prohibited(model).isdisjoint(implied((anomaly,)))


def impossible(anomalies: Iterable[str]) -> frozenset[str]:
    """Models that can't hold where these anomalies are."""
    there = implied(anomalies)
    return frozenset(model for model in _WEAKER if not prohibited(model).isdisjoint(there))


def weakest(models: Collection[str]) -> tuple[str, ...]:
    """Those of the models that imply no other one of them."""
    return tuple(
        sorted(model for model in models if not any(each in models for each in _reached(_WEAKER, _WEAKER[model])))
    )


def boundary(anomalies: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The weakest models of transactions that are ruled out, and the others that are with them."""
    out = impossible(anomalies) - OF_SESSIONS
    least = weakest(out)
    return least, tuple(sorted(out.difference(least)))


def strongest(anomalies: Iterable[str], *, process: bool, realtime: bool) -> tuple[str, ...]:
    """The strongest well-known models that nothing rules out; those whose order was not looked at are left out."""
    out = impossible(anomalies)
    left = [
        model
        for model in _LADDER
        if model not in out
        and (process or not model.startswith("strong-session"))
        and (realtime or model.startswith("strong-session") or not model.startswith("strong"))
    ]
    return tuple(model for model in left if not any(model in _reached(_WEAKER, _WEAKER[each]) for each in left))


def _reached(edges: dict[str, tuple[str, ...]], start: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    open_ = list(start)
    while open_:
        model = open_.pop()
        if model not in found:
            found.add(model)
            open_ += edges[model]
    return frozenset(found)
