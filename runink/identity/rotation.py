"""Rotation of the keys that the cluster signs with: a value that says which key signs, and which ones are good for checks.

    state       is published, checks   signs   becomes
    upcoming    yes                    no      active, by `rotate`, at the earliest PUBLISHED_AHEAD_S after `announce`
    active      yes                    yes     retiring, when an upcoming one takes its place
    retiring    yes                    no      nothing: it is gone RETIRES_AFTER_S later, and its private half at once

So whoever holds keys for up to PUBLISHED_AHEAD_S knows a key before the first token of it comes, and a key outlives the last token that it has signed: a rotation refuses no token.

A key that was stolen is not rotated but dropped: revoke it (revocations.py) and begin anew with `SigningKeys(fresh)`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from runink.errors import Conflict
from runink.identity.keys import KeyRing, VerificationKey
from runink.identity.signing import SERVICE_ACCOUNT_LIFETIME_S_MAX, SigningKey
from runink.identity.tokens import LEEWAY_S

PUBLISHED_AHEAD_S: Final = 600  # twice what key sets are commonly held for
LAG_S: Final = 60  # how long a member may go on signing that has not heard of a rotation
# The clocks of who rotates, who signs and who checks differ by less than the leeway each.
RETIRES_AFTER_S: Final = SERVICE_ACCOUNT_LIFETIME_S_MAX + LAG_S + 2 * LEEWAY_S


@dataclass(frozen=True, slots=True)
class RetiringKey:
    """The public half of a key that signs no more; `until_s` is when its last token has expired everywhere."""

    key: VerificationKey
    until_s: int


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The cluster's keys. At most one is upcoming; `signs_from_s` says when it may take over, 0 without one."""

    active: SigningKey
    upcoming: SigningKey | None = None
    signs_from_s: int = 0
    retiring: tuple[RetiringKey, ...] = ()

    def announce(self, key: SigningKey, now_s: int) -> SigningKeys:
        """Return the keys with a new one that is published from now on. Raises Conflict (`rotation_under_way`) if there is one already."""
        if self.upcoming is not None:
            raise Conflict(
                "a new signing key is published already and does not sign yet",
                code="rotation_under_way",
                hint=f"it takes over {PUBLISHED_AHEAD_S // 60} minutes after it was made; then the next one can be made",
            )
        assert key.kid not in {one.kid for one in self.usable(now_s)}
        return replace(self, upcoming=key, signs_from_s=now_s + PUBLISHED_AHEAD_S)

    def rotate(self, now_s: int) -> SigningKeys:
        """Return the keys as they are to be now: the upcoming one has taken over if it was published for long enough, and those are gone whose last token has expired."""
        kept = tuple(one for one in self.retiring if one.until_s > now_s)
        if self.upcoming is None or now_s < self.signs_from_s:
            return replace(self, retiring=kept)
        last = RetiringKey(self.active.verification, now_s + RETIRES_AFTER_S)
        return SigningKeys(self.upcoming, retiring=(*kept, last))

    def usable(self, now_s: int) -> tuple[VerificationKey, ...]:
        """Return the keys that are good for checks, and that are published: the one that signs first."""
        own = (self.active,) if self.upcoming is None else (self.active, self.upcoming)
        return (
            *(one.verification for one in own),
            *(one.key for one in self.retiring if one.until_s > now_s),
        )

    def ring(self, now_s: int) -> KeyRing:
        """Return the ring to check the cluster's own tokens by."""
        return KeyRing.of(self.usable(now_s))
