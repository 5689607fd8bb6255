"""The small public API, for people's own tests."""
