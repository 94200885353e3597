"""What a contract's class may say beyond plain fields: steps, forms, choices, records, lists, policies, masks, access and rules over a row."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
from runink import Contract, Field, Rule
from runink.contracts.contract import spec_of
from runink.contracts.fields import Coercion, FieldSpec, Kind
from runink.errors import Invalid
from runink.expressions import Binary, Name, Operator


def one(annotation, *default):
    """Return the spec of a contract's only field, `x`."""
    body = {"__annotations__": {"x": annotation}, "__module__": __name__}
    if default:
        body["x"] = default[0]
    return spec_of(type("C", (Contract,), body)).fields[0]


def mistakes(annotation, *default):
    with pytest.raises(Invalid) as caught:
        one(annotation, *default)
    return [(finding.code, finding.text) for finding in caught.value.findings]


def codes(annotation, *default):
    return [code for code, _ in mistakes(annotation, *default)]


class Address(Contract):
    street: str
    zip: Annotated[str, Field(pattern="[0-9]{5}")]


class Point(TypedDict):
    x: float
    y: NotRequired[float]


@dataclass
class Sized:
    width: int
    height: int = 3
    parts: list[int] = field(default_factory=list)


@dataclass
class Itself:
    inner: Itself | None = None


class Pair(NamedTuple):
    a: int
    b: str = "x"


class Packed(msgspec.Struct):
    a: Annotated[int, msgspec.Meta(ge=1)]
    b: str | None = None


class Modelled(pydantic.BaseModel):
    a: int = pydantic.Field(ge=1)
    b: str = "x"


class Plain:
    a: int
    b: str = "x"
    _hidden: int = 1


class Origin(enum.Enum):
    JFK = "JFK"
    EWR = "EWR"


def test_what_a_field_says_stands_in_its_spec():
    assert one(Annotated[int, Field(multiple_of=5)]).multiple_of == 5
    assert one(Annotated[Decimal, Field(multiple_of="0.05")]).multiple_of == "0.05"
    assert one(Annotated[float, Field(multiple_of=1)]).multiple_of == 1.0
    assert one(Annotated[str, Field(format="email")]).format == "email"
    assert one(Annotated[str, Field(unique=True)]).unique
    assert one(Annotated[str, Field(coerce="strict")]).coercion is Coercion.STRICT
    assert one(Annotated[str, Field(access="analyst")]).access == ("analyst",)
    assert one(Annotated[str, Field(access=("a", "b"))]).access == ("a", "b")
    assert one(Annotated[str, Field(lineage="crm.customers.mail")]).lineage == "crm.customers.mail"


def test_choices_may_be_long_and_of_any_kind():
    many = [f"code-{number}" for number in range(5000)]
    assert one(Annotated[str, Field(choices=many)]).choices == tuple(many)
    assert one(Annotated[date, Field(choices=[date(2013, 1, 1)])]).choices == ("2013-01-01",)
    assert one(Annotated[Decimal, Field(choices=["1.5"])]).choices == ("1.5",)
    assert one(Origin) == FieldSpec("x", Kind.STR, choices=("JFK", "EWR"))


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        (Annotated[int, Field(multiple_of=0)], "C004"),
        (Annotated[int, Field(multiple_of=0.5)], "C004"),
        (Annotated[float, Field(multiple_of=float("inf"))], "C004"),
        (Annotated[str, Field(multiple_of=2)], "C003"),
        (Annotated[str, Field(unique="yes")], "C004"),
        (Annotated[list[int], Field(unique=True)], "C003"),
        (list[Annotated[int, Field(unique=True)]], "C003"),
        (list[Annotated[int, Field(name="n")]], "C003"),
        (Annotated[list[int], Field(ge=1)], "C003"),
        (Annotated[list[int], Field(min_length=2, max_length=1)], "C005"),
        (Annotated[bool, Field(choices=[True])], "C003"),
        (Annotated[str, Field(choices="ab")], "C008"),
        (Annotated[str, Field(choices=[])], "C005"),
        (Annotated[str, Field(choices=["a", 1])], "C008"),
        (Annotated[str, Field(choices=["a", "a"])], "C008"),
        (Annotated[int, Field(choices=range(10_001))], "C008"),
        (Annotated[int, Field(choices=[1, 2], ge=5)], "C005"),
        (Annotated[Origin, Field(choices=["JFK"])], "C005"),
        (Annotated[str, Field(format="e-mail")], "C013"),
        (Annotated[int, Field(format="email")], "C003"),
        (Annotated[str, Field(mask="blur")], "C014"),
        (Annotated[float, Field(mask="truncate(3)")], "C014"),
        (Annotated[str, Field(mask="truncate")], "C014"),
        (Annotated[int, Field(mask="generalise(0)")], "C014"),
        (Annotated[date, Field(mask="generalise(hour)")], "C014"),
        (Annotated[int, Field(mask="redact(1)")], "C014"),
        (Annotated[int, Field(coerce="lax")], "C015"),
        (Annotated[int, Field(access=("a", 1))], "C016"),
        (Annotated[int, Field(access="no role!")], "C016"),
        (Itself, "C017"),
        (Annotated[str, Field(pattern=r"a\Z")], "C007"),
        (Annotated[str, Field(pattern="a{2,1001}")], "C007"),
        (Annotated[str, Field(pattern="a*+")], "C007"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_code(annotation, code):
    assert codes(annotation) == [code]


@pytest.mark.parametrize(
    ("annotation", "hint"),
    [
        (Annotated[str, Field(format="emial")], "did you mean email?"),
        (Annotated[str, Field(mask="redakt")], "did you mean redact?"),
        (Annotated[str, Field(coerce="strickt")], "did you mean strict?"),
    ],
)
def test_what_is_misspelt_is_guessed(annotation, hint):
    with pytest.raises(Invalid) as caught:
        one(annotation)
    assert caught.value.findings[0].hint == hint


@pytest.mark.parametrize("pattern", [r"\pL+", r"\x{1F600}", "[[:alpha:]]+", r"(?i)a\z", r"\Qa.b\E"])
def test_every_pattern_of_re2_is_taken(pattern):
    assert one(Annotated[str, Field(pattern=pattern)]).pattern == pattern


def test_an_equal_choice_is_told():
    assert codes(Annotated[Decimal, Field(choices=["1.5", "1.50"])]) == ["C008"]


def test_a_pattern_that_goes_on_beyond_its_end_is_refused():
    assert codes(Annotated[str, Field(pattern=r"\Qa.b")]) == ["C007"]


def test_a_very_long_pattern_is_not_shown_whole():
    with pytest.raises(Invalid) as caught:
        one(Annotated[str, Field(pattern="a" * 20_000)])
    assert len(caught.value.findings[0].text) < 200


def test_no_default_takes_for_ever():
    assert codes(Annotated[str, Field(pattern="(a+)+b")], "a" * 200 + "!") == ["C006"]
    assert codes(Annotated[str, Field(pattern="(a|a)*b", choices=["a" * 200])]) == ["C005"]


def test_a_default_is_held_against_a_pattern_as_re2_reads_it():
    assert codes(Annotated[str, Field(pattern=r"\d")], "\u0663") == ["C006"]
    assert codes(Annotated[str, Field(pattern="a$")], "a\n") == ["C006"]
    assert codes(Annotated[str, Field(format="uuid")], "x") == ["C006"]
    assert codes(Annotated[int, Field(multiple_of=5)], 7) == ["C006"]


def test_a_contract_a_dataclass_and_a_typed_dict_are_records():
    record = one(Address)
    assert (record.kind, [inner.name for inner in record.fields]) == (
        Kind.RECORD,
        ["street", "zip"],
    )
    assert record.fields[1].pattern == "[0-9]{5}"
    point = one(Point | None)
    assert point.nullable
    assert point.fields[0] == FieldSpec("x", Kind.FLOAT)
    assert point.fields[1] == FieldSpec("y", Kind.FLOAT, nullable=True, has_default=True)
    b = FieldSpec("b", Kind.STR, has_default=True, default="x")
    for cls in (Pair, Plain):
        assert one(cls).fields == (FieldSpec("a", Kind.INT), b)
    assert one(Modelled).fields == (FieldSpec("a", Kind.INT, ge=1), b)
    null = FieldSpec("b", Kind.STR, nullable=True, has_default=True)
    assert one(Packed).fields == (FieldSpec("a", Kind.INT, ge=1), null)


def test_lists_say_what_they_hold_and_how_many():
    spec = one(Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=9)])
    assert (spec.kind, spec.min_length, spec.max_length) == (Kind.LIST, 1, 9)
    assert spec.items == FieldSpec("item", Kind.INT, ge=1)
    deep = one(list[list[Address | None]])
    assert deep.items is not None
    assert deep.items.items is not None
    assert deep.items.items.nullable


def test_mistakes_inside_name_the_way_to_them():
    class Inner(TypedDict):
        n: Annotated[int, Field(pattern="a")]
        c: complex

    assert mistakes(list[Inner]) == [
        ("C003", "x[].n: pattern says nothing about an int"),
        ("C002", "x[].c: complex is no type of a contract's field"),
    ]
    assert codes(Sized) == ["C006"], "a default that a function makes"


def test_too_many_levels_are_a_mistake():
    kind: Any = int
    for _ in range(20):
        kind = list[kind]
    assert codes(kind) == ["C017"]


def test_the_only_default_of_a_record_or_list_is_nothing():
    assert one(list[int] | None, None).has_default
    assert codes(list[int], []) == ["C006"]


def test_masks_are_kept_in_one_spelling():
    assert one(Annotated[str, Field(mask=" truncate( 4 ) ")]).mask == "truncate(4)"
    assert one(Annotated[date, Field(mask="generalize('month')")]).mask == "generalise(month)"
    assert one(Annotated[int, Field(mask="tokenize")]).mask == "tokenise"


def test_a_class_states_its_policy_and_its_tags():
    class Base(Contract, coercion="strict", tags={"owner": "ann"}):
        a: int

    class Below(Base, version="2.0.0", tags={"layer": "gold"}):
        b: Address

    spec = spec_of(Below)
    assert (spec.coercion, spec.tags) == (Coercion.STRICT, {"owner": "ann", "layer": "gold"})
    assert spec.fields[1].coercion is None, "Address states none, so what is around it holds"
    assert one(Base).coercion is Coercion.STRICT, "what it states holds wherever it is"


def test_a_wrong_policy_and_wrong_tags_are_mistakes_of_the_class():
    with pytest.raises(Invalid) as caught:

        class Wrong(Contract, coercion="loose", tags={"a": 1}):
            a: int

    assert [finding.code for finding in caught.value.findings] == ["C015", "C004"]


def test_rules_are_read_where_the_spec_is_asked_for():
    class Flight(Contract):
        dep: int
        arr: int
        rules = {"arrives after it leaves": "arr > dep"}  # noqa: RUF012 - as people write it

    (rule,) = spec_of(Flight).rules
    assert (rule.name, rule.text) == ("arrives after it leaves", "arr > dep")
    assert rule.expression == Binary(Operator.GT, Name("arr"), Name("dep"))


def test_rules_may_be_a_list_and_are_inherited_by_name():
    class Base(Contract):
        a: int
        rules = ["a > 0", Rule("a < 9", name="small", description="fits a digit")]  # noqa: RUF012 - as people write it

    class Below(Base):
        b: int
        rules = {"small": "a < 5", "more": "b > a"}  # noqa: RUF012 - as people write it

    assert [(rule.name, rule.text) for rule in spec_of(Below).rules] == [
        ("a > 0", "a > 0"), ("small", "a < 5"), ("more", "b > a"),
    ]  # fmt: skip
    assert spec_of(Base).rules[1].description == "fits a digit"


@pytest.mark.parametrize("rules", [3, {"a": 1}, ["a > 0", 5], ["a > 0", "a > 0"], {"x" * 101: "a > 0"}, {"x\n": "a > 0"}])  # fmt: skip
def test_rules_of_another_shape_are_a_mistake(rules):
    with pytest.raises(Invalid) as caught:
        type("C", (Contract,), {"__annotations__": {"a": int}, "rules": rules})
    assert {finding.code for finding in caught.value.findings} == {"C018"}


def test_a_rule_that_does_not_fit_is_told_at_its_own_line():
    class Flight(Contract):
        departs: int
        mail: str
        rules = {  # noqa: RUF012 - as people write it
            "one": "depart > 5",
            "two": "mail > 3",
            "three": "(",
        }

    with pytest.raises(Invalid) as caught:
        spec_of(Flight)
    findings = caught.value.findings
    assert [finding.code for finding in findings] == ["C019"] * 3
    assert findings[0].hint == "did you mean departs?"
    assert [finding.source_line.strip()[:5] for finding in findings] == ['"one"', '"two"', '"thre']


def test_a_record_with_rules_of_its_own_is_a_mistake():
    class Ruled(Contract):
        a: int
        rules = {"positive": "a > 0"}  # noqa: RUF012 - as people write it

    assert codes(Ruled) == ["C020"]


def test_a_field_may_be_called_rules():
    class Game(Contract):
        rules: str

    assert [one.name for one in spec_of(Game).fields] == ["rules"]


def test_the_spec_of_all_of_it_survives_the_wire():
    class Order(Contract, coercion="lenient", tags={"a": "b"}):
        id: Annotated[int, Field(unique=True, multiple_of=2)]
        at: Annotated[datetime, Field(mask="generalise(day)", access="ops")]
        to: Address
        items: Annotated[list[Pair], Field(max_length=3)]
        rules = {"late": "at > '2013-01-01' && size(items) > 0"}  # noqa: RUF012 - as people write it

    spec = spec_of(Order)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=type(spec)) == spec
    assert msgspec.json.decode(msgspec.json.encode(spec), type=type(spec)) == spec
