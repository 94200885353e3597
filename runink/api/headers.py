"""Headers that every answer has: what a browser may do with it, and that nothing is kept on the way."""

from __future__ import annotations

from typing import Final

_HTML: Final = "text/html"
# Pages load what we serve and nothing else; what is no page loads nothing at all.
CSP_OF_PAGES: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
CSP_OF_DATA: Final = "default-src 'none'; frame-ancestors 'none'"
_FIXED: Final = {
    "Server": "runink",  # not which version of what, which aiohttp would say
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_YEAR_S: Final = 31_536_000


def standard_headers(content_type: str, *, is_tls: bool) -> dict[str, str]:
    """Return the headers of an answer of a type. What is cached is asked for again each time, and by nobody but who has it."""
    headers = dict(_FIXED)
    is_page = content_type.startswith(_HTML)
    headers["Content-Security-Policy"] = CSP_OF_PAGES if is_page else CSP_OF_DATA
    headers["Cache-Control"] = "private, no-cache"
    if is_tls:
        headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}"
    return headers
