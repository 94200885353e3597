"""A refusal as an answer: what the cores of this package say no with, for people and for the audit trail alike."""

from __future__ import annotations

import msgspec

from runink.errors import Forbidden


class Denied(msgspec.Struct, frozen=True):
    """Why somebody does not get what they asked for. `code` is stable; text and hint hold no secret."""

    code: str
    text: str
    hint: str = ""

    def error(self) -> Forbidden:
        """Return it as the error that crosses the wire."""
        return Forbidden(self.text, code=self.code, hint=self.hint)
