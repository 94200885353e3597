"""The first administrator: made once, by a word that is shown once, where a cluster begins.

    rna1.SECRET     rna1       what it is, and of which format
                    SECRET     256 random bits, base64url without padding, 43 characters

    shown                                                answer of `redeem`
    another word, or there is none for this cluster      Forbidden `bootstrap_unknown`: both look alike
    later than LIFETIME_S after it was made              Forbidden `bootstrap_expired`
    for the first time                                   the record, to be written together with the binding
    again, for the same subject, within REPEAT_S         the record as it is: the answer was lost
    again otherwise                                      Forbidden `bootstrap_used`

An administrator is a person, or a group of them.  A program is of a herd and holds nothing of the cluster, whatever is bound to it, so the word would be lost on it.

Whoever redeems writes the record back only if nobody has meanwhile.  An operator at a member's socket may everything, so a word that has expired or was lost shuts nobody out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from runink.errors import Forbidden, Invalid
from runink.identity.principals import PrincipalKind
from runink.identity.roles import CLUSTER_ADMIN, SUBJECT_MAX, Binding, RoleOf
from runink.identity.vocabulary import EVERYTHING
from runink.names import BindingName, provider_id

PREFIX: Final = "rna1"
SECRET_BYTES: Final = 32
LIFETIME_S: Final = 3600
REPEAT_S: Final = 600
RECORD: Final = "administrator"  # under /bootstrap/
BINDING: Final = BindingName("first-administrator")
_WORD: Final = re.compile(rf"{PREFIX}\.[A-Za-z0-9_-]{{43}}")


class Made(msgspec.Struct, frozen=True):
    """For whom the word was used, and when (seconds of the Unix epoch)."""

    subject: str
    at_s: int


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of the word: a hash of it, until when it is good, and for whom it was used."""

    sha256: str
    until_s: int
    used: Made | None = None


def make_word(entropy: bytes, *, now_s: int) -> tuple[str, Bootstrap]:
    """Make a word of 32 random bytes: what people are shown, and what is kept."""
    assert len(entropy) == SECRET_BYTES
    word = f"{PREFIX}.{base64.urlsafe_b64encode(entropy).rstrip(b'=').decode()}"
    return word, Bootstrap(sha256=_hash(word), until_s=now_s + LIFETIME_S)


def redeem(kept: Bootstrap | None, word: str, subject: str, *, now_s: int) -> Bootstrap:
    """Return the record as it is to be: it says for whom the word was used. Raises Forbidden as the table above says, Invalid (`invalid_subject`)."""
    check_subject(subject)
    shown = word.strip()
    known = kept.sha256 if kept is not None else _hash("")
    is_right = hmac.compare_digest(known, _hash(shown)) and _WORD.fullmatch(shown)
    if kept is None or not is_right:
        raise Forbidden(
            "this word makes nobody an administrator here",
            code="bootstrap_unknown",
            hint="it was printed once by runi server --init; who has the machine of a member binds roles by its socket",
        )
    if kept.used is not None:
        if kept.used.subject == subject and now_s < kept.used.at_s + REPEAT_S:
            return kept
        raise Forbidden(
            "the first administrator was made already",
            code="bootstrap_used",
            hint="an administrator binds roles to others; if none of you has used it, somebody else has: look at the binding first-administrator",
        )
    if now_s >= kept.until_s:
        raise Forbidden(
            "this word has expired",
            code="bootstrap_expired",
            hint="who has the machine of a member binds roles by its socket",
        )
    return changed(kept, used=Made(subject, now_s))


def binding_of(kept: Bootstrap) -> Binding:
    """Return the binding that makes who used the word an administrator."""
    assert kept.used is not None
    return Binding(
        name=BINDING,
        herd=EVERYTHING,
        role=CLUSTER_ADMIN,
        role_of=RoleOf.BUILT_IN,
        subjects=(kept.used.subject,),
        made_by="bootstrap",
        made_ms=kept.used.at_s * 1000,
        description="made by the word that runi server --init has printed",
    )


def check_subject(subject: str) -> None:
    """Raise Invalid (`invalid_subject`) unless a subject is a person or a group of some provider."""
    kind, _, name = subject.partition(":")
    issuer, _, rest = name.partition(":")
    good = 0 < len(subject) <= SUBJECT_MAX and subject.isprintable() and subject == subject.strip()
    if kind == PrincipalKind.SERVICE_ACCOUNT.value:
        raise Invalid(
            "a program cannot administer a cluster: it belongs to a herd",
            code="invalid_subject",
            hint="name a person, user:ISSUER:SUBJECT, or a group of them, group:ISSUER:GROUP",
        )
    if not good or kind not in {PrincipalKind.USER.value, "group"} or not rest:
        raise Invalid(
            f"{subject[:SUBJECT_MAX]!r} is nobody who can administer a cluster",
            code="invalid_subject",
            hint="user:ISSUER:SUBJECT, as single sign-on calls that person, or group:ISSUER:GROUP",
        )
    provider_id(issuer)


def _hash(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
