"""How much is read into memory where the caller says nothing."""

from __future__ import annotations

from typing import Final

from runink.errors import Refused

CONTENT_BYTES_MAX: Final = 64 << 20


def too_long(bytes_max: int) -> Refused:
    """Return the error of content that is larger than was allowed."""
    return Refused(
        f"the content has more than {bytes_max} bytes",
        code="answer_too_large",
        hint="read it in pieces, or allow more with bytes_max",
    )
