"""Where an API answers: three forms of address, and what each of them is trusted for.

https://HOST[:PORT]       TLS 1.3, checked against a CA file or the machine's roots
http://LOOPBACK[:PORT]    this machine only: whoever is on the way would read the token
unix:PATH                 a socket whose file says who may connect
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runink.errors import Invalid

_PORTS: Final = {"https": 443, "http": 80}
_UNIX: Final = "unix:"
_HINT: Final = "write https://HOST:PORT, http://127.0.0.1:PORT or unix:PATH"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect. `path` is a socket's, and then there are neither host nor port. `authority` is a PEM file, or its text, of what is trusted in place of the machine's roots."""

    host: str = ""
    port: int = 0
    is_tls: bool = False
    path: Path | None = None
    authority: Path | str | None = None

    @property
    def authority_text(self) -> str:
        """Return what the header Host says."""
        if self.path is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = _PORTS["https" if self.is_tls else "http"]
        return host if self.port == usual else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.path is not None:
            return f"{_UNIX}{self.path}"
        return f"{'https' if self.is_tls else 'http'}://{self.authority_text}"


def endpoint_of(text: str, *, authority: Path | str | None = None) -> Endpoint:
    """Return the place that an address means. Raises Invalid (`bad_address`)."""
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        if not path or "\0" in path:
            raise _bad(text, "it names no socket")
        return Endpoint(path=Path(path))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _bad(text, str(error)) from None
    if parts.scheme not in _PORTS or not host or any(one.isspace() for one in text):
        raise _bad(text, "it is none of the three forms")
    if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise _bad(text, "it has more than a host and a port")
    is_tls = parts.scheme == "https"
    if not is_tls and not _is_here(host):
        raise _bad(text, "without TLS only this machine is asked")
    return Endpoint(host, _PORTS[parts.scheme] if port is None else port, is_tls, None, authority)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad(text: str, why: str) -> Invalid:
    return Invalid(f"{text[:200]!r} is no address of an API: {why}", code="bad_address", hint=_HINT)
