"""What is said where nobody knows who asks: one refusal for every bad token, and the precise reason apart from it, for the log."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from runink.errors import Refused


class Fault(StrEnum):
    """What is wrong with a token. A word of the log, and of callers: UNKNOWN_KEY is why an issuer's keys are fetched anew."""

    SIZE = "size"
    FORM = "form"  # not three segments of canonical base64url
    DOCUMENT = "document"  # its header or claims are no object of strict JSON
    HEADER = "header"  # a member that is not understood, or not a text
    TYPE = "type"
    ALGORITHM = "algorithm"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    SUBJECT = "subject"
    CLAIM = "claim"  # one that is missing, or of the wrong type
    EXPIRED = "expired"
    NOT_YET = "not yet"
    LIFETIME = "lifetime"
    NONCE = "nonce"
    PARTY = "authorized party"
    UNKNOWN_KEY = "unknown key"
    SIGNATURE = "signature"
    REVOKED = "revoked"
    GROUPS = "groups"  # too many, too long, or not texts


class Unauthenticated(Refused):
    """A token proves nobody: HTTP answers 401, the wire closes.

    Text and hint are the same for every reason: who tries tokens learns nothing. `fault` and `detail` are for the log of whoever refused; neither crosses the wire.
    """

    default_code: ClassVar[str] = "unauthenticated"

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(
            "the token was not accepted",
            hint="get a new one; why this one was refused stands in the log of whoever refused it",
        )
        self.fault = fault
        self.detail = detail
