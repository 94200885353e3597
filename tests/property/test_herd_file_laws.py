"""What a herd's record is written as says the same: read again it is that record."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.capabilities import CLOSING_OFF, IsolationPolicy
from runink.clearances import ClearancePolicy, SinkClearance
from runink.contracts.compatibility import ContractPolicy, Mode
from runink.errors import Invalid
from runink.herds.file import (
    HERD_KEYS,
    LABEL_VALUE_MAX,
    LOST_WAIT_MS_MAX,
    SECTIONS,
    read_herd,
    read_tables,
)
from runink.herds.lifecycle import differences
from runink.herds.policies import APPROVALS_MAX, RETENTION_MS_MAX
from runink.herds.quotas import WEIGHT_MAX
from runink.herds.record import AuditLevel, HerdRecord, Retention, SliceBounds
from runink.herds.writing import herd_toml, said_of
from runink.identity.roles import BUILT_IN, Binding, Effect, Role, RoleOf, Rule
from runink.identity.vocabulary import OF_THE_CLUSTER, Resource, Verb
from runink.names import BindingName, HerdName, RoleName
from runink.networks import policy_of
from runink.wants import GRACE_MS_MAX, PRIORITY_MAX

MASKS = ("", "hash", "truncate(3)", "generalise('month')", 'hash("a\\b")')
PLACES = ("10.1.2.0/24", "10.1.2.3/32:5432", "10.0.0.0/8:8000-8010")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text("abcdefghij_-/.", min_size=1, max_size=12)
keys = st.sampled_from((*HERD_KEYS, "name", "verbs", "subjects", "cpu", "allow", "fields", "level"))
words = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)
amounts = st.integers(0, 1 << 50)
kept = st.integers(0, RETENTION_MS_MAX)


def unique(elements: st.SearchStrategy[str], **limits: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(elements, unique=True, max_size=4, **limits).map(tuple)


@st.composite
def bounds(draw: st.DrawFn) -> SliceBounds:
    pairs = [sorted(draw(st.tuples(amounts, amounts))) for _ in range(2)]
    return SliceBounds(*pairs[0], *pairs[1], draw(amounts), draw(st.integers(0, 99)))


@st.composite
def isolations(draw: st.DrawFn) -> IsolationPolicy:
    features = draw(st.permutations(sorted(CLOSING_OFF)))
    cut = draw(st.integers(0, len(features)))
    return IsolationPolicy(tuple(features[:cut]), tuple(features[cut:]))


clearances = st.builds(
    ClearancePolicy,
    st.sampled_from(MASKS),
    st.dictionaries(texts, st.sampled_from(MASKS[1:]), max_size=3),
    st.lists(
        st.builds(SinkClearance, texts.filter(bool), unique(texts, min_size=1)), max_size=3
    ).map(tuple),
)
rules = st.builds(
    Rule,
    unique(st.sampled_from(Verb).filter(lambda one: one is not Verb.CROSS).map(str), min_size=1),
    unique(
        st.sampled_from(Resource).filter(lambda one: one not in OF_THE_CLUSTER).map(str), min_size=1
    ),
    unique(words),
    st.sampled_from(Effect),
) | st.builds(Rule, effect=st.sampled_from(Effect), fields=st.just(("pii:email", "access:*")))
subjects = st.sampled_from(("user:company:ann", "group:x:y", "service-account:crm/nightly"))


@st.composite
def access(draw: st.DrawFn, herd: HerdName) -> dict[str, Any]:
    """Roles and bindings of a herd."""
    names = draw(st.lists(words.filter(lambda one: one not in BUILT_IN), unique=True, max_size=3))
    roles = [
        Role(
            RoleName(one),
            herd,
            draw(st.lists(rules, min_size=1, max_size=3).map(tuple)),
            draw(texts),
        )
        for one in names
    ]
    given = [(one, RoleOf.HERD) for one in names]
    given += [("viewer", RoleOf.BUILT_IN), ("auditor", RoleOf.CLUSTER)]
    bindings = [
        Binding(
            BindingName(one),
            herd,
            *(RoleName(role), role_of),
            draw(unique(subjects, min_size=1)),
            draw(st.integers(0, 1 << 45)),
            description=draw(texts),
        )
        for one in draw(st.lists(words, unique=True, max_size=3))
        for role, role_of in [draw(st.sampled_from(given))]
    ]
    return {"roles": tuple(roles), "bindings": tuple(bindings)}


records = st.builds(
    HerdRecord,
    words.map(HerdName),
    texts,
    texts,
    slices=amounts,
    runs=amounts,
    network=st.builds(
        policy_of, internet=st.booleans(), allow=st.lists(st.sampled_from(PLACES), max_size=3)
    ),
    isolation=isolations(),
    clearances=clearances,
    weight=st.integers(1, WEIGHT_MAX),
    priority_max=st.none() | st.integers(-PRIORITY_MAX, PRIORITY_MAX),
    lost_wait_ms=st.integers(0, LOST_WAIT_MS_MAX),
    keep_failed_ms=kept,
    own_nodes=st.booleans(),
    store=st.sampled_from(("", "file:///mnt/shared/runink")),
    grace_max_ms=st.integers(0, GRACE_MS_MAX),
    labels=st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_./-]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=LABEL_VALUE_MAX),
        max_size=3,
    ),
    disk_bytes=amounts,
    gpus=st.integers(0, 99),
    bounds=bounds(),
    secrets=st.none() | unique(words),
    contracts=st.builds(
        ContractPolicy,
        st.sampled_from(Mode),
        st.booleans(),
        st.booleans(),
        st.integers(0, APPROVALS_MAX),
        st.booleans(),
    ),
    retention=st.builds(Retention, kept, kept, kept, kept),
    audit=st.none() | st.sampled_from(AuditLevel),
)


@given(records, st.data())
def test_a_record_is_read_again_from_what_it_is_written_as(
    record: HerdRecord, data: st.DataObject
) -> None:
    record = changed(record, **data.draw(access(record.herd)))
    assert read_herd(herd_toml(record), file="h.toml") == record
    as_json = json.loads(json.dumps(said_of(record)))
    assert read_tables(as_json, where="says") == record


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from(("restart", "4", "*")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | keys, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(SECTIONS) | texts, plain, max_size=5))
def test_any_json_is_a_herd_or_has_mistakes_that_are_told(tables: dict[str, Any]) -> None:
    refused = None
    try:
        record = read_tables(tables, where="says")
    except Invalid as error:
        refused = error
    if refused is not None:
        assert refused.code == "herd_invalid"
        assert refused.findings
    else:
        assert read_herd(herd_toml(record), file="h.toml") == record


@given(records, records)
def test_what_differs_is_told_and_nothing_else_is(before: HerdRecord, after: HerdRecord) -> None:
    assert differences(before, before) == ()
    after = changed(after, herd=before.herd)
    assert bool(differences(before, after)) == (before != after)
