"""Runs race operations: deployable alone on a worker host, started with `celery -A worker worker`."""
