"""Postgres and broker: given, embedded or kept up."""

from orchestrator.services.embedded import Embedding, postgres_bin
from orchestrator.services.opening import Origin, Services, open_services, origins
from orchestrator.services.postgres import PostgresSettings
from orchestrator.services.urls import mask

__all__ = [
    "Embedding",
    "Origin",
    "PostgresSettings",
    "Services",
    "mask",
    "open_services",
    "origins",
    "postgres_bin",
]
