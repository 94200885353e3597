"""What a contract's class means, and what is told about one that does not hold together."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Optional

import annotated_types
import msgspec
import pydantic
import pytest
from runink import Contract, Field
from runink.contracts.contract import spec_of
from runink.contracts.fields import Coercion, FieldSpec, Kind
from runink.errors import Invalid


def one(annotation, *default):
    """Return the spec of a contract's only field, `x`."""
    body = {"__annotations__": {"x": annotation}, "__module__": __name__}
    if default:
        body["x"] = default[0]
    return spec_of(type("C", (Contract,), body)).fields[0]


def mistakes(annotation, *default):
    with pytest.raises(Invalid) as caught:
        one(annotation, *default)
    return [finding.code for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, Kind.INT),
        (float, Kind.FLOAT),
        (bool, Kind.BOOL),
        (str, Kind.STR),
        (bytes, Kind.BYTES),
        (date, Kind.DATE),
        (datetime, Kind.DATETIME),
        (time, Kind.TIME),
        (Decimal, Kind.DECIMAL),
        (Literal["a", "b"], Kind.STR),
        (Literal[1, 2], Kind.INT),
    ],
)
def test_each_type_has_its_kind(annotation, kind):
    assert one(annotation).kind is kind


@pytest.mark.parametrize(
    "annotation",
    [
        int | None,
        Optional[int],  # noqa: UP045 - people write it
        Annotated[int | None, "prose"],
        Annotated[int, Field(tags={"a": "b"})] | None,
    ],
)
def test_a_field_that_may_hold_nothing_says_so(annotation):
    spec = one(annotation)
    assert (spec.kind, spec.nullable) == (Kind.INT, True)


def test_literals_are_choices_and_none_among_them_is_nothing():
    assert one(Literal["a", "b", None]) == FieldSpec(  # noqa: PYI061 - people write it
        "x", Kind.STR, nullable=True, choices=("a", "b")
    )


def test_a_default_may_stand_behind_the_field_or_in_it():
    assert one(int, 3).default == 3
    assert one(Annotated[int, Field(default=3)]).default == 3
    assert one(int, Field(default=3, ge=1)) == FieldSpec(
        "x", Kind.INT, has_default=True, default=3, ge=1
    )
    assert one(int | None, None) == FieldSpec("x", Kind.INT, nullable=True, has_default=True)
    assert one(Annotated[int | None, Field(default=None)]).has_default


def test_bounds_and_defaults_stand_as_plain_values():
    day = one(Annotated[date, Field(ge=date(2013, 1, 1), lt="2014-01-01")])
    assert (day.ge, day.lt) == ("2013-01-01", "2014-01-01")
    moment = one(
        Annotated[datetime, Field(ge=datetime(2013, 1, 1, tzinfo=UTC))], "2013-02-01T02:00+02:00"
    )
    assert (moment.ge, moment.default) == ("2013-01-01T00:00:00+00:00", "2013-02-01T00:00:00+00:00")
    assert one(Annotated[Decimal, Field(digits=5, scale=2)], Decimal("1.50")).default == "1.50"
    assert one(Annotated[float, Field(ge=1)]).ge == 1.0
    assert one(bytes, b"\xff").default == "\xff"


def test_constraints_of_others_are_read_by_their_names():
    wanted = FieldSpec("x", Kind.INT, ge=1, le=12)
    assert one(Annotated[int, pydantic.Field(ge=1, le=12)]) == wanted
    assert one(Annotated[int, msgspec.Meta(ge=1, le=12)]) == wanted
    assert one(Annotated[int, annotated_types.Ge(1), annotated_types.Le(12)]) == wanted
    assert one(Annotated[int, annotated_types.Interval(ge=1, le=12)]) == wanted
    text = FieldSpec("x", Kind.STR, min_length=1, max_length=3)
    assert one(Annotated[str, annotated_types.Len(1, 3)]) == text
    assert one(Annotated[str, pydantic.Field(min_length=1, max_length=3)]) == text
    assert one(Annotated[str, pydantic.Field(pattern="[a-z]+")]).pattern == "[a-z]+"
    assert one(str, pydantic.Field(min_length=1, max_length=3)) == text
    assert one(int, pydantic.Field(default=4)).default == 4
    fives = FieldSpec("x", Kind.INT, multiple_of=5)
    assert one(Annotated[int, pydantic.Field(multiple_of=5)]) == fives
    assert one(Annotated[int, msgspec.Meta(multiple_of=5)]) == fives
    assert one(Annotated[int, annotated_types.MultipleOf(5)]) == fives
    assert one(Annotated[int, pydantic.Field(strict=True)]).coercion is Coercion.STRICT
    money = one(Annotated[Decimal, pydantic.Field(max_digits=10, decimal_places=2)])
    assert (money.digits, money.scale) == (10, 2)


@pytest.mark.parametrize(
    "constraint",
    [
        msgspec.Meta(tz=True),
        annotated_types.Timezone("UTC"),
        annotated_types.Predicate(bool),
    ],
)
def test_a_constraint_that_cannot_be_kept_is_a_mistake(constraint):
    assert mistakes(Annotated[int, constraint]) == ["C003"]


def test_what_stands_in_an_annotation_for_others_is_left_alone():
    assert one(Annotated[int, "prose", object(), {"ge": 5}]) == FieldSpec("x", Kind.INT)


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        ("Unknown", "C001"),
        ("int |", "C001"),
        (list, "C002"),
        (dict[str, int], "C002"),
        (complex, "C002"),
        (int | str, "C002"),
        (Annotated[bool, Field(ge=1)], "C003"),
        (Annotated[int, Field(pattern="a")], "C003"),
        (Annotated[str, Field(digits=3)], "C003"),
        (Annotated[int, Field(ge="1")], "C004"),
        (Annotated[int, Field(ge=0.5)], "C004"),
        (Annotated[int, Field(ge=True)], "C004"),
        (Annotated[int, Field(le=2**63)], "C004"),
        (Annotated[float, Field(le=float("nan"))], "C004"),
        (Annotated[date, Field(ge="2013-02-30")], "C004"),
        (Annotated[str, Field(min_length=-1)], "C004"),
        (Annotated[str, Field(tags=("a",))], "C004"),
        (Annotated[str, Field(tags={"a": 1})], "C004"),
        (Annotated[Decimal, Field(digits=5)], "C004"),
        (Annotated[Decimal, Field(digits=39, scale=2)], "C004"),
        (Annotated[Decimal, Field(digits=3, scale=4)], "C005"),
        (Annotated[int, Field(ge=2, le=1)], "C005"),
        (Annotated[int, Field(gt=1, lt=1)], "C005"),
        (Annotated[int, Field(ge=1, gt=1)], "C005"),
        (Annotated[str, Field(min_length=3, max_length=2)], "C005"),
        (Annotated[str, Field(pattern="[")], "C007"),
        (Annotated[str, Field(pattern="(?=a)b")], "C007"),
        (Annotated[str, Field(pattern=r"(a)\1")], "C007"),
        (Annotated[str, Field(pattern=7)], "C007"),
        (Literal["a", 1], "C008"),
        (Literal[True, False], "C008"),
    ],
)  # fmt: skip
def test_what_a_field_cannot_be_has_a_code(annotation, code):
    assert mistakes(annotation) == [code]


@pytest.mark.parametrize("pattern", [r"\(?=", "[(?=]+", r"\++", r"\\1x", r"[*+]+"])
def test_a_pattern_that_only_looks_like_what_re2_lacks_is_taken(pattern):
    assert one(Annotated[str, Field(pattern=pattern)]).pattern == pattern


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (int, None),
        (int, "1"),
        (int, True),
        (Annotated[int, Field(ge=1)], 0),
        (Literal["a"], "b"),
        (Annotated[str, Field(pattern="[a-z]")], "ab"),
        (Annotated[str, Field(min_length=2)], "a"),
        (Annotated[Decimal, Field(digits=3, scale=2)], Decimal("10.5")),
        (Annotated[Decimal, Field(digits=3, scale=2)], Decimal("1.555")),
    ],
)
def test_a_default_must_keep_the_fields_own_rules(annotation, default):
    assert mistakes(annotation, default) == ["C006"]


def test_all_mistakes_are_told_at_once_with_their_lines():
    with pytest.raises(Invalid) as caught:

        class Wrong(Contract, version="one"):
            month: Annotated[int, Field(ge=13, le=12)]
            stray = 3
            day: Unknown  # noqa: F821 - that is what is wrong
            key = ("mont",)

    findings = {finding.code: finding for finding in caught.value.findings}
    assert set(findings) == {"C001", "C005", "C009", "C010", "C012"}
    assert findings["C005"].source_line.strip().startswith("month:")
    span = findings["C012"].span
    assert span is not None
    assert (span.file, span.column) == (__file__, 13)
    assert findings["C009"].source_line.strip().startswith("class Wrong")
    assert findings["C010"].hint == "did you mean month?"
    assert "4 mistakes" not in caught.value.text
    assert "5 mistakes" in caught.value.text


def test_fields_of_the_bases_come_first_and_keep_their_place():
    class Base(Contract):
        a: int
        b: int
        key = ("a",)

    class Mixin(Contract):
        c: str

    class Both(Base, Mixin, version="2.0.0"):
        """Both."""

        d: date
        b: Annotated[int, Field(ge=1)]

    spec = spec_of(Both)
    assert [field.name for field in spec.fields] == ["c", "a", "b", "d"]
    assert spec.fields[2].ge == 1
    assert (spec.name, spec.version, spec.key, spec.description) == (
        "Both",
        "2.0.0",
        ("a",),
        "Both.",
    )


def test_a_contract_needs_a_field():
    with pytest.raises(Invalid, match="has no field"):
        type("Empty", (Contract,), {})


def test_a_key_must_be_there_in_every_row():
    with pytest.raises(Invalid, match="may hold nothing"):

        class Loose(Contract):
            a: int | None
            key = ("a",)


def test_a_key_is_a_tuple():
    with pytest.raises(Invalid, match="is no tuple"):

        class Loose(Contract):
            a: int
            key = "a"


def test_a_field_may_be_called_key():
    class Pair(Contract):
        key: str
        value: str

    assert [field.name for field in spec_of(Pair).fields] == ["key", "value"]
    assert spec_of(Pair).key == ()


def test_a_column_may_have_any_name_but_only_once():
    class Named(Contract):
        plane: Annotated[str, Field(name="Tail number")]
        key = ("plane",)

    assert spec_of(Named).fields[0].name == "Tail number"
    assert spec_of(Named).key == ("Tail number",)
    with pytest.raises(Invalid, match="are both the column"):

        class Twice(Contract):
            a: int
            b: Annotated[int, Field(name="a")]


def test_methods_and_class_variables_are_no_fields():
    class Helped(Contract):
        a: int
        limit: ClassVar[int] = 3
        _private = 1

        def helper(self):
            return self.limit

    assert [field.name for field in spec_of(Helped).fields] == ["a"]


def test_the_hash_follows_the_meaning_not_the_prose():
    def made(doc, unit, bound):
        body = {
            "__annotations__": {"x": Annotated[int, Field(ge=bound, unit=unit, description=doc)]},
            "__doc__": doc,
        }
        return spec_of(type("C", (Contract,), body)).hash

    assert made("one", "m", 1) == made("other", "m", 1)
    assert made("one", "m", 1) != made("one", "m", 2)
    assert made("one", "m", 1) != made("one", "km", 1)


def test_a_spec_survives_the_wire():
    class Wired(Contract):
        a: Annotated[Decimal, Field(ge="1.5", digits=5, scale=2)] = Decimal("2.50")
        b: Annotated[bytes, Field(max_length=3, pii="key", tags={"a": "b"})] = b"\xff\x00"
        c: Annotated[float, Field(allow_inf_nan=True)] = 0.5

    spec = spec_of(Wired)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=type(spec)) == spec
    assert msgspec.json.decode(msgspec.json.encode(spec), type=type(spec)) == spec


def test_importing_contracts_stays_light():
    code = "import sys; from runink import Contract, Field; import runink.contracts.loading; print(sorted({'pyarrow', 'pydantic', 'polars', 'numpy', 'duckdb'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "version",
    [
        "1.0",
        "1",
        "v1.0.0",
        "1.0.0-",
        "1.0.0-.",
        "1.0.0-a..b",
        "01.0.0",
        f"{10**12}.0.0",
        "1.0.0+x",
        1,
    ],
)
def test_a_version_is_one_that_can_be_published(version):
    with pytest.raises(Invalid) as caught:

        class Odd(Contract, version=version):
            a: int

    assert [finding.code for finding in caught.value.findings] == ["C009"]


def test_a_key_names_each_field_once():
    with pytest.raises(Invalid, match="key names 'a' twice") as caught:

        class Twice(Contract):
            a: int
            key = ("a", "a")

    assert [finding.code for finding in caught.value.findings] == ["C010"]
