"""Tokens of a program: got for its secret, used until shortly before they end. Pure; who asks for them is the client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from runink.client.requests import Request, request_of
from runink.operations.catalog.tokens import ISSUE

EARLY_S: Final = 30.0  # a call takes some of it, and a member may be behind another


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A service account, `HERD/NAME`, and a secret of it."""

    account: str
    secret: str = field(repr=False)

    def request(self) -> Request:
        """Return what asks for a token."""
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.account,
            "client_secret": self.secret,
        }
        return request_of(ISSUE, {"form": urlencode(fields).encode()})


class ProgramToken:
    """The token that a client has for now."""

    def __init__(self) -> None:
        self._text = ""
        self._until_s = 0.0

    def good(self, refused: str, now_s: float) -> str:
        """Return it if it serves for another call, else an empty text. `refused` is one that was not taken."""
        return self._text if now_s < self._until_s and self._text != refused else ""

    def take(self, issued: Any, now_s: float) -> str:
        """Have the token of an answer from now on, and return it."""
        self._text = issued.access_token
        self._until_s = now_s + max(issued.expires_in - EARLY_S, issued.expires_in / 2)
        return self._text
