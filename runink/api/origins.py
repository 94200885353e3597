"""Where a browser says that a request comes from: who may read answers across origins (CORS), and which changes are somebody else's page's (CSRF).

    a change with a cookie            is let through if
    Sec-Fetch-Site: same-origin       always: a page cannot forge it
    Sec-Fetch-Site: none              never: a change is not typed into an address bar
    Sec-Fetch-Site: anything else     never
    none, and an Origin               it is one of ours
    neither                           never: every browser of the last years sends one of them with a change

A bearer token is sent by no browser on its own, so requests with one need no such look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
PREFLIGHT_S: Final = 600  # how long a browser may rely on what it was told
_ALLOWED: Final = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Traceparent, X-Request-Id"
_EXPOSED: Final = "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"


def is_from_ours(method: str, headers: Mapping[str, str], ours: frozenset[str]) -> bool:
    """Say whether a request that a cookie vouches for comes from a page of ours. `ours` are origins: `https://runink.example:8443`."""
    if method in SAFE:
        return True
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("Origin")
    return origin is not None and origin in ours


def shared_with(headers: Mapping[str, str], allowed: frozenset[str]) -> dict[str, str]:
    """Return the headers that let a page of another origin read an answer, none for origins that are not allowed. Cookies are never shared."""
    if not allowed:
        return {}
    origin = headers.get("Origin", "")
    shared = {"Vary": "Origin"}
    if origin in allowed:
        shared |= {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _EXPOSED,
        }
    return shared


def preflight(headers: Mapping[str, str], allowed: frozenset[str], methods: str) -> dict[str, str]:
    """Return what a browser is told that asks before another origin's page sends something; nothing if that may not."""
    if headers.get("Origin", "") not in allowed or "Access-Control-Request-Method" not in headers:
        return {}
    return shared_with(headers, allowed) | {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": _ALLOWED,
        "Access-Control-Max-Age": str(PREFLIGHT_S),
    }
