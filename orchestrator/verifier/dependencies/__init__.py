"""Dependencies between transactions by Adya's definitions: a history's anomalies, and the models they rule out."""

from __future__ import annotations

from orchestrator.verifier.dependencies.anomalies import ANOMALIES, CYCLES, GUARANTEES
from orchestrator.verifier.dependencies.judging import judge
from orchestrator.verifier.dependencies.models import LEVELS, rules_out

__all__ = ["ANOMALIES", "CYCLES", "GUARANTEES", "LEVELS", "judge", "rules_out"]
