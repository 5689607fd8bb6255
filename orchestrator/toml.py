"""A profile from and to TOML and flags: every key checked alone, so that a sentence can name what is wrong."""

from __future__ import annotations

import difflib
import math
import tomllib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import tomli_w
from msgspec import inspect

from orchestrator.errors import UsageError
from orchestrator.profile import Profile, Workers
from worker.contract import Isolation
from worker.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Help for keys whose types the contract owns.
_HELP: Final[dict[tuple[str, ...], str]] = {
    ("retry", "attempts"): "attempts in all, the first one included; 1 never retries",
    ("retry", "base_ms"): "pause before the second attempt, ms",
    ("retry", "cap_ms"): "longest pause before an attempt, ms",
    ("retry", "jitter"): "how the pause is spread",
    ("retry", "via"): "who retries: the task in place, or Celery with a new message",
}


#: Where keys are given on the command line under other names than their own; scenarios are arguments.
_FLAGS: Final[dict[tuple[str, ...], str]] = {("strategies",): "--strategy", ("scenarios",): "SCENARIO"}


#: Mistakes that there is no way to make but with a request.
_PRODUCERS: Final = (Mistake.PUBLISH_BEFORE_COMMIT, Mistake.PUBLISH_BEFORE_ROLLBACK, Mistake.TRUSTING_TASK)


class Key(NamedTuple):
    """One key of a profile: where it stands and what it takes."""

    path: tuple[str, ...]
    type: inspect.Type
    help: str
    default: Any

    @property
    def name(self) -> str:
        """The key as TOML writes it: `retry.attempts`."""
        return ".".join(self.path)

    @property
    def flag(self) -> str:
        """The key as a flag; gates need no prefix."""
        if self.path in _FLAGS:
            return _FLAGS[self.path]
        path = self.path[1:] if self.path[0] == "gates" else self.path
        return "--" + "-".join(path).replace("_", "-")

    @property
    def many(self) -> bool:
        """Several values, separated by commas in a flag."""
        return isinstance(self.type, inspect.VarTupleType)

    @property
    def switch(self) -> bool:
        """On or off."""
        return isinstance(self.type, inspect.BoolType)


def known() -> tuple[Key, ...]:
    """List every key of a profile, in the order in which it is printed."""
    return tuple(_walk(inspect.type_info(Profile), ()))


def _walk(struct: inspect.Type, path: tuple[str, ...]) -> Iterator[Key]:
    if not isinstance(struct, inspect.StructType):
        raise TypeError(struct)
    for field in struct.fields:
        here = (*path, field.encode_name)
        bare, help_ = _bare(field.type)
        if isinstance(bare, inspect.StructType):
            yield from _walk(bare, here)
        else:
            yield Key(here, bare, help_ or _HELP.get(here, ""), field.default)


def _bare(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """Find the type under its description; an optional key's type is the one that it takes when it is given."""
    if isinstance(kind, inspect.Metadata):
        return kind.type, (kind.extra_json_schema or {}).get("description", "")
    if isinstance(kind, inspect.UnionType):
        return _bare(next(each for each in kind.types if not isinstance(each, inspect.NoneType)))
    return kind, ""


def allowed(kind: inspect.Type) -> str:
    """Say in words what a key takes."""
    if isinstance(kind, inspect.BoolType):
        return "true or false"
    if isinstance(kind, inspect.EnumType):
        return _listed([each.value for each in kind.cls])
    if isinstance(kind, inspect.VarTupleType):
        return f"one or more of {allowed(kind.item_type)}" if _is_enum(kind.item_type) else "one or more names"
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        noun = "an integer" if isinstance(kind, inspect.IntType) else "a number"
        return f"{noun} {_range(kind)}"
    return "text"


def placeholder(kind: inspect.Type) -> str:
    """Stand for a key's value in a flag's help."""
    if isinstance(kind, inspect.EnumType):
        return "|".join(each.value for each in kind.cls)
    return "INTEGER" if isinstance(kind, inspect.IntType) else "NUMBER"


def _is_enum(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.EnumType)


def _listed(values: list[str]) -> str:
    return ", ".join(values[:-1]) + f" or {values[-1]}" if len(values) > 1 else values[0]


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f"of {kind.ge:g} or more" if kind.ge is not None else f"above {kind.gt:g}"
    return low if kind.le is None else f"{low}, at most {_plain(kind.le)}"


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def build(file: Path | None, flags: Mapping[tuple[str, ...], Any]) -> Profile:
    """Build the profile that a file gives and flags (by a key's path) override, checked as a whole."""
    values: dict[tuple[str, ...], Any] = {}
    by_path = {key.path: key for key in known()}
    if file is not None:
        data = _load(file)
        need_known(str(file), data)
        for path, value in _leaves(data, ()):
            values[path] = _value(by_path[path], value, f"{file}: {by_path[path].name}", strict=True)
    for path, value in flags.items():
        values[path] = _value(by_path[path], value, by_path[path].flag, strict=False)
    return checked(msgspec.convert(_nested(values), Profile))


def need_known(where: str, data: Mapping[str, Any]) -> None:
    """Raise a `UsageError` at the first key that a profile doesn't have, with the one that may be meant."""
    keys = {key.path: key.name for key in known()}
    for path, _ in _leaves(data, ()):
        if path not in keys:
            raise UsageError(_unknown(where, path, list(keys.values())))


def checked(profile: Profile) -> Profile:
    """Give the profile back if its keys fit each other."""
    for section, low, high in (
        ("think", profile.think.min_ms, profile.think.max_ms),
        ("retry", profile.retry.base_ms, profile.retry.cap_ms),
    ):
        names = ("min_ms", "max_ms") if section == "think" else ("base_ms", "cap_ms")
        if low > high:
            raise UsageError(f"{section}.{names[0]} is {low:g} and above {section}.{names[1]}, {high:g}.")
    if profile.hosts > profile.nodes:
        raise UsageError(
            f"hosts (--expect-hosts) is {profile.hosts} and above nodes (--expect-nodes), {profile.nodes}:"
            " a host runs at least one node."
        )
    if profile.republish and not profile.idempotency:
        raise UsageError(
            "republish needs idempotency: without the guard, what was only thought to be lost would be applied twice."
        )
    if profile.republish and not profile.recording:
        raise UsageError("republish needs recording: without it nobody knows what has ended, and all would come again.")
    misfit = next((each for each in profile.mistakes if each in _PRODUCERS), None)
    if misfit is not None and "requests" not in profile.scenarios:
        raise UsageError(
            f"mistakes has {misfit}, which is made with a request: race the scenario requests, or leave it out."
        )
    if profile.workers is Workers.EXTERNAL and not profile.synchronous_commit:
        raise UsageError(
            "synchronous_commit = false reaches spawned workers only: leave it out, or set it in the database itself."
        )
    return profile


def dumps(profile: Profile) -> str:
    """Write the profile as TOML; reading it gives the same profile."""
    data: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(profile).items():
        data[name] = {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
    data = {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}
    return tomli_w.dumps(data)


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: can't be read ({(error.strerror or 'error').lower()}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is not UTF-8 text (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: is not TOML: {error}.") from error


def _leaves(data: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
            if not value and (*path, name) not in {key.path[:-1] for key in known()}:
                yield (*path, name), value
        else:
            yield (*path, name), value


def _unknown(where: str, path: tuple[str, ...], known: list[str]) -> str:
    name = ".".join(path)
    if any(each.startswith(f"{name}.") for each in known):
        return f"{where}: {name} is a table: write [{name}] and its keys below."
    close = difflib.get_close_matches(name, [*known, *{each.partition(".")[0] for each in known}], n=1)
    hint = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(known)}."
    return f"{where}: unknown key {name}; {hint}"


def _value(key: Key, value: object, where: str, *, strict: bool) -> object:
    given = _spelled(key, value)
    try:
        converted = _at(msgspec.convert(_nested({key.path: given}), Profile, strict=strict), key.path)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where} takes {allowed(key.type)}, not {value!r}.") from error
    if converted == () and isinstance(value, str) and value.strip():
        raise UsageError(f"{where} is {value!r}, with nothing between the commas: write something, or leave it out.")
    if isinstance(converted, float) and not math.isfinite(converted):
        raise UsageError(f"{where} takes {allowed(key.type)}, not {value!r}.")
    return converted


def _spelled(key: Key, value: object) -> object:
    """Split a flag's commas; a lone name is a list of one, and hyphens in level names will do."""
    if not key.many:
        return value
    if isinstance(value, str):
        value = [each.strip() for each in value.split(",") if each.strip()]
    if key.path == ("isolation",) and isinstance(value, list | tuple):
        return [_level(each) if isinstance(each, str) else each for each in value]
    return value


def _level(text: str) -> str:
    spaced = text.lower().replace("-", " ").replace("_", " ")
    return spaced if spaced in set(Isolation) else text


def _nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for path, value in values.items():
        here = data
        for name in path[:-1]:
            here = here.setdefault(name, {})
        here[path[-1]] = value
    return data


def _at(profile: Profile, path: tuple[str, ...]) -> object:
    value: object = profile
    for name in path:
        value = getattr(value, name)
    return value
