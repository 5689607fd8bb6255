"""What docker-compose.yml, the Dockerfile and deploy/env.example declare."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.compose_file import ROOT, MissingVariableError, argv, services

ENVIRON = {
    "ROWRACE_POSTGRES_PASSWORD": "secret-of-postgres",
    "ROWRACE_REDIS_PASSWORD": "secret-of-redis",
    "ROWRACE_FLOWER_AUTH": "watcher:secret-of-flower",
}

NAMES = ["postgres", "redis", "worker", "orchestrator", "flower"]
OURS = ["worker", "orchestrator", "flower"]


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    """The services with all passwords set and everything else at its default."""
    return services(ENVIRON)


def test_the_five_services_are_declared(declared: dict[str, Any]) -> None:
    """The file declares the five services and no other."""
    assert sorted(NAMES) == sorted(declared)


@pytest.mark.parametrize("name", sorted(ENVIRON))
def test_a_password_must_be_set(name: str) -> None:
    """Compose refuses to start without each of the passwords, and says where to set it."""
    environ = {key: value for key, value in ENVIRON.items() if key != name}
    with pytest.raises(MissingVariableError, match=rf"{name}: .*\.env, as deploy/env\.example says"):
        services(environ)


@pytest.mark.parametrize("name", NAMES)
def test_no_password_is_on_a_command_line(declared: dict[str, Any], name: str) -> None:
    """Neither a command nor a health check contains a secret: both are in the process list."""
    shown = [*argv(declared[name]), *declared[name]["healthcheck"]["test"]]
    assert [] == [word for word in shown if "secret-of" in word]


@pytest.mark.parametrize("name", NAMES)
def test_ports_are_bound_to_loopback(declared: dict[str, Any], name: str) -> None:
    """No port is published on another address than 127.0.0.1."""
    assert [] == [port for port in declared[name].get("ports", []) if not port.startswith("127.0.0.1:")]


@pytest.mark.parametrize("name", NAMES)
def test_each_service_has_a_health_check(declared: dict[str, Any], name: str) -> None:
    """Every service says how its health is looked at."""
    assert declared[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("worker", {"postgres", "redis"}),
        ("orchestrator", {"postgres", "redis", "worker"}),
        ("flower", {"redis"}),
    ],
)
def test_services_wait_for_healthy_ones(declared: dict[str, Any], name: str, needed: set[str]) -> None:
    """What a service needs must be healthy before it starts."""
    conditions = {other: each["condition"] for other, each in declared[name]["depends_on"].items()}
    assert dict.fromkeys(needed, "service_healthy") == conditions


def test_redis_keeps_every_message(declared: dict[str, Any]) -> None:
    """Redis evicts nothing and writes an append-only file."""
    script = argv(declared["redis"])[-1]
    assert re.search(r"^maxmemory-policy noeviction$", script, re.MULTILINE)
    assert re.search(r"^appendonly yes$", script, re.MULTILINE)
    assert re.search(r"^requirepass \$REDISCLI_AUTH$", script, re.MULTILINE)


def test_the_worker_can_be_scaled(declared: dict[str, Any]) -> None:
    """Nothing of the worker service can exist only once: no name, no port, no shared journal folder."""
    worker = declared["worker"]
    assert ["celery", "-A", "worker", "worker"] == argv(worker)[:4]
    assert set() == {"container_name", "hostname", "ports"} & set(worker)
    assert [worker["environment"]["ROWRACE_JOURNAL_DIR"]] == worker["volumes"]


def test_the_orchestrator_expects_the_workers_that_are_started() -> None:
    """One variable says how many workers are started and how many must answer."""
    declared = services({**ENVIRON, "ROWRACE_WORKERS": "5"})
    words = argv(declared["orchestrator"])
    assert "5" == declared["worker"]["deploy"]["replicas"] == words[words.index("--expect-nodes") + 1]
    assert "external" == words[words.index("--workers") + 1]


@pytest.mark.parametrize("name", OURS)
def test_own_services_run_the_image_without_privileges(declared: dict[str, Any], name: str) -> None:
    """Worker, orchestrator and Flower run from the one image, with no capability."""
    service = declared[name]
    assert (".", ["ALL"], ["no-new-privileges:true"]) == (
        service["build"],
        service["cap_drop"],
        service["security_opt"],
    )


def test_named_volumes_are_declared(declared: dict[str, Any]) -> None:
    """Each named volume is declared at the file's end."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = {entry.split(":")[0] for each in declared.values() for entry in each.get("volumes", []) if ":" in entry}
    assert used == set(re.findall(r"^  (\w+):$", text.partition("\nvolumes:\n")[2], re.MULTILINE))


def test_the_example_environment_names_every_variable() -> None:
    """deploy/env.example has each variable of the compose file, and sets no password."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    lines = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    assert set(re.findall(r"\$\{(\w+)", compose)) == set(lines)
    assert ["", "", ""] == [lines[name] for name in sorted(ENVIRON)]


def test_the_image_runs_as_an_ordinary_user() -> None:
    """The Dockerfile's last USER is not root, and it comes before the command."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert ["rowrace"] == users
    assert lines.index("USER rowrace") < next(at for at, line in enumerate(lines) if line.startswith("CMD"))


def test_what_the_image_copies_exists_and_is_let_through() -> None:
    """Every source of a COPY exists, and .dockerignore lets it through."""
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    passed = re.findall(r"^!([^/\n]+)", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sources == set(passed)
    assert [] == [source for source in sources if not (ROOT / source).exists()]
