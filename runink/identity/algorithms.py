"""What tokens may be signed with. Apart from keys, so that who only names an algorithm loads no library that computes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Algorithm(StrEnum):
    """What a token may be signed with: no symmetric algorithm, and what python-jose has of the others."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"


ALGORITHMS: Final = frozenset(Algorithm)
