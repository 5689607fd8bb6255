"""Postgres and broker: given, embedded or kept up."""
