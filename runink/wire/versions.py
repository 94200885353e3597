"""Versions of the protocol: the highest that both sides speak counts."""

from __future__ import annotations

from runink.errors import ProtocolViolation, Refused
from runink.wire.messages import VERSION_MAX, VERSION_MIN, Hello


def agreed_version(hello: Hello, node: str) -> int:
    """Return the version that counts between who says hello and the node. Raises Refused (`version_mismatch`)."""
    version = min(hello.version_max, VERSION_MAX)
    if version < max(hello.version_min, VERSION_MIN):
        raise Refused(
            f"{hello.node} speaks versions {hello.version_min} to {hello.version_max} of the protocol, "
            f"{node} {VERSION_MIN} to {VERSION_MAX}",
            code="version_mismatch",
            hint="bring both to the same release",
        )
    return version


def check_offered(version: int) -> None:
    """Raise ProtocolViolation (`bad_version`) for a version that was not among those that we have offered."""
    if not VERSION_MIN <= version <= VERSION_MAX:
        raise ProtocolViolation(f"version {version} was not offered", code="bad_version")
