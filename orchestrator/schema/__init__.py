"""A group's tables and triggers."""
