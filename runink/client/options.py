"""What both clients are made of, and how a call of theirs becomes a request."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from runink.client.calls import Patience
from runink.client.endpoints import Endpoint, endpoint_of
from runink.client.names import Names
from runink.client.requests import Request, request_of
from runink.client.talks import Talks
from runink.operations.declarations import Operation

_PEM: Final = "-----BEGIN"
_KEY_BYTES: Final = 24
_dice = random.SystemRandom().random


@dataclass(frozen=True, slots=True)
class Setup:
    """Where to ask, what can be asked, and how long to wait."""

    endpoint: Endpoint
    names: Names
    patience: Patience

    def talks(self, clock: Callable[[], float], *, is_nobody: bool = False) -> Talks:
        """Return what talks with the endpoint."""
        return Talks(self.endpoint, clock, _dice, is_nobody)

    def patience_of(self, within_s: float | None) -> Patience:
        """Return how long one call waits."""
        return self.patience if within_s is None else replace(self.patience, within_s=within_s)


def place_of(address: str | Endpoint, authority: Path | str | None) -> Endpoint:
    """Return where to ask. Raises Invalid (`bad_address`)."""
    if isinstance(address, Endpoint):
        return address
    is_text = isinstance(authority, str) and authority.lstrip().startswith(_PEM)
    trusted = authority if authority is None or is_text else Path(authority)
    return endpoint_of(address, authority=trusted)


def prepared(
    operation: Operation, fields: Mapping[str, Any], *, if_match: Any, idempotency_key: str
) -> Request:
    """Return the request of a call. What the server would make twice gets a key, so that it is one call however often it is sent."""
    key = idempotency_key
    if operation.is_idempotent and not key:
        key = secrets.token_urlsafe(_KEY_BYTES)
    return request_of(operation, fields, if_match=if_match, key=key)
