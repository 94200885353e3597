"""Types of the names that things go by, and what such a name may look like.

A name that people choose (herd, pipeline, node) is 1 to 63 characters of lower-case letters, digits, `-` and `_`, and starts with a
letter: it is a part of a Barn key, a file name and an address, so it needs no quoting anywhere.
Ids that we make sort by time: 48 bits of milliseconds and 80 random bits in Crockford's base 32 (the ULID layout).
"""

from __future__ import annotations

import re
from typing import Final, NewType

from runink.errors import Invalid

NodeId = NewType("NodeId", str)
HerdName = NewType("HerdName", str)
PipelineName = NewType("PipelineName", str)
RunId = NewType("RunId", str)
SliceId = NewType("SliceId", str)  # within its run: "bronze", "silver.join"
BundleHash = NewType("BundleHash", str)
RoleName = NewType("RoleName", str)
BindingName = NewType("BindingName", str)
AccountName = NewType("AccountName", str)  # of a program, within its herd
ProviderId = NewType("ProviderId", str)  # who says who people are: "google"

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _checked(text: str, what: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise Invalid(
        f"{text!r} is not a name of a {what}",
        code="invalid_name",
        hint="1 to 63 lower-case letters, digits, - and _, the first a letter",
    )


def herd_name(text: str) -> HerdName:
    """Return `text` as a herd's name, or raise Invalid."""
    return HerdName(_checked(text, "herd"))


def node_id(text: str) -> NodeId:
    """Return `text` as a node's id, or raise Invalid."""
    return NodeId(_checked(text, "node"))


def pipeline_name(text: str) -> PipelineName:
    """Return `text` as a pipeline's name, or raise Invalid."""
    return PipelineName(_checked(text, "pipeline"))


def role_name(text: str) -> RoleName:
    """Return `text` as a role's name, or raise Invalid."""
    return RoleName(_checked(text, "role"))


def binding_name(text: str) -> BindingName:
    """Return `text` as a binding's name, or raise Invalid."""
    return BindingName(_checked(text, "binding"))


def account_name(text: str) -> AccountName:
    """Return `text` as a service account's name, or raise Invalid."""
    return AccountName(_checked(text, "service account"))


def provider_id(text: str) -> ProviderId:
    """Return `text` as the id of a provider of identities, or raise Invalid."""
    return ProviderId(_checked(text, "provider"))


def run_id(*, now_ms: int, entropy: bytes) -> RunId:
    """Make a run's id from the time (milliseconds of the Unix epoch) and 10 random bytes; ids sort by time."""
    assert len(entropy) == 10
    assert 0 <= now_ms < 1 << 48
    number = (now_ms << 80) | int.from_bytes(entropy, "big")
    return RunId("".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)))
