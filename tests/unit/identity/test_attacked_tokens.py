"""Each attack on tokens, by name: none is believed, and who tries learns nothing of why."""

from __future__ import annotations

import pytest
from attack_tokens import ATTACKS, GOOD, GOOD_EC, ISSUER
from runink.errors import to_wire
from runink.identity.denials import Unauthenticated
from runink.identity.tokens import verify
from runink.testing.tokens import NOW_S, policy

RING = ISSUER.ring()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_for_what_is_wrong_with_it(name: str) -> None:
    make, fault = ATTACKS[name]
    with pytest.raises(Unauthenticated) as refused:
        verify(make(), RING, policy(), now_s=NOW_S)
    assert refused.value.fault is fault, refused.value.detail


def test_every_refusal_reads_the_same() -> None:
    told = set()
    for make, _ in ATTACKS.values():
        with pytest.raises(Unauthenticated) as refused:
            verify(make(), RING, policy(), now_s=NOW_S)
        told.add(to_wire(refused.value))
    (one,) = told
    assert (one.kind, one.code) == ("Refused", "unauthenticated")


@pytest.mark.parametrize("token", [GOOD, GOOD_EC], ids=["RS256", "ES256"])
def test_the_token_that_all_attacks_were_made_of_is_good(token: str) -> None:
    assert verify(token, RING, policy(), now_s=NOW_S).subject == "248289761001"
