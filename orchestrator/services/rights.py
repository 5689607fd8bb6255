"""Under which account servers run: PostgreSQL refuses root, and needs an account that has a name."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import StrEnum
from typing import Final

import msgspec

from orchestrator.errors import ServiceError
from orchestrator.services import launch

#: Accounts that most systems have: daemon (or bin), nobody.
_USUAL: Final = (1, 65534)


class Rights(StrEnum):
    """How a server comes by its account."""

    #: Our own account; the ordinary case.
    SAME = "same"
    #: Our own account, which appears under another number in a user namespace; as root on Linux.
    NAMESPACE = "namespace"
    #: Another account, taken on for good; as root where namespaces are refused.
    DROP = "drop"


class Account(msgspec.Struct, frozen=True):
    """Whom a server runs as."""

    rights: Rights
    uid: int
    gid: int


def require_unix() -> None:
    """Embedded servers need a system that the wheels have servers for."""
    if sys.platform == "win32":
        raise ServiceError(
            "there are no embedded services on Windows: give ROWRACE_DATABASE_URL and ROWRACE_BROKER_URL, "
            "or use --mode eager"
        )


def choose(rights: Rights | None = None) -> Account:
    """The account to run servers under; `rights` forces a way, None takes the first that this system allows."""
    own = Account(Rights.SAME, os.geteuid(), os.getegid())
    if rights is Rights.SAME or (rights is None and own.uid != 0 and _has_name(own.uid)):
        return own
    named = Account(Rights.NAMESPACE, *_named())
    if rights is Rights.NAMESPACE or (rights is None and _allowed(named)):
        return named
    if own.uid == 0:
        return Account(Rights.DROP, *_nobody())
    raise ServiceError(
        f"PostgreSQL needs a named account, user {own.uid} has none, and user namespaces are refused here: "
        "give ROWRACE_DATABASE_URL, or use --mode eager"
    )


def _allowed(account: Account) -> bool:
    """Whether the kernel lets us enter a user namespace, by trying it."""
    if not sys.platform.startswith("linux"):
        return False
    command = launch.command(
        {
            "rights": account.rights,
            "uid": account.uid,
            "gid": account.gid,
            "parent": 0,
            "signal": 0,
            "detach": False,
            "argv": [],
        }
    )
    return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0


def _has_name(uid: int) -> bool:
    import pwd  # noqa: PLC0415 -- not on Windows, where this is never called

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _named() -> tuple[int, int]:
    import pwd  # noqa: PLC0415 -- as above

    others = (entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid)
    uid = next((uid for uid in (*_USUAL, *others) if _has_name(uid)), 0)
    return uid, uid


def _nobody() -> tuple[int, int]:
    import pwd  # noqa: PLC0415 -- as above

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ServiceError(
            "PostgreSQL refuses to run as root and there is no account `nobody`: give ROWRACE_DATABASE_URL"
        ) from None
    return entry.pw_uid, entry.pw_gid
