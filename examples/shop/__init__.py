"""A small shop: SQLAlchemy models and Celery tasks, as one finds them."""
