"""Hermitage's cases, each searched for instead of played by hand; see docs/hermitage.md."""
