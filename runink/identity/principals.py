"""Principals: who asks. One value for people, programs, nodes and slices, whatever has proved who they are.

    kind              name                         proved by
    user              ISSUER:SUBJECT               a token of an OIDC provider
    service account   HERD/NAME                    a token that the cluster has signed
    slice             HERD/RUN/SLICE/ATTEMPT       the same, for that run
    node              NAME                         a certificate of the cluster's authority
    operator          the name of the user         the state folder's socket, which only that user of the machine reaches

A group is ISSUER:GROUP, so that no provider speaks for another's groups.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class PrincipalKind(StrEnum):
    USER = "user"
    SERVICE_ACCOUNT = "service-account"
    SLICE = "slice"
    NODE = "node"
    OPERATOR = "operator"


class Principal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who asks. `token` is the id of the token that proved it (jti), empty without one; `until_s` is when that ends (seconds of the Unix epoch), 0 for never.

    `issued_s` is when that token was made and `key` the id of the key that signed it: what has been revoked is looked up by them, also while a stream lasts.
    `herd` is the herd that it belongs to and cannot leave, whatever is bound to it: empty for users, nodes and operators.
    """

    kind: PrincipalKind
    name: str
    groups: tuple[str, ...] = ()
    herd: str = ""
    token: str = ""
    until_s: int = 0
    issued_s: int = 0
    key: str = ""
    display: str = ""  # what people are shown: a user's e-mail address or name, never trusted

    @property
    def subject(self) -> str:
        """Return it as bindings name it: `user:ISSUER:SUBJECT`, `service-account:HERD/NAME`."""
        return f"{self.kind.value}:{self.name}"

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return all that bindings may name it by: itself, and the groups of a user."""
        if self.kind is not PrincipalKind.USER:
            return (self.subject,)
        return (self.subject, *(f"group:{group}" for group in self.groups))
