"""Becomes Flower with its /metrics closed: run as a file of its own, with everything it needs in the environment.

Flower 2.2 answers /metrics without authentication; here it asks for the same as every other page.  Only /healthcheck,
which says no more than OK, stays open.
"""

from __future__ import annotations

import sys

from celery.__main__ import main
from flower import urls
from flower.views.monitor import Metrics
from tornado.web import authenticated


class ClosedMetrics(Metrics):  # type: ignore[misc]  # Flower has no types
    """Flower's metrics, for those only who know the password."""

    get = authenticated(Metrics.get)


def close_metrics() -> None:
    """Put the closed page where the open one was; fails where there is none, for then it would be open elsewhere."""
    place = urls.handlers.index(("/metrics", Metrics))
    urls.handlers[place] = ("/metrics", ClosedMetrics)


if __name__ == "__main__":
    close_metrics()
    sys.argv = ["celery", "flower"]
    main()
