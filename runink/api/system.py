"""The operations of the server itself, which need no cluster and no caller: whether it lives, which version it is, and what can be asked."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import msgspec

from runink import __version__
from runink.api.openapi import document
from runink.api.page import page
from runink.operations.answers import Content, Kind
from runink.operations.declarations import JSON, Asked, Method, Operation, Table


class Nothing(Asked, frozen=True):
    """Asks for nothing in particular."""


class Health(msgspec.Struct, frozen=True):
    """Whether the server answers. `stopping`: it ends what is under way, and takes nothing new."""

    status: str


class Version(msgspec.Struct, frozen=True):
    """What runs. `api` is the version in the path."""

    version: str
    api: str


HEALTH: Final = Operation(
    name="system.health",
    method=Method.GET,
    path="/health",
    request=Nothing,
    answer=Health,
    is_public=True,
    summary="Say whether the server answers.",
    description="It says nothing of the cluster behind it: a balancer asks it to know where requests may go.",
)
VERSION: Final = Operation(
    name="system.version",
    method=Method.GET,
    path="/version",
    request=Nothing,
    answer=Version,
    is_public=True,
    summary="Say which version runs.",
)
DOCUMENT: Final = Operation(
    name="system.document",
    method=Method.GET,
    path="/openapi.json",
    request=Nothing,
    kind=Kind.CONTENT,
    media_type=JSON,
    is_public=True,
    summary="Return the OpenAPI document.",
)
DOCS: Final = Operation(
    name="system.docs",
    method=Method.GET,
    path="/docs",
    request=Nothing,
    kind=Kind.CONTENT,
    media_type="text/html; charset=utf-8",
    is_public=True,
    summary="Show what can be asked, to people.",
)
STYLE: Final = Operation(
    name="system.style",
    method=Method.GET,
    path="/docs/style.css",
    request=Nothing,
    kind=Kind.CONTENT,
    media_type="text/css; charset=utf-8",
    is_public=True,
    summary="Return the style of that page.",
)
ICON: Final = Operation(
    name="system.icon",
    method=Method.GET,
    path="/docs/icon.svg",
    request=Nothing,
    kind=Kind.CONTENT,
    media_type="image/svg+xml",
    is_public=True,
    summary="Return the sign of that page.",
)
SYSTEM: Final = (HEALTH, VERSION, DOCUMENT, DOCS, STYLE, ICON)

# Three steps in a row. Browsers ask for a sign of every page, and would write of an error where there is none.
_ICON: Final = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#777" stroke-width="2"><path d="M7 12h3m4 0h3"/><circle cx="4" cy="12" r="3"/><circle cx="12" cy="12" r="2"/><circle cx="20" cy="12" r="3"/></svg>'


class System:
    """Answers the operations of the server itself. What it shows is made once."""

    def __init__(self, table: Table) -> None:
        made = document(table, version=__version__)
        style = files("runink.api").joinpath("docs.css").read_bytes()
        self.is_stopping = False
        self._contents = {
            DOCUMENT.name: _content(DOCUMENT, msgspec.json.encode(made)),
            DOCS.name: _content(DOCS, page(made).encode()),
            STYLE.name: _content(STYLE, style),
            ICON.name: _content(ICON, _ICON),
        }

    def answer(self, operation: Operation) -> Any:
        """Return the answer to one of SYSTEM."""
        if operation is HEALTH:
            return Health("stopping" if self.is_stopping else "ok")
        if operation is VERSION:
            return Version(__version__, "v1")
        return self._contents[operation.name]


def _content(operation: Operation, content: bytes) -> Content:
    return Content(operation.media_type, content, sha256(content).hexdigest()[:16])
