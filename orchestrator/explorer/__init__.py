"""Deterministic interleaving of callables; knows nothing of tasks, databases or the rest of the project."""
