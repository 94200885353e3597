"""Tokens that were checked a moment ago: what a signature costs is paid once, and all else is looked at each time.

    of a token                                    is remembered    counts again only while
    its form, its claims, who signed it           yes              the policy is the very same, and the ring has the very same key under that id
    its times                                     no               -
    what is revoked, roles, bindings, accounts    no, elsewhere    -

So what is remembered needs no one to end it: keys that were read anew, a key that was cut, a provider that was taken out or has other settings are other values, and then a token is checked as if it had never been
seen.  `CheckedTokens.check` returns or raises what `check` (tokens.py) would, for whatever token, ring, policy and time: `tests/property/test_checked_token_laws.py` holds one against the other.

Only good tokens are remembered, by a digest: who reads this memory finds claims, and nothing to be let in with.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol

from runink.identity.keys import KeyRing, VerificationKey
from runink.identity.tokens import (
    TOKEN_CHARS_MAX,
    Claims,
    TokenPolicy,
    UnverifiedToken,
    check,
    check_times,
    read,
)

CHECKED_MAX: Final = 4_096  # tokens that are in use at one member
CHECKED_CHARS_MAX: Final = 4 << 20  # of them all; their claims are some times that in memory


class Check(Protocol):
    """Says whether a token is good, as `check` of tokens.py does."""

    def __call__(
        self, token: UnverifiedToken, ring: KeyRing, policy: TokenPolicy, *, now_s: int
    ) -> Claims:
        """Return what the token says. Raises Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True)
class _Checked:
    header: Mapping[str, Any]
    claims: Claims
    key: VerificationKey
    policy: TokenPolicy
    chars: int


class CheckedTokens:
    """One for a member. At most so many tokens are remembered, of so many characters together; the ones that were used the longest ago go first."""

    def __init__(
        self, *, checked_max: int = CHECKED_MAX, chars_max: int = CHECKED_CHARS_MAX
    ) -> None:
        assert checked_max > 0
        self._checked_max = checked_max
        self._chars_max = chars_max
        self._chars = 0
        self._checked: OrderedDict[bytes, _Checked] = OrderedDict()

    def __len__(self) -> int:
        return len(self._checked)

    def read(self, token: str) -> UnverifiedToken:
        """Take a token apart, as `read` of tokens.py does. Raises Unauthenticated."""
        if len(token) <= TOKEN_CHARS_MAX:
            found = self._checked.get(_digest(token))
            if found is not None:
                return UnverifiedToken(token, found.header, b"", found.claims.members)
        return read(token)

    def check(
        self, token: UnverifiedToken, ring: KeyRing, policy: TokenPolicy, *, now_s: int
    ) -> Claims:
        """Return what the token says, if it is good now. Raises Unauthenticated."""
        digest = _digest(token.text)
        found = self._checked.get(digest)
        if found is None:
            claims = check(token, ring, policy, now_s=now_s)
        elif found.policy is policy and _key(ring, found) is found.key:
            check_times(found.claims, policy, now_s)
            self._checked.move_to_end(digest)
            return found.claims
        else:
            claims = check(read(token.text), ring, policy, now_s=now_s)
            self._forget(digest)
        self._remember(digest, token, claims, ring, policy)
        return claims

    def _remember(
        self,
        digest: bytes,
        token: UnverifiedToken,
        claims: Claims,
        ring: KeyRing,
        policy: TokenPolicy,
    ) -> None:
        key = ring.find(claims.key_id, token.header["alg"])
        assert key is not None, "a token is good by a key of the ring"
        self._checked[digest] = _Checked(token.header, claims, key, policy, len(token.text))
        self._chars += len(token.text)
        while len(self._checked) > self._checked_max or self._chars > self._chars_max:
            self._forget(next(iter(self._checked)))  # ends: none are no characters

    def _forget(self, digest: bytes) -> None:
        self._chars -= self._checked.pop(digest).chars


def _key(ring: KeyRing, found: _Checked) -> VerificationKey | None:
    return ring.find(found.claims.key_id, found.key.algorithm)


def _digest(token: str) -> bytes:
    # Whatever text came: what is no UTF-8 is no token, and is told so by who reads it.
    return sha256(token.encode(errors="surrogatepass")).digest()
