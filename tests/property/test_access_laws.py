"""Access: the index decides as the plain rules do, whatever is asked of whatever policy, and more denials or fewer bindings never allow more."""

from __future__ import annotations

from itertools import product
from random import Random

from access_oracle import Naive, is_of_the_cluster
from access_worlds import (
    ASKED_HERDS,
    FIELDS,
    MARKS,
    NAMES,
    PRINCIPALS,
    RESOURCES,
    SUBJECTS,
    TIMES_MS,
    VERBS,
    Policy,
    bindings,
    policies,
    rules,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Effect, Role

POLICIES = 110
ASKED = 100  # of each policy: more than 10,000 together
WORDS = (PRINCIPALS, VERBS, RESOURCES, ASKED_HERDS, NAMES, TIMES_MS)
Request = tuple[Principal, str, str, str, str, int]
DENY = (Effect.DENY,)
ALLOW = (Effect.ALLOW,)


def index_of(policy: Policy) -> AccessIndex:
    return AccessIndex.compiled(policy.roles, policy.bindings, revision=1)


def asked(policy: Policy, seed: int, count: int = ASKED) -> list[Request]:
    """Return requests, most of them about what some binding speaks of, and some of anything."""
    random, naive = Random(seed), Naive(list(policy.roles), list(policy.bindings))
    found = []
    for number in range(count):
        who, verb, resource, herd, name, now = (random.choice(words) for words in WORDS)
        binding = random.choice(policy.bindings)
        spoken = [one for one in naive.rules(binding) if one.verbs]
        if number % 5 and spoken:
            rule = random.choice(spoken)
            verb = random.choice([one for one in rule.verbs if one != "*"] or VERBS)
            resource = random.choice([one for one in rule.resources if one != "*"] or RESOURCES)
            herd = random.choice((herd, binding.herd, binding.herd)).replace("*", herd)
            known = [one for one in PRINCIPALS if set(one.subjects) & set(binding.subjects)]
            who = random.choice(known)
        found.append((who, verb, resource, herd, name, now))
    return found


@settings(max_examples=POLICIES)
@given(policies(), st.integers(0, 1 << 30))
def test_the_index_decides_as_the_plain_rules_do(policy: Policy, seed: int) -> None:
    index, naive = index_of(policy), Naive(list(policy.roles), list(policy.bindings))
    for who, verb, resource, herd, name, now in asked(policy, seed):
        expected = naive.decide(who, verb, resource, herd, name, now)
        found = index.decide(who, verb, resource, herd, name, now_ms=now)
        assert (found.allowed, found.herd, found.binding, found.rule) == expected
        assert index.allows(who, verb, resource, herd, name, now_ms=now) == expected[0]
        if expected[0]:
            assert index.allows_some(who, verb, resource, herd, now_ms=now)
            if herd and not is_of_the_cluster(verb, resource):
                assert index.herds_visible(who, [herd], now_ms=now) == (herd,)


@settings(max_examples=25)
@given(policies(), st.integers(0, 1 << 30))
def test_what_is_hidden_by_its_name_may_not_be_done_and_others_of_its_kind_tell_so(
    policy: Policy, seed: int
) -> None:
    index, naive = index_of(policy), Naive(list(policy.roles), list(policy.bindings))
    for who, verb, resource, herd, name, now in asked(policy, seed):
        is_hidden = index.hides(who, verb, resource, herd, name, now_ms=now)
        may = naive.inside(who, verb, resource, herd, name, now)[0]
        speaking = [
            rule
            for rule, _, where, _ in naive.has(who, herd, now)
            if {verb, "*"} & set(rule.verbs) and {resource, "*"} & set(rule.resources)
        ]
        if is_hidden:
            assert not may
            assert any(rule.names for rule in speaking)
        else:
            others = (naive.inside(who, verb, resource, herd, one, now)[0] for one in NAMES)
            is_of_another_herd = who.herd and (not herd or is_of_the_cluster(verb, resource))
            assert may or is_of_another_herd or not any(others)


@settings(max_examples=25)
@given(policies(), st.integers(0, 1 << 30))
def test_an_explanation_lists_what_decided_and_says_the_same(policy: Policy, seed: int) -> None:
    index = index_of(policy)
    for who, verb, resource, herd, name, now in asked(policy, seed, 20):
        told = index.explain(who, verb, resource, herd, name, now_ms=now)
        assert told.decision == index.decide(who, verb, resource, herd, name, now_ms=now)
        deciding = (told.decision.herd, told.decision.binding, told.decision.rule)
        inside = [*told.denying, *told.allowing]
        listed = [(one.herd, one.binding, one.rule) for one in inside]
        if told.decision.ground == "not-let-out" and told.decision.rule >= 0:
            first = told.letting_out[0]
            assert deciding == (first.herd, first.binding, first.rule)
        elif told.decision.rule >= 0:
            assert deciding == listed[0]
        elif told.decision.ground == "not-granted":
            assert not listed


@settings(max_examples=25)
@given(policies(), st.integers(0, 1 << 30))
def test_who_can_names_those_that_may_by_themselves(policy: Policy, seed: int) -> None:
    index, naive = index_of(policy), Naive(list(policy.roles), list(policy.bindings))
    for _, verb, resource, herd, name, now in asked(policy, seed, 10):
        found = index.who_can(verb, resource, herd, name, now_ms=now)
        may = set()
        for subject in SUBJECTS:
            kind, _, rest = subject.partition(":")
            if kind == "group":
                who = Principal(PrincipalKind.USER, "i:nobody", (rest,))
            else:
                home = rest.partition("/")[0] if kind == "service-account" else ""
                who = Principal(PrincipalKind(kind), rest, herd=home)
            if naive.decide(who, verb, resource, herd, name, now)[0]:
                may.add(subject)
        assert {one.subject for one in found.allowed} == may
        assert not may & {one.subject for one in found.denied}


@settings(max_examples=25)
@given(policies())
def test_marks_of_fields_are_seen_as_the_plain_rules_say(policy: Policy) -> None:
    index, naive = index_of(policy), Naive(list(policy.roles), list(policy.bindings))
    for who, herd, now in product(PRINCIPALS, ASKED_HERDS, TIMES_MS[:3]):
        found = index.clearances(who, herd, now_ms=now)
        for mark in MARKS:
            assert found.shows(mark) == naive.sees(who, mark, herd, now)


@settings(max_examples=25)
@given(
    policies(),
    bindings("ban"),
    st.lists(rules(DENY), min_size=1, max_size=2),
    st.integers(0, 1 << 30),
)
def test_another_denial_never_allows_more(
    policy: Policy, ban: object, denials: list, seed: int
) -> None:
    where = Role("ban", "" if ban.herd == "*" else ban.herd, tuple(denials))
    bound = changed(ban, role="ban", role_of="cluster" if ban.herd == "*" else "herd")
    before = index_of(policy)
    after = index_of(Policy((*policy.roles, where), (*policy.bindings, bound)))
    check_no_more(policy, before, after, seed)


@settings(max_examples=25)
@given(policies(ALLOW), st.integers(0, 1 << 30))
def test_a_binding_less_never_allows_more_where_nothing_is_denied(
    policy: Policy, seed: int
) -> None:
    fewer = Policy(policy.roles, policy.bindings[1:])
    check_no_more(policy, index_of(policy), index_of(fewer), seed)


def check_no_more(policy: Policy, before: AccessIndex, after: AccessIndex, seed: int) -> None:
    for who, verb, resource, herd, name, now in asked(policy, seed):
        if after.allows(who, verb, resource, herd, name, now_ms=now):
            assert before.allows(who, verb, resource, herd, name, now_ms=now)
        shown = after.clearances(who, herd, now_ms=now)
        known = before.clearances(who, herd, now_ms=now)
        assert all(known.shows(mark) for mark in (*MARKS, *FIELDS[3:]) if shown.shows(mark))


@settings(max_examples=25)
@given(policies(ALLOW), st.integers(0, 1 << 30))
def test_as_time_goes_on_what_is_bound_for_a_time_only_goes(policy: Policy, seed: int) -> None:
    index = index_of(policy)
    for who, verb, resource, herd, name, _ in asked(policy, seed):
        may = [index.allows(who, verb, resource, herd, name, now_ms=now) for now in TIMES_MS]
        assert may == sorted(may, reverse=True)


@settings(max_examples=25)
@given(policies(), st.sampled_from(TIMES_MS), st.integers(0, 1 << 30))
def test_what_has_expired_is_as_if_it_were_not_there(policy: Policy, now: int, seed: int) -> None:
    live = tuple(one for one in policy.bindings if not one.expires_ms or now < one.expires_ms)
    whole, rest = index_of(policy), index_of(Policy(policy.roles, live))
    for who, verb, resource, herd, name, _ in asked(policy, seed):
        found = whole.decide(who, verb, resource, herd, name, now_ms=now)
        assert found == rest.decide(who, verb, resource, herd, name, now_ms=now)
