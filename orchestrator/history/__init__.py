"""The history: what worker and database wrote, as columns."""
