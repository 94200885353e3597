"""Rotation of the keys that the cluster signs with, moment by moment."""

from __future__ import annotations

import pytest
from runink.errors import Conflict
from runink.identity.rotation import LAG_S, PUBLISHED_AHEAD_S, RETIRES_AFTER_S, SigningKeys
from runink.identity.signing import (
    SERVICE_ACCOUNT_LIFETIME_S_MAX,
    ServiceAccountToken,
    SigningKey,
    mint,
    service_account_tokens,
)
from runink.identity.tokens import LEEWAY_S, verify

NOW_S = 1_800_000_000
FIRST, SECOND, THIRD = (SigningKey.from_entropy(bytes([at]) * 32) for at in range(3))


def kids(keys: SigningKeys, now_s: int) -> list[str]:
    return [one.kid for one in keys.usable(now_s)]


def test_a_new_key_is_published_before_it_signs() -> None:
    keys = SigningKeys(FIRST).announce(SECOND, NOW_S)
    early = keys.rotate(NOW_S + PUBLISHED_AHEAD_S - 1)
    assert early.active == FIRST
    assert kids(early, NOW_S) == [FIRST.kid, SECOND.kid]
    assert keys.rotate(NOW_S + PUBLISHED_AHEAD_S).active == SECOND


def test_an_old_key_is_published_until_its_last_token_has_expired() -> None:
    at_s = NOW_S + PUBLISHED_AHEAD_S
    keys = SigningKeys(FIRST).announce(SECOND, NOW_S).rotate(at_s)
    end_s = at_s + RETIRES_AFTER_S
    assert end_s > at_s + SERVICE_ACCOUNT_LIFETIME_S_MAX
    assert kids(keys, end_s - 1) == [SECOND.kid, FIRST.kid]
    assert kids(keys, end_s) == [SECOND.kid]
    assert keys.rotate(end_s).retiring == ()
    assert keys.rotate(end_s - 1).retiring == keys.retiring


def test_the_very_last_token_of_an_old_key_is_good_until_it_ends() -> None:
    at_s = NOW_S + PUBLISHED_AHEAD_S
    keys = SigningKeys(FIRST).announce(SECOND, NOW_S).rotate(at_s)
    made_s = at_s + LAG_S + LEEWAY_S  # by a member that has not heard, and whose clock is ahead
    token = ServiceAccountToken(
        issuer="i",
        audience="a",
        issued_s=made_s,
        expires_s=made_s + SERVICE_ACCOUNT_LIFETIME_S_MAX,
        token_id="t",
        herd="h",
        account="x",
    )
    end_s = token.expires_s + LEEWAY_S - 1
    ring = keys.rotate(end_s).ring(end_s)
    verify(mint(token, FIRST), ring, service_account_tokens("i", "a"), now_s=end_s)


def test_of_a_key_that_signs_no_more_only_the_public_half_is_kept() -> None:
    keys = SigningKeys(FIRST).announce(SECOND, NOW_S).rotate(NOW_S + PUBLISHED_AHEAD_S)
    assert keys.upcoming is None
    (one,) = keys.retiring
    assert one.key == FIRST.verification
    assert one.key.prepared.is_public()


def test_there_is_one_new_key_at_a_time() -> None:
    keys = SigningKeys(FIRST).announce(SECOND, NOW_S)
    with pytest.raises(Conflict) as refused:
        keys.announce(THIRD, NOW_S)
    assert refused.value.code == "rotation_under_way"


def test_a_rotation_without_a_new_key_changes_nothing() -> None:
    assert SigningKeys(FIRST).rotate(NOW_S) == SigningKeys(FIRST)


def test_keys_that_are_rotated_as_often_as_can_be_are_few() -> None:
    keys, now_s = SigningKeys(FIRST), NOW_S
    for at in range(1, 30):
        keys = keys.announce(SigningKey.from_entropy(bytes([at]) * 32), now_s)
        now_s += PUBLISHED_AHEAD_S
        keys = keys.rotate(now_s)
        assert len(keys.usable(now_s)) <= 8
        assert keys.ring(now_s).find(keys.active.kid, "ES256") is not None
