"""Services' URLs: accepted, normalised, masked."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.services.urls import broker_url, database_url, mask, place

_DATABASES = [
    ("postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
    ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
    (" postgresql://h/d?sslmode=require\n", "postgresql://h/d?sslmode=require"),
    ("POSTGRES://h/d", "postgresql://h/d"),
    ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"),
]

_BROKERS = [
    ("redis://h", "redis://h"),
    ("rediss://:p@h:6380/1", "rediss://:p@h:6380/1"),
    ("valkey://:p@h/0", "redis://:p@h/0"),
    ("valkeys://h", "rediss://h"),
]

_MASKED = [
    ("postgresql://u:secret@h:1/d", "postgresql://u:***@h:1/d"),
    ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
    ("redis://secret@h", "redis://***@h"),
    ("postgresql://u:se/cr?e#t@h@h2:1/d", "postgresql://u:***@h2:1/d"),
    ("postgresql://h/d?user=u&password=secret&sslmode=require", "postgresql://h/d?user=u&password=***&sslmode=require"),
    ("redis://h:1/0", "redis://h:1/0"),
]

_BAD = [
    "mysql://u:secret@h/d",
    "u:secret@h",
    "postgresql://u:secret@h:port/d",
    "postgresql://u:secret@h:99999/d",
    "postgresql://u:se/cret@h/d",
    "postgresql://u:secret@[h/d",
    "redis://u:secret@/0",
    "redis://:secret@h/zero",
    "redis://:secret@h:port/0",
    "amqp://u:secret@h//",
    "",
]


@pytest.mark.parametrize(("given", "expected"), _DATABASES)
def test_database_urls_become_what_drivers_take(given: str, expected: str) -> None:
    """Both names of the scheme are accepted, in any case, and the longer one goes on."""
    assert expected == database_url(given, "--database-url")


@pytest.mark.parametrize(("given", "expected"), _BROKERS)
def test_broker_urls_become_what_celery_takes(given: str, expected: str) -> None:
    """Valkey speaks Redis's protocol, and Celery knows only Redis's name."""
    assert expected == broker_url(given, "--broker-url")


@pytest.mark.parametrize(("given", "expected"), _MASKED)
def test_a_masked_url_has_no_password(given: str, expected: str) -> None:
    """A password is hidden wherever it stands, an unescaped one too."""
    assert expected == mask(given)


@pytest.mark.parametrize("given", _BAD)
@pytest.mark.parametrize("parse", [database_url, broker_url])
def test_a_bad_url_is_one_sentence_without_the_password(given: str, parse: type) -> None:
    """What can't be used is refused by name, and its password isn't shown."""
    with pytest.raises(UsageError, match=r"\A--url [^\n]+\Z") as caught:
        parse(given, "--url")
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_place_has_the_default_port() -> None:
    """Messages name host and port, never user or password."""
    assert place("postgresql://u:p@h/d", 5432) == "h:5432"
    assert place("redis://:p@[::1]:7/0", 6379) == "::1:7"
