"""Who a verified token speaks for: from claims to a Principal.

A provider's claims are named by paths, since each has its own: `groups`, Keycloak's `realm_access.roles`, Auth0's `https://example.org/groups`.  What a provider says is always prefixed with the issuer's
id, a name of ours, so one provider never speaks for another's people or groups, nor for the cluster's own principals, whose kind differs.

Groups are refused whole if anything about them is wrong, and never cut: a binding may deny something to the group that would have been left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runink.errors import Invalid
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.signing import service_account_of, slice_of
from runink.identity.tokens import TEXT_CHARS_MAX, Claims, is_id

GROUPS_MAX: Final = 256  # a token of 8 KiB holds few more
DISPLAY_CHARS_MAX: Final = 100
PATH_PARTS_MAX: Final = 8

ClaimPath = tuple[str, ...]
_ISSUER_ID: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def claim_path(text: str) -> ClaimPath:
    """Return the path that a text of a configuration means: members divided by dots, or one claim that is named by a URI. Raises Invalid (`invalid_claim_path`)."""
    path = (text,) if "://" in text else tuple(text.split("."))
    if not all(path) or len(path) > PATH_PARTS_MAX or len(text) > TEXT_CHARS_MAX:
        raise Invalid(
            f"{text!r} is no path of a claim",
            code="invalid_claim_path",
            hint="the names of members with dots between them, such as realm_access.roles",
        )
    return path


class ClaimMapping(msgspec.Struct, frozen=True, kw_only=True):
    """What an issuer's claims mean. `issuer_id` is what the cluster calls it; `display` are claims in order, the first that is a text is shown; without `groups` nobody has any. Whoever makes one of a configuration has checked that before."""

    issuer_id: str
    name: ClaimPath = ("sub",)
    display: tuple[ClaimPath, ...] = (("email",), ("preferred_username",), ("name",))
    groups: ClaimPath = ("groups",)

    def __post_init__(self) -> None:
        assert _ISSUER_ID.fullmatch(
            self.issuer_id
        )  # it holds no colon, so ISSUER:NAME has one meaning
        assert self.name


def user_of(claims: Claims, mapping: ClaimMapping) -> Principal:
    """Return the user that a verified token of a provider speaks for. Raises Unauthenticated if it has no name, or groups that are none."""
    name = _at(claims.members, mapping.name)
    if not isinstance(name, str) or not is_id(name):
        raise Unauthenticated(Fault.SUBJECT, f"{'.'.join(mapping.name)} is no short printable text")
    return Principal(
        kind=PrincipalKind.USER,
        name=f"{mapping.issuer_id}:{name}",
        groups=tuple(f"{mapping.issuer_id}:{group}" for group in _groups(claims, mapping.groups)),
        token=claims.token_id,
        until_s=claims.expires_s,
        issued_s=claims.issued_s,
        key=claims.key_id,
        display=_display(claims, mapping),
    )


def service_account_principal(claims: Claims) -> Principal:
    """Return the service account that a verified token of the cluster speaks for. Raises Unauthenticated if the token's parts do not agree."""
    token = service_account_of(claims)
    return _own(PrincipalKind.SERVICE_ACCOUNT, token.subject, token.herd, claims)


def slice_principal(claims: Claims) -> Principal:
    """Return the attempt of a slice that a verified token of the cluster speaks for; whether it is the latest, and where, `slice_of` tells. Raises Unauthenticated if the token's parts do not agree."""
    token = slice_of(claims)
    return _own(PrincipalKind.SLICE, token.subject, token.herd, claims)


def _own(kind: PrincipalKind, name: str, herd: str, claims: Claims) -> Principal:
    return Principal(
        kind=kind,
        name=name,
        herd=herd,
        token=claims.token_id,
        until_s=claims.expires_s,
        issued_s=claims.issued_s,
        key=claims.key_id,
    )


def _at(members: Mapping[str, Any], path: ClaimPath) -> Any:
    """Return what stands at a path, nothing if nothing does."""
    found: Any = members
    for part in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _groups(claims: Claims, path: ClaimPath) -> list[str]:
    if not path:
        return []
    elsewhere = claims.members.get("_claim_names")
    if isinstance(elsewhere, Mapping) and path[0] in elsewhere:
        # OpenID Connect Core, 5.6.2; Entra ID does so with who is in more than 200.
        raise Unauthenticated(Fault.GROUPS, "the provider keeps them elsewhere: there are too many")
    found = _at(claims.members, path)
    if found is None:
        return []
    listed = found.split() if isinstance(found, str) else found
    if not isinstance(listed, list):
        raise Unauthenticated(Fault.GROUPS, "they are neither a text nor a list")
    if len(listed) > GROUPS_MAX:
        raise Unauthenticated(Fault.GROUPS, f"{len(listed)} of them, of at most {GROUPS_MAX}")
    for one in listed:
        if not isinstance(one, str) or not is_id(one):
            raise Unauthenticated(Fault.GROUPS, "one is no short printable text")
    return sorted(set(listed))


def _display(claims: Claims, mapping: ClaimMapping) -> str:
    for path in mapping.display:
        found = _at(claims.members, path)
        if isinstance(found, str) and found and found.isprintable():
            return found[:DISPLAY_CHARS_MAX]
    return ""
