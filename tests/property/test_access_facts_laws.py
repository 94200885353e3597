"""What a member knows by hearing of changes is what it would know by reading all of it anew: whatever came, in whatever order, and however often it began again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.actors.access_facts import AccessFacts
from runink.actors.tables import Loaded
from runink.barn.history import Watched
from runink.barn.keys import (
    ACCOUNTS,
    BINDINGS,
    OF_CLUSTER,
    REVOCATIONS,
    RIGHTS,
    ROLES,
    SIGNING,
    TOKENS,
    herd_key,
)
from runink.barn.keyvalue import Change, KeyValue
from runink.clients.barn import encode_value
from runink.herds.record import Declared, Deletion, HerdRecord
from runink.identity.accounts import ServiceAccount
from runink.identity.issued import OWN, IssuedToken, RevocationRecord, TakenBack, revocation_id
from runink.identity.key_records import KeyState, SigningRecord
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.revocations import KeyRevoked, SubjectRevoked
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.signing import SigningKey
from runink.names import AccountName, BindingName, HerdName, RoleName

HERD, NAME = HerdName("sales"), AccountName("nightly")
SUBJECT = "service-account:sales/nightly"
KEYS = [SigningKey.from_entropy(bytes([number]) * 32) for number in (1, 2)]


def herd(*, is_deleted: bool, is_bound: bool) -> HerdRecord:
    bound = Binding(BindingName("own"), HERD, RoleName("viewer"), RoleOf.BUILT_IN, (SUBJECT,))
    return HerdRecord(
        HERD,
        declared=Declared(0, 0, "x"),
        deletion=Deletion(0, 1, "x") if is_deleted else None,
        bindings=(bound,) if is_bound else (),
    )


def binding(role: str) -> Binding:
    return Binding(BindingName("b"), "*", RoleName(role), RoleOf.BUILT_IN, (SUBJECT,))


def token(*, is_revoked: bool) -> IssuedToken:
    taken = TakenBack("x", 0) if is_revoked else None
    return IssuedToken(id="t", herd=HERD, account=NAME, made_by="x", made_s=5, until_s=50, key="k", revoked=taken)  # fmt: skip


REVOKED = [
    *(SubjectRevoked(OWN, SUBJECT, last_s, 60) for last_s in (3, 7)),
    *(KeyRevoked(OWN, kid, 60) for kid in ("k", "l")),
]
# What may come to stand under a key; of a revocation only what is kept there.
VALUES = st.one_of(
    st.builds(herd, is_deleted=st.booleans(), is_bound=st.booleans()).map(lambda one: (herd_key(HERD), one)),
    st.sampled_from(["viewer", "admin"]).map(lambda role: (BINDINGS.key(OF_CLUSTER, "b"), binding(role))),
    st.sampled_from(["runs", "nodes"]).map(lambda of: (ROLES.key(OF_CLUSTER, "r"), Role(RoleName("r"), "", (Rule(("get",), (of,)),)))),
    st.sampled_from(["a", "b"]).map(lambda key: (RIGHTS.key("taken"), key)),
    st.builds(ServiceAccount, herd=st.just(HERD), name=st.just(NAME), is_disabled=st.booleans(), made_ms=st.sampled_from([0, 6_000])).map(lambda one: (ACCOUNTS.key(HERD, NAME), one)),
    st.builds(token, is_revoked=st.booleans()).map(lambda one: (TOKENS.key(HERD, "t"), one)),
    st.sampled_from(REVOKED).map(lambda one: (REVOCATIONS.key(revocation_id(one)), RevocationRecord(one, "x", 0))),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(KeyState)).map(lambda of: (SIGNING.key(of[0].kid), SigningRecord(kid=of[0].kid, state=of[1], public=of[0].verification.to_jwk(), made_s=0))),
)  # fmt: skip
# Puts and deletions, and that everything was read anew.
STEPS = st.lists(st.tuples(VALUES, st.sampled_from(["put", "put", "delete", "load"])), max_size=30)


def told(facts: AccessFacts) -> object:
    """Return all that is decided by."""
    principals = [
        Principal(PrincipalKind.SERVICE_ACCOUNT, "sales/nightly", herd="sales", token=id_, issued_s=issued_s, key=key)
        for id_ in ("t", "u")
        for issued_s in (2, 5, 8)
        for key in ("k", "l", "m")
    ]  # fmt: skip
    return (
        facts.index.roles,
        facts.index.bindings,
        set(facts.ring.keys),
        [facts.why_refused(one) for one in principals],
        facts.alive(HERD, NAME, 10),
    )


@given(STEPS)
def test_who_hears_of_changes_knows_what_who_reads_anew_knows(
    steps: list[tuple[tuple[str, object], str]],
) -> None:
    barn: dict[str, KeyValue] = {}
    heard = AccessFacts()
    heard.take(Loaded((), 0))
    changed_at = 0
    for revision, ((key, value), how) in enumerate(steps, 1):
        if how == "load":
            heard.take(Loaded(tuple(barn.values()), revision - 1))
            changed_at = revision - 1
            continue
        now = None
        if how == "put":
            now = barn[key] = KeyValue(key, encode_value(value), 1, revision, 1, 0)
        elif barn.pop(key, None) is None:
            continue
        heard.take(Watched((Change(revision, key, now),), revision))
        if key.startswith(("/herds/", "/roles/", "/bindings/", "/rights/")):
            changed_at = revision
        anew = AccessFacts()
        anew.take(Loaded(tuple(barn.values()), revision))
        assert told(heard) == told(anew)
        assert heard.index.revision == changed_at
