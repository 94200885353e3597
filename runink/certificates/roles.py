"""Roles of nodes, and the names that they are verified by: what is spoken of where no certificate is read, because the library for that takes a tenth of a second to load."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NewType

from runink.names import NodeId

Fingerprint = NewType("Fingerprint", str)  # of a key: SHA-256 of its SPKI, 64 hexadecimal digits
Serial = NewType("Serial", str)  # of a certificate: 32 hexadecimal digits

DOMAIN: Final = "runink.internal"  # .internal is reserved for private use: no resolver leads there
CONTROL: Final = f"control.{DOMAIN}"


class NodeRole(StrEnum):
    """What a node is to the others: it decides which messages it may send."""

    SERVER = "server"  # a member of the Barn
    AGENT = "agent"  # runs slices
    IDENTITY = "identity"  # checks tokens, standing alone
    CLIENT = "client"  # a program that shows a certificate in place of a token


def dns_names(role: NodeRole, name: NodeId) -> tuple[str, ...]:
    """Return the names that who connects may verify, the node's own first."""
    own = f"{name}.{role.value}.{DOMAIN}"
    return (own, CONTROL) if role is NodeRole.SERVER else (own,)
