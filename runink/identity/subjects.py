"""Subjects, as bindings name them, as the principals that they stand for: to ask what somebody else may."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runink.errors import Invalid
from runink.identity.principals import Principal, PrincipalKind

_GROUP: Final = "group:"
_HINT: Final = "user:ISSUER:SUBJECT, group:ISSUER:GROUP or service-account:HERD/NAME"


def principal_named(subject: str, groups: Iterable[str] = ()) -> Principal:
    """Return who a subject stands for. A group stands for somebody who is in it and is named by no binding.

    Raises Invalid (`bad_subject`).
    """
    kind, _, name = subject.partition(":")
    theirs = tuple(_group(one) for one in groups)
    match kind:
        case PrincipalKind.USER:
            issuer, colon, who = name.partition(":")
            if issuer and colon and who:
                return Principal(PrincipalKind.USER, name, theirs)
        case PrincipalKind.SERVICE_ACCOUNT if not theirs:
            herd, slash, account = name.partition("/")
            if herd and slash and account:
                return Principal(PrincipalKind.SERVICE_ACCOUNT, name, herd=herd)
        case "group":
            group = _group(subject)
            issuer = group.partition(":")[0]
            # No user has an empty name, so nothing but the groups speaks of this one.
            return Principal(PrincipalKind.USER, f"{issuer}:", (group, *theirs))
    raise _no_subject(subject)


def _group(text: str) -> str:
    group = text.removeprefix(_GROUP)
    issuer, colon, name = group.partition(":")
    if group == text or not (issuer and colon and name):
        raise _no_subject(text)
    return group


def _no_subject(text: str) -> Invalid:
    return Invalid(f"{text!r} is no subject", code="bad_subject", hint=_HINT)
