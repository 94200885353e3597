"""A token that was checked a moment ago is taken exactly as long as it would be if nobody had ever seen it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

import anyio
from hypothesis import given
from hypothesis import strategies as st
from runink.actors.access_board import AccessBoard
from runink.actors.known_people import KnownPeople
from runink.actors.tables import Loaded
from runink.barn.history import Watched
from runink.barn.keys import ACCOUNTS, REVOCATIONS, SIGNING, TOKENS, herd_key
from runink.barn.keyvalue import Change, KeyValue
from runink.clients.barn import BarnClient, encode_value
from runink.herds.record import Declared, Deletion, HerdRecord
from runink.identity.accounts import ServiceAccount
from runink.identity.checked_tokens import Check, CheckedTokens
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.issued import OWN, IssuedToken, RevocationRecord, TakenBack, revocation_id
from runink.identity.key_records import KeyState, SigningRecord
from runink.identity.keys import Algorithm, KeyRing, verification_key
from runink.identity.revocations import KeyRevoked, SubjectRevoked
from runink.identity.signing import ServiceAccountToken, SigningKey, mint
from runink.identity.tokens import Claims, UnverifiedToken, check, read
from runink.names import AccountName, HerdName
from runink.operations.calls import Unauthenticated as Refused
from runink.testing.tokens import (  # fmt: skip
    EC_KID,
    NOW_S,
    RSA_KID,
    Issuer,
    claims,
    ec_header,
    ec_key,
    header,
    policy,
)

# Two issuers that give their keys the same ids.
ISSUERS = Issuer(), Issuer(ec=ec_key(2))
TOKENS_SHOWN = [
    *(issuer.token(claims(sub=str(number)), ec_header()) for number, issuer in enumerate(ISSUERS)),
    ISSUERS[0].token(claims(nbf=NOW_S + 60), header()),
    ISSUERS[0].token(claims(aud="another"), ec_header()),
    ISSUERS[0].token(claims(exp=NOW_S + 20), ec_header()),
    ISSUERS[0].token(claims(), ec_header())[:-8] + "AAAAAAAA",
    "a.b.c",
    "\ud800",
    "x" * 9_000,
]


def rings() -> Iterator[KeyRing]:
    """Yield what an issuer may publish: both keys, the same read anew, one cut, the other's under the same id."""
    yield ISSUERS[0].ring()
    yield ISSUERS[0].ring()
    yield ISSUERS[1].ring()
    yield KeyRing.of([verification_key(RSA_KID, Algorithm.RS256, ISSUERS[0].rsa.public_key())])
    yield KeyRing.of([verification_key(EC_KID, Algorithm.ES256, ISSUERS[0].ec.public_key())])
    yield KeyRing.of([])


RINGS = tuple(rings())
POLICIES = (policy(), policy(), policy(audience="another"), policy(lifetime_s_max=60), policy(algorithms=frozenset({Algorithm.RS256})))  # fmt: skip
TIMES = (NOW_S, NOW_S + 30, NOW_S + 60, NOW_S + 329, NOW_S + 331, NOW_S - 100)
Shown = tuple[int, int, int, int]  # which token, ring, policy and time
EVERY = tuple(product(*(range(len(of)) for of in (TOKENS_SHOWN, RINGS, POLICIES, TIMES))))


def said(shown: Shown, check: Check, read: Callable[[str], UnverifiedToken]) -> Claims | Fault:
    text, ring, rules, when = shown
    try:
        return check(read(TOKENS_SHOWN[text]), RINGS[ring], POLICIES[rules], now_s=TIMES[when])
    except Unauthenticated as refused:
        return refused.fault


@cache
def said_anew(shown: Shown) -> Claims | Fault:
    """Return what is said of a token that nobody has ever seen."""
    return said(shown, check, read)


def test_what_is_remembered_is_said_exactly_as_if_it_were_checked_anew() -> None:
    """Each token as it is good, and then with each ring and policy and at each time that there is."""
    good = [one for one in EVERY if one[-1] == 0 and isinstance(said_anew(one), Claims)]
    assert len(good) >= 20
    for first in good:
        for second in (one for one in EVERY if one[0] == first[0]):
            checked = CheckedTokens()
            assert said(first, checked.check, checked.read) == said_anew(first)
            assert said(second, checked.check, checked.read) == said_anew(second)


@given(st.lists(st.sampled_from(EVERY), max_size=60), st.sampled_from([1, 3, 100]))
def test_whatever_was_seen_before_changes_nothing_and_no_more_than_so_many_are_remembered(
    shown: list[Shown], most: int
) -> None:
    checked = CheckedTokens(checked_max=most)
    for one in shown:
        assert said(one, checked.check, checked.read) == said_anew(one)
        assert len(checked) <= most


def test_a_token_is_computed_once_for_the_same_key_and_policy() -> None:
    """What the memory is for: the second time the signature is not looked at, as one that was spoilt behind it shows."""
    checked, text = CheckedTokens(), TOKENS_SHOWN[0]
    first = checked.check(checked.read(text), RINGS[0], POLICIES[0], now_s=NOW_S)
    again = checked.check(checked.read(text), RINGS[0], POLICIES[0], now_s=NOW_S)
    assert again is first
    assert checked.check(checked.read(text), RINGS[1], POLICIES[0], now_s=NOW_S) is not first


def test_long_tokens_leave_room_for_fewer() -> None:
    texts = [ISSUERS[0].token(claims(jti=str(number), more="x" * 1000), ec_header()) for number in range(5)]  # fmt: skip
    checked = CheckedTokens(chars_max=3 * len(texts[0]))
    for text in texts:
        checked.check(checked.read(text), RINGS[0], POLICIES[0], now_s=NOW_S)
    assert len(checked) == 3


def test_no_token_that_was_refused_is_remembered_and_of_a_good_one_not_its_signature() -> None:
    checked = CheckedTokens()
    for number in range(len(TOKENS_SHOWN)):
        said((number, 0, 0, 0), checked.check, checked.read)
    assert len(checked) == 2
    found, left = set[int](), [vars(checked)]
    texts = []
    while left:
        one = left.pop()
        if id(one) in found or isinstance(one, type):
            continue
        found.add(id(one))
        texts.append(repr(one) if isinstance(one, str | bytes) else "")
        left.extend(gc.get_referents(one))
    signatures = [text.rpartition(".")[2] for text in TOKENS_SHOWN[:5]]
    assert not any(signature in text for signature in signatures for text in texts)


# A member's board, of tokens that the cluster has signed.

OURS = "urn:runink:farm"
HERD, NAME = HerdName("sales"), AccountName("nightly")
SUBJECT = "service-account:sales/nightly"
KEYS = [SigningKey.from_entropy(bytes([number]) * 32) for number in (1, 2)]
OWN_TOKENS = [
    mint(ServiceAccountToken(issuer=OURS, audience=OURS, issued_s=NOW_S, expires_s=NOW_S + life, token_id=f"t{number}", herd=HERD, account=NAME), key)
    for number, (key, life) in enumerate([(KEYS[0], 600), (KEYS[0], 60), (KEYS[1], 600)])
]  # fmt: skip


def issued(number: int, *, is_revoked: bool) -> tuple[str, IssuedToken]:
    taken = TakenBack("x", 0) if is_revoked else None
    record = IssuedToken(id=f"t{number}", herd=HERD, account=NAME, made_by="x", made_s=NOW_S, until_s=NOW_S + 600, key="k", revoked=taken)  # fmt: skip
    return TOKENS.key(HERD, record.id), record


def herd(*, is_deleted: bool) -> tuple[str, HerdRecord]:
    deletion = Deletion(0, 1, "x") if is_deleted else None
    return herd_key(HERD), HerdRecord(HERD, declared=Declared(0, 0, "x"), deletion=deletion)


def revoked(what: SubjectRevoked | KeyRevoked) -> tuple[str, RevocationRecord]:
    return REVOCATIONS.key(revocation_id(what)), RevocationRecord(what, "x", 0)


def signing(key: SigningKey, state: KeyState) -> tuple[str, SigningRecord]:
    return SIGNING.key(key.kid), SigningRecord(kid=key.kid, state=state, public=key.verification.to_jwk(), made_s=0)  # fmt: skip


def account(*, is_disabled: bool, made_ms: int) -> tuple[str, ServiceAccount]:
    return ACCOUNTS.key(HERD, NAME), ServiceAccount(herd=HERD, name=NAME, is_disabled=is_disabled, made_ms=made_ms)  # fmt: skip


BEGINNING = [herd(is_deleted=False), account(is_disabled=False, made_ms=0), *(signing(key, KeyState.ACTIVE) for key in KEYS)]  # fmt: skip
VALUES = st.one_of(
    st.builds(herd, is_deleted=st.booleans()),
    st.builds(issued, st.integers(0, 2), is_revoked=st.booleans()),
    st.builds(account, is_disabled=st.booleans(), made_ms=st.sampled_from([0, (NOW_S + 1) * 1000])),
    st.builds(signing, st.sampled_from(KEYS), st.sampled_from(KeyState)),
    st.sampled_from([revoked(SubjectRevoked(OWN, SUBJECT, NOW_S, NOW_S + 600)), *(revoked(KeyRevoked(OWN, key.kid, NOW_S + 600)) for key in KEYS)]),
)  # fmt: skip
STEPS = st.lists(st.tuples(VALUES, st.sampled_from(["put", "put", "delete"]), st.sampled_from([0, 1, 100])), max_size=25)  # fmt: skip


def board(barn: BarnClient, clock: list[int]) -> AccessBoard:
    made = AccessBoard(barn, KnownPeople(), issuer=OURS, now_ms=lambda: clock[0] * 1000, clock=lambda: 0.0)  # fmt: skip
    made.heard(0.0)
    return made


async def known(of: AccessBoard) -> list[object]:
    found: list[object] = []
    for text in OWN_TOKENS:
        try:
            found.append(await of.authenticate(text))
        except Refused:
            found.append(None)
    return found


@given(STEPS)
def test_a_member_that_remembers_lets_in_whom_one_does_that_has_just_begun(
    steps: list[tuple[tuple[str, object], str, int]],
) -> None:
    async def held() -> None:
        barn = {key: KeyValue(key, encode_value(value), 1, 1, 1, 0) for key, value in BEGINNING}
        client, clock = BarnClient(None), [NOW_S]  # type: ignore[arg-type] # nobody asks it: these are no slices
        ours = board(client, clock)
        ours.take(Loaded(tuple(barn.values()), 1))
        assert None not in await known(ours)
        for revision, ((key, value), how, passed_s) in enumerate(steps, 2):
            clock[0] += passed_s
            now = None
            if how == "put":
                now = barn[key] = KeyValue(key, encode_value(value), 1, revision, 1, 0)
            elif barn.pop(key, None) is None:
                continue
            ours.take(Watched((Change(revision, key, now),), revision))
            new = board(client, clock)
            new.take(Loaded(tuple(barn.values()), revision))
            assert await known(ours) == await known(new)

    anyio.run(held)
