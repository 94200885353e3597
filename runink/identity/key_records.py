"""The cluster's signing keys as they stand in the Barn, a record for each: its public half for everybody, its private half sealed for who signs.

    record      private half     is there
    upcoming    sealed           from when it was announced
    active      sealed           while it signs; exactly one is
    retiring    none             until its last token has expired

All of them change together: who rotates compares that none is new or was changed, and that the active one is the one that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from runink.errors import Broken
from runink.identity.algorithms import Algorithm
from runink.identity.keys import KeyRing, VerificationKey
from runink.identity.rotation import RetiringKey, SigningKeys
from runink.identity.signing import SigningKey

_ALGORITHMS: Final = frozenset({Algorithm.ES256})


class KeyState(StrEnum):
    UPCOMING = "upcoming"
    ACTIVE = "active"
    RETIRING = "retiring"


class SigningRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key. `public` is its public half as a member of a key set, `sealed` its private one. Times are seconds of the Unix epoch, 0 where they say nothing.

    `signs_from_s` is when an upcoming one may take over, `until_s` when a retiring one is gone.
    """

    kid: str
    state: KeyState
    public: dict[str, str]
    made_s: int
    signs_from_s: int = 0
    until_s: int = 0
    sealed: bytes = b""

    def __repr__(self) -> str:
        return f"SigningRecord({self.kid!r}, {self.state.value})"


class Change(NamedTuple):
    """What becomes of the records: these are written, and those of these keys deleted."""

    written: tuple[SigningRecord, ...]
    deleted: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        return not self.written and not self.deleted


ROTATED_AFTER_S: Final = (
    30 * 86_400
)  # so often that it is nothing special, and a key that leaked unseen ends


def is_due(records: Iterable[SigningRecord], now_s: int) -> bool:
    """Say whether something is to be done about the keys by now: the first one made, one announced, one put in another's place, one taken away."""
    listed = tuple(records)
    states = {one.state for one in listed}
    if KeyState.ACTIVE not in states:
        return True
    return any(
        (one.state is KeyState.UPCOMING and one.signs_from_s <= now_s)
        or (one.state is KeyState.RETIRING and one.until_s <= now_s)
        or (one.state is KeyState.ACTIVE and is_old(one, now_s) and KeyState.UPCOMING not in states)
        for one in listed
    )


def is_old(record: SigningRecord, now_s: int) -> bool:
    """Say whether a key has signed for long enough."""
    return record.made_s + ROTATED_AFTER_S <= now_s


def ring_of(records: Iterable[SigningRecord]) -> KeyRing:
    """Return the ring to check the cluster's own tokens by."""
    return KeyRing.of(map(public_key, records))


def public_key(record: SigningRecord) -> VerificationKey:
    """Return the public half of a key. Raises Broken (`bad_signing_key`) if it is not one of ours."""
    ring = KeyRing.read({"keys": [record.public]}, _ALGORITHMS)
    found = ring.find(record.kid, Algorithm.ES256)
    if found is None:
        raise _damaged(record.kid)
    return found


def signing_keys(
    records: Iterable[SigningRecord], opened: Callable[[SigningRecord], bytes]
) -> SigningKeys | None:
    """Return what the records say, nothing if there is no active key. `opened` opens the private half of one. Raises Broken (`bad_signing_key`), and what `opened` raises."""
    by_state = {
        state: [one for one in records if one.state is state]
        for records in (tuple(records),)
        for state in KeyState
    }
    if not by_state[KeyState.ACTIVE]:
        return None
    (active,) = by_state[KeyState.ACTIVE]
    upcoming = next(iter(by_state[KeyState.UPCOMING]), None)
    retiring = (RetiringKey(public_key(one), one.until_s) for one in by_state[KeyState.RETIRING])
    return SigningKeys(
        private_key(active, opened(active)),
        private_key(upcoming, opened(upcoming)) if upcoming is not None else None,
        upcoming.signs_from_s if upcoming is not None else 0,
        tuple(retiring),
    )


def private_key(record: SigningRecord, scalar: bytes) -> SigningKey:
    """Return a key with the private half that was sealed. Raises Broken (`bad_signing_key`) if it is not that of the record."""
    key = SigningKey.from_bytes(scalar)
    if key.kid != record.kid:
        raise _damaged(record.kid)
    return key


def change_to(
    keys: SigningKeys,
    before: Iterable[SigningRecord],
    seal: Callable[[SigningKey], bytes],
    *,
    now_s: int,
) -> Change:
    """Return what becomes of the records when the keys are these. Of a key that was there only its state changes; its private half stays sealed as it was while it is of use."""
    known = {one.kid: one for one in before}
    wanted = [_record(keys.active, KeyState.ACTIVE, known, seal, now_s=now_s)]
    if keys.upcoming is not None:
        one = _record(keys.upcoming, KeyState.UPCOMING, known, seal, now_s=now_s)
        wanted.append(msgspec.structs.replace(one, signs_from_s=keys.signs_from_s))
    for retiring in keys.retiring:
        old = known.get(retiring.key.kid)
        wanted.append(
            SigningRecord(
                kid=retiring.key.kid,
                state=KeyState.RETIRING,
                public=retiring.key.to_jwk(),
                made_s=old.made_s if old is not None else now_s,
                until_s=retiring.until_s,
            )
        )
    kept = {one.kid for one in wanted}
    return Change(
        tuple(one for one in wanted if known.get(one.kid) != one),
        tuple(kid for kid in known if kid not in kept),
    )


def _record(
    key: SigningKey,
    state: KeyState,
    known: dict[str, SigningRecord],
    seal: Callable[[SigningKey], bytes],
    *,
    now_s: int,
) -> SigningRecord:
    old = known.get(key.kid)
    return SigningRecord(
        kid=key.kid,
        state=state,
        public=key.verification.to_jwk(),
        made_s=old.made_s if old is not None else now_s,
        sealed=old.sealed if old is not None and old.sealed else seal(key),
    )


def _damaged(kid: str) -> Broken:
    return Broken(
        f"signing key {kid} is not what its record says",
        code="bad_signing_key",
        hint="revoke it: the cluster then makes another one",
    )
