"""URLs of services as they read behind a proxy on loopback."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from orchestrator.errors import UsageError
from orchestrator.services.urls import mask

_PORTS: Final = {"db": 5432, "broker": 6379}
_LOOPBACK: Final = "127.0.0.1"
#: Parameters of a libpq URL that say where to, and so are replaced.
_WHERE: Final = ("host", "hostaddr", "port")


def target(service: str, url: str) -> tuple[str, int]:
    """Host and port where a service is; raises UsageError where no proxy can lead there."""
    parts, given = urlsplit(url), _where(url)
    if parts.scheme == "rediss":
        raise UsageError(f"Network faults can't strike a broker that speaks TLS ({mask(url)}): leave them out.")
    if "," in parts.netloc.rpartition("@")[2] or any("," in value for value in given.values()):
        raise UsageError(f"Network faults need one host, and {mask(url)} names several: leave all but one away.")
    if "service" in dict(parse_qsl(parts.query)):
        raise UsageError(f"Network faults need to know the host, and {mask(url)} names a service: write its host.")
    host = unquote(given.get("hostaddr") or given.get("host") or parts.hostname or "")
    if not host or host.startswith(("/", "@")):
        raise UsageError(f"Network faults need a host, and {mask(url)} leads to a Unix socket: write host and port.")
    return host, _port(service, given.get("port") or parts.port, url)


def through(service: str, url: str, port: int) -> str:
    """The same URL, leading to a port on loopback; libpq keeps the host's name, by which TLS knows the server."""
    parts, given = urlsplit(url), _where(url)
    user, at, _ = parts.netloc.rpartition("@")
    query = "&".join(each for each in parts.query.split("&") if each and each.partition("=")[0] not in _WHERE)
    host = given.get("host") or parts.hostname or ""
    if service == "db" and host not in ("", _LOOPBACK, "localhost", "::1"):
        query = "&".join(filter(None, (query, f"hostaddr={_LOOPBACK}")))
        shown = f"[{host}]" if ":" in host else quote(host, safe="%")
    else:
        shown = _LOOPBACK
    return urlunsplit((parts.scheme, f"{user}{at}{shown}:{port}", parts.path, query, parts.fragment))


def _where(url: str) -> dict[str, str]:
    """What a URL's parameters say of where to: libpq's go before what stands in front of them."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgres"):
        return {}
    return {name: value for name, value in parse_qsl(parts.query) if name in _WHERE}


def _port(service: str, given: str | int | None, url: str) -> int:
    try:
        return int(given) if given else _PORTS[service]
    except ValueError:
        raise UsageError(f"The port in {mask(url)} is no number: correct it.") from None
