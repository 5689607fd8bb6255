"""What a failure of the gallery is: two profiles that differ in the prevention alone, and what must be found."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.profile import Gates, Pool, Profile, Think
from orchestrator.verifier.verdict import Value


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that Celery teams meet."""

    #: As the command line names it.
    name: str
    #: What happens, in one sentence.
    story: str
    #: How it is provoked, in a few words.
    provoked: str
    #: Checks and anomalies that must tell of it: {"lost operations": "lost-operation"}.
    caught: dict[str, str]
    #: The setting or code that prevents it, in a few words.
    prevention: str
    #: The race that provokes it.
    profile: Profile
    #: What the same race is changed by to prevent it.
    prevented: dict[str, Any]

    @property
    def prevented_profile(self) -> Profile:
        """The same race with the prevention on."""
        return changed(self.profile, self.prevented)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a failure's two races have shown."""

    failure: Failure
    verdict: Value
    #: Anomaly to how often it was found, in the race that provokes.
    anomalies: dict[str, int]
    #: What the witness of the expected anomaly says; None where none was found.
    witness: str | None
    prevented_verdict: Value
    #: Why the prevented race is not VALID, where it is not.
    remark: str | None = None
    #: The two runs' folders.
    folders: tuple[str, str]

    @property
    def as_expected(self) -> bool:
        """Caught by the right check with a witness, and gone with the prevention."""
        return self.verdict is Value.INVALID and self.witness is not None and self.prevented_verdict is Value.VALID


def changed(profile: Profile, changes: dict[str, Any]) -> Profile:
    """Change a profile's keys, those of its sections key by key."""
    return msgspec.convert(_merged(msgspec.to_builtins(profile), msgspec.to_builtins(changes)), Profile)


def _merged(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    both = {name: _merged(data[name], value) for name, value in changes.items() if isinstance(value, dict)}
    return {**data, **changes, **both}


def race(**keys: Any) -> Profile:  # noqa: ANN401 - a profile's keys
    """Give a short race on few rows, changed by a few keys."""
    return changed(_SHORT, keys)


_SHORT = Profile(
    scenarios=("credits",),
    strategies=("optimistic",),
    operations=60,
    rows=4,
    kinds=("grant",),  # the rules refuse none, so that what is done twice shows
    think=Think(min_ms=2, max_ms=10),
    nodes=2,
    concurrency=2,
    pool=Pool.PREFORK,
    visibility_timeout=2,
    grace=1.0,
    timeout=60,
    gates=Gates(min_overlaps=5),
)
