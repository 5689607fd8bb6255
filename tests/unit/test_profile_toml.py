"""Profiles from and to TOML and flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import toml
from orchestrator.errors import UsageError
from orchestrator.profile import Expect, Gates, Mode, Pool, Profile, Think, Workers
from worker.contract import Isolation, Jitter, Retry, Via

if TYPE_CHECKING:
    from pathlib import Path

FULL = Profile(
    scenarios=("credits", "config"),
    strategies=("naive", "atomic"),
    isolation=tuple(Isolation),
    operations=7,
    rows=3,
    skew=1.5,
    seed=2**63 - 1,
    per_message=4,
    think=Think(min_ms=1.0, max_ms=2.5),
    retry=Retry(attempts=3, base_ms=2.0, cap_ms=8.0, jitter=Jitter.DECORRELATED, via=Via.CELERY),
    lock_timeout_ms=9,
    idempotency=False,
    recording=False,
    mode=Mode.AUTO,
    workers=Workers.EXTERNAL,
    nodes=5,
    hosts=2,
    concurrency=6,
    pool=Pool.THREADS,
    prefetch=2,
    visibility_timeout=5.0,
    events=True,
    grace=0.5,
    timeout=12.5,
    expect=Expect.VALID,
    gates=Gates(min_overlaps=0, min_done=0.25, max_p99_ms=50.0, max_give_ups=1, max_conflict_rate=0.5),
)


@pytest.mark.parametrize("profile", [Profile(), Profile(synchronous_commit=False), FULL])
def test_a_printed_profile_reads_back_the_same(profile: Profile, tmp_path: Path) -> None:
    """What `rowrace profile` prints reproduces the run."""
    file = tmp_path / "profile.toml"
    file.write_text(toml.dumps(profile), encoding="utf-8")
    assert profile == toml.build(file, {})


def test_every_key_has_help() -> None:
    """No flag is without a sentence."""
    assert [] == [key.name for key in toml.known() if not key.help]


def test_flags_are_unique() -> None:
    """No two keys share a flag."""
    flags = [key.flag for key in toml.known()]
    assert sorted(set(flags)) == sorted(flags)


def test_flags_override_the_file(tmp_path: Path) -> None:
    """A flag counts more than the file, and the file more than the default."""
    file = tmp_path / "profile.toml"
    file.write_text("operations = 5\nrows = 4\n[retry]\nattempts = 2\n", encoding="utf-8")
    found = toml.build(file, {("rows",): "6", ("retry", "jitter"): "none"})
    assert Profile(operations=5, rows=6, retry=Retry(attempts=2, jitter=Jitter.NONE)) == found


def test_flags_are_text() -> None:
    """Numbers, lists and level names are read from text as people type it."""
    flags: dict[tuple[str, ...], Any] = {
        ("strategies",): "naive, atomic",
        ("isolation",): "read-committed,REPEATABLE READ",
        ("skew",): "1.5",
        ("idempotency",): False,
        ("gates", "max_give_ups"): "3",
    }
    expected = Profile(
        strategies=("naive", "atomic"),
        isolation=(Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ),
        skew=1.5,
        idempotency=False,
        gates=Gates(max_give_ups=3),
    )
    assert expected == toml.build(None, flags)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({("operations",): "-1"}, "--operations takes an integer of 0 or more, at most 100000000, not '-1'."),
        ({("rows",): "many"}, "--rows takes an integer of 1 or more, at most 1000000, not 'many'."),
        ({("skew",): "nan"}, "--skew takes a number of 0 or more, at most 10, not 'nan'."),
        ({("timeout",): "0"}, "--timeout takes a number above 0, at most 604800, not '0'."),
        ({("pool",): "gevent"}, "--pool takes prefork, threads or solo, not 'gevent'."),
        (
            {("isolation",): "snapshot"},
            "--isolation takes one or more of read committed, repeatable read or serializable, not 'snapshot'.",
        ),
        ({("strategies",): ","}, "--strategy takes one or more names, not ','."),
        (
            {("faults",): " , "},
            "--faults is ' , ', with nothing between the commas: write something, or leave it out.",
        ),
        ({("think", "min_ms"): "9"}, "think.min_ms is 9 and above think.max_ms, 5."),
        ({("retry", "base_ms"): "200"}, "retry.base_ms is 200 and above retry.cap_ms, 100."),
        (
            {("hosts",): "3"},
            "hosts (--expect-hosts) is 3 and above nodes (--expect-nodes), 2: a host runs at least one node.",
        ),
        (
            {("workers",): "external", ("synchronous_commit",): "false"},
            "synchronous_commit = false reaches spawned workers only: leave it out, or set it in the database itself.",
        ),
        (
            {("mistakes",): "publish-before-commit"},
            (
                "mistakes has publish-before-commit, which is made with a request: race the scenario requests,"
                " or leave it out."
            ),
        ),
    ],
)
def test_wrong_flags_are_one_sentence(flags: dict[tuple[str, ...], str], said: str) -> None:
    """The sentence names the flag, the value and what is allowed."""
    with pytest.raises(UsageError) as raised:
        toml.build(None, flags)
    assert said == str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("operatoins = 1", "unknown key operatoins; did you mean operations?"),
        ("[retry]\natempts = 1", "unknown key retry.atempts; did you mean retry.attempts?"),
        ("retry = 3", "retry is a table: write [retry] and its keys below."),
        ("[thnik]", "unknown key thnik; did you mean think?"),
        ("operations = 'many'", "operations takes an integer of 0 or more, at most 100000000, not 'many'."),
        ("operations = true", "operations takes an integer of 0 or more, at most 100000000, not True."),
        ("seed = 1.5", "seed takes an integer of 0 or more, at most 9223372036854775807, not 1.5."),
        ("idempotency = 'yes'", "idempotency takes true or false, not 'yes'."),
        ("scenarios = []", "scenarios takes one or more names, not []."),
        ("timeout = inf", "timeout takes a number above 0, at most 604800, not inf."),
        ("operations =", "is not TOML: Invalid value (at end of document)."),
    ],
)
def test_wrong_files_are_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    """The sentence names the file, the key, the value and what is allowed."""
    file = tmp_path / "wrong.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        toml.build(file, {})
    assert f"{file}: {said}" == str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing profile is wrong usage."""
    with pytest.raises(UsageError, match=r"none\.toml: can't be read \(no such file or directory\)"):
        toml.build(tmp_path / "none.toml", {})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """A file that is no text is wrong usage."""
    (tmp_path / "binary.toml").write_bytes(b"seed = \xff")
    with pytest.raises(UsageError, match=r"binary\.toml: is not UTF-8 text \(byte 7\)"):
        toml.build(tmp_path / "binary.toml", {})
