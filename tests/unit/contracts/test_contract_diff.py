"""What each change of a contract is called, and what it does under each mode of a registry."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from runink.contracts.changes import Bump, Effect, Sort
from runink.contracts.compatibility import Mode, breaking, bump_of, verdicts
from runink.contracts.diff import diff
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.witness import witness
from runink.expressions import Binary, Literal, Name, Operator

A = FieldSpec("a", Kind.INT)
S = FieldSpec("s", Kind.STR)
D = FieldSpec("d", Kind.DECIMAL, digits=7, scale=2)
F = FieldSpec("f", Kind.FLOAT)


def spec(*fields, version="1.0.0", **said):
    return ContractSpec("T", version, fields, **said)


def with_(field, **said):
    return replace(field, **said)


def record(*fields):
    return FieldSpec("r", Kind.RECORD, fields=fields)


def many(items, **said):
    return FieldSpec("l", Kind.LIST, items=items, **said)


def rule(text, limit=0, name="positive"):
    return RuleSpec(name, text, Binary(Operator.GT, Name("a"), Literal(limit)))


@pytest.mark.parametrize(
    ("old", "new", "text", "effect"),
    [
        # bounds: the direction counts
        (with_(A, le=10), with_(A, le=9), "a: maximum: at most 10 → at most 9", Effect.NARROWER),
        (with_(A, le=10), with_(A, le=11), "a: maximum: at most 10 → at most 11", Effect.WIDER),
        (with_(A, le=10), with_(A, lt=11), "a: maximum: at most 10 → less than 11", Effect.SAME),
        (with_(F, le=10.0), with_(F, lt=10.0), "f: maximum: at most 10.0 → less than 10.0", Effect.NARROWER),
        (with_(A, ge=1), with_(A, ge=0), "a: minimum: at least 1 → at least 0", Effect.WIDER),
        (A, with_(A, gt=0), "a: minimum: none → more than 0", Effect.NARROWER),
        (with_(D, le="9.5"), with_(D, le="10.0"), "d: maximum: at most 9.5 → at most 10.0", Effect.WIDER),
        # lengths
        (with_(S, max_length=5), with_(S, max_length=4), "s: max_length: 5 → 4", Effect.NARROWER),
        (with_(S, max_length=5), S, "s: max_length: 5 → any", Effect.WIDER),
        (S, with_(S, min_length=1), "s: min_length: 0 → 1", Effect.NARROWER),
        (many(A, max_length=3), many(A, max_length=9), "l: max_length: 3 → 9", Effect.WIDER),
        # patterns and formats
        (S, with_(S, pattern="[A-Z]+"), "s: pattern: any → [A-Z]+", Effect.NARROWER),
        (with_(S, pattern="[A-Z]+"), S, "s: pattern: [A-Z]+ → any", Effect.WIDER),
        (with_(S, pattern="[A-Z]+"), with_(S, pattern="[A-Z]*"), "s: pattern: [A-Z]+ → [A-Z]*", Effect.OTHER),
        (with_(S, format="uuid"), with_(S, format="email"), "s: format: uuid → email", Effect.OTHER),
        (with_(S, choices=("é",)), with_(S, choices=("é",), pattern=r"\pL"), "s: pattern: any → \\pL", Effect.SAME),
        (with_(S, choices=("Ω",)), with_(S, choices=("Ω",), pattern=r"\p{Greek}"), "s: pattern: any → \\p{Greek}", Effect.NARROWER),
        (with_(S, choices=("1",)), with_(S, choices=("1",), pattern=r"[[:digit:]]\z"), "s: pattern: any → [[:digit:]]\\z", Effect.SAME),
        (with_(S, choices=("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",)), with_(S, choices=("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",), pattern="(a+)+b"), "s: pattern: any → (a+)+b", Effect.NARROWER),
        (with_(S, choices=("192.0.2.1",)), with_(S, choices=("192.0.2.1",), format="ipv4"), "s: format: any → ipv4", Effect.SAME),
        # choices
        (with_(S, choices=("a", "b")), with_(S, choices=("b",)), "s: choices: without a", Effect.NARROWER),
        (with_(S, choices=("a",)), with_(S, choices=("b", "a")), "s: choices: also b", Effect.WIDER),
        (with_(S, choices=("a", "b")), with_(S, choices=("b", "c")), "s: choices: without a, also c", Effect.OTHER),
        (S, with_(S, choices=("a",)), "s: choices: any → a", Effect.NARROWER),
        # decimals and multiples
        (D, with_(D, digits=9), "d: digits: 7 with 2 behind the point → 9 with 2 behind the point", Effect.WIDER),
        (D, with_(D, scale=3), "d: digits: 7 with 2 behind the point → 7 with 3 behind the point", Effect.OTHER),
        (with_(A, multiple_of=10), with_(A, multiple_of=5), "a: multiple_of: 10 → 5", Effect.WIDER),
        (with_(A, multiple_of=10), with_(A, multiple_of=4), "a: multiple_of: 10 → 4", Effect.OTHER),
        (A, with_(A, unique=True), "a: unique: no → yes", Effect.NARROWER),
        (F, with_(F, allow_inf_nan=True), "f: allow_inf_nan: no → yes", Effect.WIDER),
        # types
        (with_(A, ge=-9, le=1 << 53), FieldSpec("a", Kind.FLOAT, ge=-9.0), "a: int → float", Effect.WIDER),
        (FieldSpec("a", Kind.FLOAT), with_(A, choices=(1, 2)), "a: float → int", Effect.NARROWER),
        (A, FieldSpec("a", Kind.FLOAT), "a: int → float", Effect.OTHER),
        (A, FieldSpec("a", Kind.DECIMAL, digits=5, scale=0), "a: int → decimal", Effect.OTHER),
        (with_(A, ge=-9, le=9), FieldSpec("a", Kind.DECIMAL, digits=1, scale=0, ge="-9", le="9"), "a: int → decimal", Effect.WIDER),
        (A, FieldSpec("a", Kind.STR), "a: int → str", Effect.OTHER),
        (FieldSpec("a", Kind.DATE), FieldSpec("a", Kind.DATETIME), "a: date → datetime", Effect.WIDER),
        # optionality
        (A, with_(A, nullable=True), "a: must hold something, must be there → may hold nothing, must be there", Effect.WIDER),
        (with_(A, nullable=True), A, "a: may hold nothing, must be there → must hold something, must be there", Effect.NARROWER),
        (
            with_(A, nullable=True),
            with_(A, has_default=True, default=1),
            "a: may hold nothing, must be there → must hold something, 1 where it is missing",
            Effect.WIDER,
        ),
        (with_(A, has_default=True, default=1), with_(A, has_default=True, default=2), "a: default: 1 → 2", Effect.SAME),
        # within records and lists
        (record(with_(A, le=10)), record(with_(A, le=9)), "r.a: maximum: at most 10 → at most 9", Effect.NARROWER),
        (record(A), record(A, S), "r.s was added: str, required", Effect.NARROWER),
        (many(with_(A, le=1)), many(with_(A, le=2)), "l[]: maximum: at most 1 → at most 2", Effect.WIDER),
        (many(record(A)), many(record(A, with_(S, nullable=True, has_default=True))), "l[].s was added: str, optional", Effect.SAME),
        (record(A), record(A, with_(S, nullable=True)), "r.s was added: str, optional", Effect.SAME),
        (record(A, with_(S, has_default=True, default="x")), record(A), "r.s was removed: str, optional", Effect.SAME),
        (A, with_(S, name="a"), "a: int → str", Effect.OTHER),
        # annotations
        (with_(A, pii="age"), A, "a: pii: age → none", Effect.SAME),
        (A, with_(A, tags={"layer": "gold"}), "a: tag layer: nothing → 'gold'", Effect.SAME),
        (with_(A, unit="s"), with_(A, unit="ms"), "a: unit: s → ms", Effect.OTHER),
        (A, with_(A, coercion=Coercion.STRICT), "a: coercion: as around it → strict", Effect.NARROWER),
        (A, with_(A, description="x"), "a: description is worded anew", Effect.SAME),
    ],
)  # fmt: skip
def test_a_change_of_a_field_is_told_with_its_effect(old, new, text, effect):
    changes = diff(spec(old), spec(new)).changes
    assert (text, effect) in [(change.text, change.effect) for change in changes]


@pytest.mark.parametrize("coercion", [Coercion.STRICT, Coercion.LENIENT])
def test_only_a_safe_policy_takes_values_of_another_kind_without_loss(coercion):
    """A strict one takes none, a lenient one cuts 12.7 to 12, which is not what another kind makes of it."""
    pair = [
        replace(one, coercion=coercion)
        for one in (
            spec(with_(A, ge=0, le=12)),
            spec(FieldSpec("a", Kind.DECIMAL, ge="0", le="12")),
        )
    ]
    assert diff(*pair).effect is Effect.OTHER
    assert diff(*(replace(one, coercion=Coercion.SAFE) for one in pair)).effect is Effect.WIDER


def test_another_place_of_rounding_may_fall_behind_a_bound():
    old, new = with_(D, le="1.26"), with_(D, digits=8, scale=3, le="1.26")
    assert diff(spec(old), spec(new)).effect is Effect.WIDER
    lenient = [spec(one, coercion=Coercion.LENIENT) for one in (old, new)]
    assert diff(*lenient).effect is Effect.OTHER


def test_what_is_inside_goes_by_the_policy_around_it():
    def within(policy):
        return spec(with_(record(with_(A, ge=0, le=9)), coercion=policy), coercion=Coercion.SAFE)

    changed = spec(with_(record(FieldSpec("a", Kind.FLOAT, ge=0, le=9)), coercion=Coercion.STRICT))
    assert diff(within(Coercion.STRICT), changed).effect is Effect.OTHER
    free = spec(record(FieldSpec("a", Kind.FLOAT, ge=0, le=9)))
    assert diff(within(None), free).effect is Effect.WIDER


def test_choices_are_tried_one_by_one_where_a_rule_cannot_be_compared():
    old = with_(S, choices=("AB", "CD"), pattern="[A-D]{2}")
    new = with_(S, choices=("AB", "CD", "x"), pattern="[A-Z]+|x", max_length=2)
    assert diff(spec(old), spec(new)).effect is Effect.WIDER


ADDED_OPTIONAL = (spec(A), spec(A, with_(S, nullable=True, has_default=True)))
ADDED_REQUIRED = (spec(A), spec(A, S))
REMOVED_OPTIONAL = ADDED_OPTIONAL[::-1]
REMOVED_REQUIRED = ADDED_REQUIRED[::-1]
TIGHTENED = (spec(with_(A, le=10)), spec(with_(A, le=9)))
LOOSENED = TIGHTENED[::-1]
OTHER = (spec(with_(S, pattern="a")), spec(with_(S, pattern="b")))


@pytest.mark.parametrize(
    ("pair", "backward", "forward"),
    [
        (ADDED_OPTIONAL, True, True),
        (ADDED_REQUIRED, False, True),
        (REMOVED_OPTIONAL, True, True),
        (REMOVED_REQUIRED, True, False),
        (TIGHTENED, False, True),
        (LOOSENED, True, False),
        (OTHER, False, False),
    ],
)
def test_modes_are_those_of_schema_registries(pair, backward, forward):
    changes = diff(*pair)
    assert (not breaking(changes, Mode.BACKWARD)) is backward
    assert (not breaking(changes, Mode.FORWARD)) is forward
    assert (not breaking(changes, Mode.FULL)) is (backward and forward)
    assert breaking(changes, Mode.NONE) == ()


def test_a_transitive_mode_asks_about_every_earlier_version():
    first = spec(with_(A, le=20))
    second = replace(spec(A), version="1.1.0")
    third = replace(spec(with_(A, le=30)), version="1.2.0")
    fourth = replace(spec(with_(A, le=25)), version="1.3.0")
    known = [third, first, second]
    assert [one.against for one in verdicts(fourth, known, Mode.BACKWARD)] == ["1.2.0"]
    found = verdicts(fourth, known, Mode.BACKWARD_TRANSITIVE)
    assert [(one.against, one.is_compatible) for one in found] == [
        ("1.2.0", False),
        ("1.1.0", False),
        ("1.0.0", True),
    ]


def test_a_version_between_others_is_held_against_both_sides():
    known = [spec(A), spec(A, S, version="2.0.0"), spec(A, version="3.0.0")]
    new = spec(with_(A, le=5), version="1.1.0")
    found = verdicts(new, known, Mode.BACKWARD)
    assert [(one.against, len(one.breaking)) for one in found] == [("1.0.0", 1), ("2.0.0", 1)]
    found = verdicts(new, known, Mode.FULL_TRANSITIVE)
    assert [one.against for one in found] == ["1.0.0", "2.0.0", "3.0.0"]
    assert [one.against for one in verdicts(new, known, Mode.FULL, same_major=True)] == ["1.0.0"]


@pytest.mark.parametrize(
    ("old", "new", "bump"),
    [
        (spec(A), spec(A), Bump.NONE),
        (spec(A), spec(with_(A, description="x")), Bump.PATCH),
        (*ADDED_OPTIONAL, Bump.MINOR),
        (*LOOSENED, Bump.MINOR),
        (*ADDED_REQUIRED, Bump.MAJOR),
        (*TIGHTENED, Bump.MAJOR),
        (*REMOVED_OPTIONAL, Bump.MAJOR),
        (spec(A), spec(FieldSpec("a", Kind.FLOAT)), Bump.MAJOR),
        (spec(A, S), spec(S, A), Bump.MINOR),
        (spec(A), spec(with_(A, pii="age")), Bump.MINOR),
        (spec(A, key=("a",)), spec(A), Bump.MAJOR),
    ],
)
def test_each_change_asks_for_a_part_of_the_version(old, new, bump):
    assert bump_of(diff(old, new)) is bump


def test_under_a_mode_that_looks_forward_what_is_loosened_is_major():
    assert bump_of(diff(*LOOSENED), Mode.FORWARD) is Bump.MAJOR
    assert bump_of(diff(*TIGHTENED), Mode.FORWARD) is Bump.MINOR


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        ((), ("a",), Effect.NARROWER),
        (("a", "s"), ("a",), Effect.NARROWER),
        (("a",), ("a", "s"), Effect.WIDER),
        (("a",), (), Effect.WIDER),
        (("a",), ("s",), Effect.OTHER),
    ],
)
def test_a_shorter_key_takes_less(old, new, effect):
    (change,) = diff(spec(A, S, key=old), spec(A, S, key=new)).changes
    assert (change.sort, change.effect) == (Sort.KEY, effect)


def test_the_order_of_a_key_is_no_change():
    assert diff(spec(A, S, key=("a", "s")), spec(A, S, key=("s", "a"))).changes == ()


@pytest.mark.parametrize(
    ("old", "new", "text", "effect"),
    [
        ((), (rule("a > 0"),), "rule positive was added: a > 0", Effect.NARROWER),
        ((rule("a > 0"),), (), "rule positive was removed: a > 0", Effect.WIDER),
        ((rule("a > 0"),), (rule("a > 1", 1),), "rule positive: a > 0 → a > 1", Effect.OTHER),
        ((rule("a > 0"),), (rule("a > 0", name="p"),), "rule positive is called p", Effect.SAME),
        ((rule("a > 0"),), (rule("a>0"),), "rule positive is worded anew", Effect.SAME),
    ],
)
def test_rules_are_compared_by_what_they_say(old, new, text, effect):
    (change,) = diff(spec(A, rules=old), spec(A, rules=new)).changes
    assert (change.text, change.effect) == (text, effect)


def test_what_lets_people_see_more_is_marked():
    hidden = with_(S, pii="email", mask="redact", access=("support",))
    shown = with_(S, access=("support", "sales"))
    exposing = [change.what for change in diff(spec(hidden), spec(shown)).exposing]
    assert exposing == ["pii", "mask", "access"]
    assert diff(spec(shown), spec(hidden)).exposing == ()


def test_a_field_that_is_gone_and_one_like_it_are_told_as_a_rename_perhaps():
    old = spec(A, with_(S, name="tail_number", max_length=6), F)
    new = spec(A, with_(S, name="tailnum", max_length=6), D)
    (rename,) = diff(old, new).renames
    assert (rename.old, rename.new) == ("tail_number", "tailnum")


def test_a_moved_field_is_told_once():
    (change,) = diff(spec(A, S, F), spec(F, A, S)).changes
    assert change.text == "order: a, s, f → f, a, s"


def test_a_witness_shows_what_breaks():
    old, new = spec(with_(A, le=10), S), spec(with_(A, le=9), S)
    (change,) = diff(old, new).changes
    found = witness(change, old, new)
    assert found is not None
    assert found.row == {"a": 10}
    assert found.reasons == ("a is 10, not at most 9",)
    assert witness(change, new, old) is None


def test_a_required_field_that_was_added_is_missed():
    old, new = ADDED_REQUIRED
    (change,) = diff(old, new).changes
    found = witness(change, old, new)
    assert found is not None
    assert found.reasons == ("s is not there",)


def test_a_witness_is_found_inside_records_and_lists():
    old = spec(record(with_(A, le=10), S), many(record(with_(S, max_length=5))))
    new = spec(record(with_(A, le=9), S), many(record(with_(S, max_length=4))))
    inside, in_list = (witness(change, old, new) for change in diff(old, new).changes)
    assert inside is not None
    assert inside.row == {"r": {"a": 10}}
    assert in_list is not None
    assert in_list.reasons == ("l[0].s is 'aaaaa', not at most 4 characters long",)


def test_a_witness_is_found_against_a_rule():
    both = (with_(A, ge=0, le=5), FieldSpec("b", Kind.INT))
    said = RuleSpec("ordered", "a <= b", Binary(Operator.LE, Name("a"), Name("b")))
    old, new = spec(*both), spec(*both, rules=(said,))
    (change,) = diff(old, new).changes
    found = witness(change, old, new)
    assert found is not None
    assert found.row["a"] > found.row["b"]
    assert witness(change, new, old) is None


def test_under_a_rule_it_counts_what_a_field_is_taken_for():
    """A row without the column keeps the rule by one default, and breaks it by the other; a number keeps it for being beyond 64 bits."""
    old, new = (with_(A, has_default=True, default=default) for default in (5, -1))
    assert diff(spec(old), spec(new)).effect is Effect.SAME
    ruled = [spec(one, rules=(rule("a > 0"),)) for one in (old, new)]
    assert diff(*ruled).effect is Effect.OTHER
    bounded = with_(A, ge=0, le=9)
    wider = FieldSpec("a", Kind.FLOAT, ge=0.0, le=9.0)
    assert diff(spec(bounded), spec(wider)).effect is Effect.WIDER
    assert diff(*(spec(one, rules=(rule("a > 0"),)) for one in (bounded, wider))).effect is Effect.OTHER  # fmt: skip
    assert diff(spec(S, old, rules=(rule("a > 0"),)), spec(with_(S, has_default=True, default="x"), old, rules=(rule("a > 0"),))).effect is Effect.WIDER  # fmt: skip


def test_choices_of_text_are_not_those_of_bytes():
    text, raw = (FieldSpec("s", kind, choices=("é",)) for kind in (Kind.STR, Kind.BYTES))
    assert diff(spec(text), spec(raw)).effect is Effect.OTHER
