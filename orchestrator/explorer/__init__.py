"""Deterministic interleaving of callables."""
