"""What is read of a request's head: headers that may stand once, the query, the token. Of its body: `bodies.py`.

Nothing here is guessed: what stands twice, is too long or of another kind is refused.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from runink.errors import Invalid
from runink.operations.calls import Unauthenticated
from runink.operations.declarations import Operation
from runink.operations.decoding import Pairs

TOKEN_BYTES_MAX: Final = 8 << 10
QUERY_NAMES_MAX: Final = 64
_BEARER: Final = re.compile(r"[Bb]earer +(?P<token>[A-Za-z0-9._~+/-]+=*) *")
_BASIC: Final = re.compile(r"[Bb]asic +(?P<shown>[A-Za-z0-9+/]{1,1024}=*) *")


def header(request: web.BaseRequest, name: str) -> str:
    """Return a header, empty where there is none. Raises Invalid (`bad_request`) if it stands twice."""
    values = request.headers.getall(name, ())
    if len(values) > 1:
        raise Invalid(f"the header {name} stands {len(values)} times", code="bad_request")
    return values[0] if values else ""


def check_headers(request: web.BaseRequest, operation: Operation) -> None:
    """Raise Invalid (`bad_request`) for a header that the caller relies on and that has no effect here."""
    if request.method in {"GET", "HEAD"}:
        return
    for name, has_effect in (
        ("Idempotency-Key", operation.is_idempotent),
        ("If-Match", operation.is_conditional),
    ):
        if name in request.headers and not has_effect:
            raise Invalid(
                f"{name} has no effect on {operation.name}",
                code="bad_request",
                hint="leave it out",
            )


def token_of(request: web.BaseRequest) -> str:
    """Return the token that a request bears, empty where it bears none. Raises Unauthenticated for any other scheme."""
    said = header(request, "Authorization")
    if not said:
        return ""
    match = _BEARER.fullmatch(said)
    if match is None or len(match["token"]) > TOKEN_BYTES_MAX:
        raise Unauthenticated(
            "the header Authorization bears no token", hint="Authorization: Bearer TOKEN"
        )
    return match["token"]


def basic_of(request: web.BaseRequest) -> str:
    """Return what a request shows by the scheme Basic, as it came; empty where it shows nothing so."""
    match = _BASIC.fullmatch(header(request, "Authorization"))
    return match["shown"] if match is not None else ""


def query_of(request: web.BaseRequest) -> Pairs:
    """Return the query as names and texts, in order. Raises Invalid (`bad_request`)."""
    raw = request.rel_url.raw_query_string
    try:
        return parse_qsl(
            raw,
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=QUERY_NAMES_MAX,
        )
    except ValueError:
        raise Invalid(
            "the query cannot be read",
            code="bad_request",
            hint=f"name=value, joined by &, UTF-8 in %XX, at most {QUERY_NAMES_MAX}",
        ) from None
