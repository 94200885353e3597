"""YAML with places: what its values are, and what is told of texts that are wrong, odd or made to hurt."""

from __future__ import annotations

import pytest
from runink.contracts.yaml_text import DEPTH_MAX, TEXT_BYTES_MAX, VALUES_MAX, read_yaml, write_yaml
from runink.errors import Finding, Invalid


def value(text: str):
    return read_yaml(text, file="x.yaml").value


def findings(text: str) -> list[Finding]:
    with pytest.raises(Invalid) as caught:
        read_yaml(text, file="x.yaml")
    return list(caught.value.findings)


def told(text: str) -> list[tuple[str, int, int]]:
    return [(one.code, one.span.line, one.span.column) for one in findings(text) if one.span]


def test_values_are_what_other_readers_of_yaml_take_them_for():
    text = "a: 1\nb: [2.5, yes, ~, 'x', 010, 1e3, 1.0e+3]\nc: {d: on}\n"
    assert value(text) == {"a": 1, "b": [2.5, True, None, "x", 8, "1e3", 1000.0], "c": {"d": True}}


def test_dates_stay_text():
    assert value("- 2020-01-31\n- 2020-01-31T10:00:00Z\n") == ["2020-01-31", "2020-01-31T10:00:00Z"]


def test_every_part_knows_its_line_and_column():
    located = read_yaml("a: 1\nlist:\n  - name: x\n    type: y\n", file="x.yaml")
    assert located.places[("a",)] == (1, 1, 1)
    assert located.places[("list", 0, "type")] == (4, 5, 4)
    finding = located.finding("O005", "no", ("list", 0, "type", "deeper"))
    assert (finding.span.line, finding.span.column, finding.source_line) == (4, 5, "    type: y")


def test_aliases_and_merges_are_followed():
    text = "base: &b {x: 1, y: 2}\none: *b\ntwo:\n  <<: *b\n  y: 3\nthree:\n  <<: [*b, {z: 4}]\n"
    found = value(text)
    assert found["one"] == {"x": 1, "y": 2}
    assert found["two"] == {"y": 3, "x": 1}
    assert found["three"] == {"x": 1, "y": 2, "z": 4}


def test_a_key_that_stands_twice_is_a_mistake_with_its_place():
    assert told("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n") == [("O003", 4, 3), ("O003", 5, 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\n", ("O001", 2, 1)),
        ("a:\n\t- b\n", ("O001", 2, 1)),
        ("a: 'open\n", ("O001", 2, 1)),
        ("a: 1\n---\nb: 2\n", ("O001", 2, 1)),
        ("1: a\n", ("O003", 1, 1)),
        ("? [a]\n: 1\n", ("O003", 1, 3)),
        ("a: *nowhere\n", ("O004", 1, 4)),
        ("a: !!python/object/apply:os.system ['true']\n", ("O004", 1, 4)),
        ("a: !!binary aGk=\n", ("O004", 1, 4)),
        ("a: !!int foo\n", ("O001", 1, 4)),
        ("<<: 1\n", ("O004", 1, 5)),
        ("a: \ud800\n", ("O001", 1, 1)),
        ("a: \x00\n", ("O001", 1, 1)),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, expected: tuple[str, int, int]):
    assert told(text) == [expected]


def test_aliases_that_grow_beyond_all_measure_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 12)]
    assert [one.code for one in findings("\n".join(lines))] == ["O002"]


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_a_hundred_thousand_levels_are_refused_without_a_crash(bracket: str):
    (finding,) = findings(bracket * 100_000)
    assert (finding.code, finding.text) == ("O002", f"it is nested deeper than {DEPTH_MAX}")


def test_a_text_that_is_too_large_is_not_even_looked_at():
    assert [one.code for one in findings("#" * (TEXT_BYTES_MAX + 1))] == ["O002"]


def test_values_are_counted_once_however_deep_they_stand():
    entry = "- {a: {b: {c: [1, 2, 3, 4]}}}\n"  # eleven values and keys
    assert len(value(entry * (VALUES_MAX // 12))) == VALUES_MAX // 12
    assert [one.code for one in findings(entry * (VALUES_MAX // 10))] == ["O002"]


def test_an_empty_text_is_nothing():
    assert value("") is None
    assert value("# only a comment\n") is None


def test_what_is_written_keeps_its_order_and_its_characters():
    written = {"b": "blåbær", "a": ["yes", "1", "2020-01-01", " x ", "line\nline"], "c": None}
    text = write_yaml(written)
    assert "blåbær" in text
    assert value(text) == written
    assert list(value(text)) == ["b", "a", "c"]
