"""Documents of ODCS as others write them: what becomes a rule of ours, what is only told, and what is a mistake, each with its line."""

from __future__ import annotations

import textwrap

import msgspec
import pytest
from runink.contracts.documents import Read
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.odcs import written_document
from runink.contracts.odcs_text import odcs_document, read_odcs
from runink.contracts.yaml_text import write_yaml
from runink.errors import Finding, Invalid, NotFound

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: c1
version: 1.1.0
status: active
schema:
  - name: orders
    properties:
"""


def read(properties: str, *, head: str = HEAD, behind: str = "") -> Read:
    text = head + textwrap.indent(textwrap.dedent(properties), " " * 6) + behind
    return read_odcs(text, file="orders.odcs.yaml")


def field(property_: str) -> FieldSpec:
    return read(property_).spec.fields[0]


def findings(properties: str, **others: str) -> list[tuple[str, int, str]]:
    with pytest.raises(Invalid) as caught:
        read(properties, **others)
    return [(one.code, one.span.line if one.span else 0, one.text) for one in caught.value.findings]


def notes(properties: str, **others: str) -> list[tuple[int, str]]:
    def line(note: Finding) -> int:
        return note.span.line if note.span else 0

    return [(line(note), note.text) for note in read(properties, **others).notes]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("logicalType: integer", FieldSpec("x", Kind.INT, nullable=True)),
        ("logicalType: integer, required: true", FieldSpec("x", Kind.INT)),
        ("logicalType: integer, primaryKey: true", FieldSpec("x", Kind.INT)),
        ("logicalType: number, required: true", FieldSpec("x", Kind.FLOAT)),
        ("logicalType: number, physicalType: 'NUMERIC(10, 2)', required: true", FieldSpec("x", Kind.DECIMAL, digits=10, scale=2)),
        ("logicalType: number, physicalType: decimal, required: true", FieldSpec("x", Kind.DECIMAL)),
        ("logicalType: number, physicalType: double precision, required: true", FieldSpec("x", Kind.FLOAT)),
        ("logicalType: string, physicalType: VARBINARY(9), required: true", FieldSpec("x", Kind.BYTES)),
        ("logicalType: timestamp, required: true", FieldSpec("x", Kind.DATETIME)),
        ("logicalType: string, physicalName: X_1, required: true", FieldSpec("X_1", Kind.STR)),
        ("logicalType: integer, required: true, logicalTypeOptions: {format: u8}", FieldSpec("x", Kind.INT, ge=0, le=255)),
        ("logicalType: integer, required: true, logicalTypeOptions: {format: i64}", FieldSpec("x", Kind.INT)),
        ("logicalType: integer, required: true, logicalTypeOptions: {minimum: 1.0, exclusiveMaximum: 9, multipleOf: 2}", FieldSpec("x", Kind.INT, ge=1, lt=9, multiple_of=2)),
        ("logicalType: date, required: true, logicalTypeOptions: {minimum: 2020-01-01}", FieldSpec("x", Kind.DATE, ge="2020-01-01")),
        ("logicalType: string, required: true, logicalTypeOptions: {pattern: '^[A-Z]{2}$', maxLength: 2}", FieldSpec("x", Kind.STR, pattern="[A-Z]{2}", max_length=2)),
        ("logicalType: string, required: true, logicalTypeOptions: {format: byte}", FieldSpec("x", Kind.STR, format="base64")),
        ("logicalType: string, required: true, classification: PII", FieldSpec("x", Kind.STR, pii="personal")),
        ("logicalType: string, required: true, classification: restricted, criticalDataElement: true, tags: [a, b=c]", FieldSpec("x", Kind.STR, tags={"a": "", "b": "c", "classification": "restricted", "criticalDataElement": "true"})),
        ("logicalType: string, required: true, unique: true, description: d, transformDescription: t", FieldSpec("x", Kind.STR, unique=True, description="d", lineage="t")),
        ("logicalType: string, physicalType: bytea, required: true, description: d, customProperties: [{property: runinkMask, value: redact}]", FieldSpec("x", Kind.BYTES, description="d", mask="redact")),
        ("logicalType: string, required: true, enum: [{value: a}, b]", FieldSpec("x", Kind.STR, choices=("a", "b"))),
    ],
)  # fmt: skip
def test_a_property_becomes_a_field(said: str, expected: FieldSpec):
    assert field(f"- {{name: x, {said}}}\n") == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{metric: nullValues, mustBe: 0}", FieldSpec("x", Kind.STR)),
        ("{rule: nullValues, mustBe: 0}", FieldSpec("x", Kind.STR)),
        ("{metric: nullValues, mustBeLessThan: 1, unit: rows}", FieldSpec("x", Kind.STR)),
        ("{metric: duplicateValues, mustBeLessOrEqualTo: 0}", FieldSpec("x", Kind.STR, nullable=True, unique=True)),
        ("{metric: missingValues, mustBe: 0, arguments: {missingValues: [null, '']}}", FieldSpec("x", Kind.STR, min_length=1)),
        ("{metric: invalidValues, mustBe: 0, arguments: {validValues: [a, b]}}", FieldSpec("x", Kind.STR, nullable=True, choices=("a", "b"))),
        ("{type: library, metric: invalidValues, mustBe: 0, arguments: {pattern: '^a'}}", FieldSpec("x", Kind.STR, nullable=True, pattern="a(?s:.*)")),
    ],
)  # fmt: skip
def test_a_quality_rule_without_exceptions_is_enforced(rule: str, expected: FieldSpec):
    text = f"- {{name: x, logicalType: string, quality: [{rule}]}}\n"
    assert field(text) == expected
    assert notes(text) == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{metric: nullValues, mustBeLessThan: 5, unit: percent}", "(nullValues) is about the data as a whole"),
        ("{metric: nullValues, mustBeLessThan: 1, unit: percent}", "(nullValues) is about the data as a whole"),
        ("{metric: nullValues, mustBe: 0, severity: warning}", "(nullValues) is about the data as a whole"),
        ("{metric: missingValues, mustBe: 0, arguments: {missingValues: [N/A]}}", "(missingValues) is about the data as a whole"),
        ("{type: sql, name: fresh, query: SELECT 1, mustBe: 1}", "fresh is SQL of a server"),
        ("{type: text, description: verified}", "is prose"),
        ("{type: custom, engine: soda, implementation: x}", "is for soda"),
    ],
)  # fmt: skip
def test_every_other_quality_rule_is_told_with_its_line(rule: str, told: str):
    text = f"- name: x\n  logicalType: string\n  quality:\n    - {rule}\n"
    ((line, said),) = notes(text)
    assert (line, told in said, "not enforced" in said) == (12, True, True)
    assert field(text) == FieldSpec("x", Kind.STR, nullable=True)


def test_rules_of_the_whole_and_service_levels_are_told():
    behind = (
        "    quality:\n      - {metric: rowCount, mustBeGreaterThan: 10}\n"
        "    relationships:\n      - {from: orders.a, to: other.a}\n"
        "slaProperties:\n  - {property: latency, value: 4, unit: d}\n"
    )
    said = [text for _, text in notes("- {name: a, logicalType: string}\n", behind=behind)]
    assert any("rowCount" in text and "records" in text for text in said)
    assert "relationships are not enforced" in said
    assert "service levels (slaProperties) are not enforced" in said


@pytest.mark.parametrize(
    ("level", "assertion"),
    [
        ("{property: latency, value: 4, unit: d, element: orders.at}", "freshness(at) <= duration('4d')"),
        ("{property: freshness, value: 36, unit: Hours}", "freshness <= duration('36h')"),
        ("{property: latency, value: 0.5, unit: d, element: 'order at'}", "freshness(`order at`) <= duration('0.5d')"),
        ("{property: latency, value: 1, unit: y}", ""),
        ("{property: latency, value: four, unit: d}", ""),
        ("{property: retention, value: 3, unit: d}", ""),
        ("latency", ""),
    ],
)  # fmt: skip
def test_a_level_of_how_old_rows_may_be_names_the_assertion_that_checks_it(
    level: str, assertion: str
):
    behind = f"slaProperties:\n  - {level}\n"
    said = notes("- {name: a, logicalType: string}\n", behind=behind)
    told = [f'@assert("{assertion}") in a pipeline' in text for line, text in said if line == 11]
    assert told == ([True] if assertion else [])


def test_a_field_that_is_tagged_as_the_event_time_comes_so_from_a_document():
    found = field("- {name: at, logicalType: timestamp, tags: [event_time]}\n")
    assert found.tags == {"event_time": ""}


def test_records_and_lists_hold_fields_of_their_own():
    text = """\
    - name: at
      logicalType: object
      required: true
      logicalTypeOptions: {required: [lat]}
      properties:
        - {name: lat, logicalType: number}
        - {name: lon, logicalType: number}
    - name: tags
      logicalType: array
      required: true
      logicalTypeOptions: {minItems: 1, uniqueItems: true}
      items: {logicalType: string, required: true}
    """
    inner = (FieldSpec("lat", Kind.FLOAT), FieldSpec("lon", Kind.FLOAT, nullable=True))
    at, tags = read(text).spec.fields
    assert at == FieldSpec("at", Kind.RECORD, fields=inner)
    assert tags == FieldSpec("tags", Kind.LIST, min_length=1, items=FieldSpec("item", Kind.STR))
    assert [told for _, told in notes(text)] == ["uniqueItems is not enforced"]


def test_the_key_has_the_order_of_its_positions():
    text = """\
    - {name: a, logicalType: string, primaryKey: true, primaryKeyPosition: 2}
    - {name: b, logicalType: string, primaryKey: true, primaryKeyPosition: 1}
    """
    assert read(text).spec.key == ("b", "a")


def test_a_rule_of_ours_is_an_expression_over_the_fields():
    rule = "    quality:\n      - {name: later, type: custom, engine: runink, implementation: 'b > a', description: d}\n"
    properties = "- {name: a, logicalType: integer}\n- {name: b, logicalType: integer}\n"
    (found,) = read(properties, behind=rule).spec.rules
    assert (found.name, found.text, found.description) == ("later", "b > a", "d")
    wrong = rule.replace("b > a", "b > nowhere")
    ((code, line, text),) = findings(properties, behind=wrong)
    assert (code, line) == ("C019", 12)
    assert "nowhere" in text


def test_rules_come_back_from_a_document_as_they_were():
    rule = "    quality:\n      - {name: later, type: custom, engine: runink, implementation: 'b > a', description: d}\n      - {metric: rowCount, mustBe: 3}\n"
    properties = "- {name: a, logicalType: integer}\n- {name: b, logicalType: integer}\n"
    spec = read(properties, behind=rule).spec
    text = write_yaml(written_document(spec))
    assert read_odcs(text, file="orders.odcs.yaml").spec == spec
    over = odcs_document(HEAD + textwrap.indent(properties, " " * 6) + rule, file="x")
    assert written_document(spec, over=over) == over
    without = msgspec.structs.replace(spec, rules=())
    assert written_document(without, over=over)["schema"][0]["quality"] == [
        {"metric": "rowCount", "mustBe": 3}
    ]


def test_two_rules_of_one_name_are_a_mistake():
    rule = "      - {name: r, type: custom, engine: runink, implementation: a > 1}\n"
    found = findings("- {name: a, logicalType: integer}\n", behind=f"    quality:\n{rule}{rule}")
    assert [(code, line) for code, line, _ in found] == [("C018", 10)]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.1.0", "1.1.0"), ("v2.3", "2.3.0"), ("'4'", "4.0.0"), ("1.0.0-rc.1", "1.0.0-rc.1")],
)
def test_versions_are_brought_to_three_numbers(version: str, expected: str):
    head = HEAD.replace("1.1.0\n", f"{version}\n", 1)
    assert read("- {name: a, logicalType: string}\n", head=head).spec.version == expected


@pytest.mark.parametrize(
    "version", ["1.0.0-.", "1.0.0-a..b", "'01.0'", "1234567890.0.0", "1.0.0+x", "latest"]
)
def test_a_version_that_cannot_be_published_is_a_mistake(version: str):
    head = HEAD.replace("1.1.0\n", f"{version}\n", 1)
    found = findings("- {name: a, logicalType: string}\n", head=head)
    assert [code for code, _, _ in found] == ["C009"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- {name: x}\n", ("O008", 9, "x has no logicalType")),
        ("- {logicalType: string}\n", ("O007", 9, "the property has no name")),
        ("- {name: x, logicalType: text}\n", ("O008", 9, "text is no logicalType that a contract can hold")),
        ("- {name: x, logicalType: map}\n", ("O008", 9, "map is no logicalType that a contract can hold")),
        ("- name: x\n  logicalType: string\n  requred: true\n", ("O006", 11, "requred is no key of a property")),
        ("- {name: x, logicalType: string, required: 'yes'}\n", ("O005", 9, "required is 'yes', not true or false")),
        ("- {name: x, logicalType: integer, logicalTypeOptions: {minLength: 1}}\n", ("O009", 9, "minLength is no option of integer")),
        ("- {name: x, logicalType: integer, logicalTypeOptions: {minimum: 0.5}}\n", ("O009", 9, "minimum is 0.5, not an int")),
        ("- {name: x, logicalType: date, logicalTypeOptions: {minimum: soon}}\n", ("O009", 9, "minimum is 'soon', not a date")),
        ("- {name: x, logicalType: string, logicalTypeOptions: {minLength: -1}}\n", ("O005", 9, "minLength is -1, not a whole number from 0 on")),
        ("- {name: x, logicalType: string, enum: [yes]}\n", ("O009", 9, "True among the values of x is not a str")),
        ("- {name: x, logicalType: array}\n", ("O007", 9, "x is an array, and its items are not said")),
        ("- {name: x, logicalType: string, customProperties: [{property: runinkUnti, value: m}]}\n", ("O010", 9, "runinkUnti is no property of Runink's here")),
        ("- {name: x, logicalType: string, customProperties: [{property: runinkUnit, value: 3}]}\n", ("O010", 9, "runinkUnit: Expected `str`, got `int`")),
        ("- {name: x, logicalType: integer, logicalTypeOptions: {minimum: 5, maximum: 3}}\n", ("C005", 9, "x: nothing lies between 5 and 3")),
        ("- {name: x, logicalType: string, customProperties: [{property: runinkMask, value: rot13}]}\n", ("C014", 9, "")),
        ("[]\n", ("C011", 8, "orders has no property")),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(text: str, expected: tuple[str, int, str]):
    ((code, line, said),) = findings(text)
    assert (code, line) == expected[:2]
    assert expected[2] in said


def test_all_mistakes_are_told_at_once():
    text = "- {name: a, logicalType: text}\n- {name: a, logicalType: string, foo: 1}\n"
    head = HEAD.replace("kind: DataContract\n", "").replace("v3.1.0", "v9")
    found = findings(text, head=head)
    assert [code for code, _, _ in found] == ["O007", "O008", "O008", "O006", "C011"]


def test_a_custom_property_that_disagrees_with_the_standards_words_is_a_mistake():
    text = "- {name: x, logicalType: integer, required: true, logicalTypeOptions: {minimum: 7}, customProperties: [{property: runinkGe, value: 5}]}\n"
    ((code, _, said),) = findings(text)
    assert (code, said) == ("O010", "runinkGe says 5, and the property itself says something else")


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "O005"), ("- a\n", "O005"), (HEAD.partition("schema")[0], "O007"), ("a: [", "O001")],
)
def test_what_is_no_contract_is_told(text: str, code: str):
    with pytest.raises(Invalid) as caught:
        read_odcs(text, file="x.yaml")
    assert [one.code for one in caught.value.findings] == [code]


TWO = (
    HEAD
    + "      - {name: a, logicalType: string}\n  - name: items\n    properties:\n      - {name: b, logicalType: string}\n"
)


def test_an_object_is_found_by_its_name():
    spec = read_odcs(TWO, file="x.yaml", name="items").spec
    assert (spec.name, spec.fields[0].name, spec.where) == ("items", "b", "x.yaml")
    with pytest.raises(NotFound) as caught:
        read_odcs(TWO, file="x.yaml", name="item")
    assert caught.value.hint == "did you mean items?"
    with pytest.raises(Invalid, match="a mistake") as unnamed:
        read_odcs(TWO, file="x.yaml")
    assert unnamed.value.findings[0].hint == "name one behind a colon: x.yaml:orders"


def test_what_a_contract_says_is_what_its_class_would_say():
    assert isinstance(read("- {name: a, logicalType: string}\n").spec, ContractSpec)


def test_what_may_have_been_meant_is_looked_for_in_the_first_mistakes_only() -> None:
    strays = "".join(f"statuss{number}: 1\n" for number in range(150))
    with pytest.raises(Invalid) as caught:
        read("- {name: x, logicalType: integer}\n", behind=strays)
    hints = [one.hint for one in caught.value.findings]
    assert hints[0] == "did you mean status?"
    assert hints[-1] == "what is your own goes into customProperties"
