"""JSON lines and JSON in: what they take, and how their mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from connector_world import FLIGHT, error_of, in_blocks, rows, source, table
from runink.dag import Format
from runink.errors import Invalid

VALUES = [
    {"a": 1, "b": 'x "y" [z] {', "c": [1, 2], "d": {"e": "\\", "f": None}},
    {"a": None, "b": "é\n\\", "c": [], "d": None},
    {"a": -3, "b": "", "c": None, "d": {"e": "]}", "f": 1.5}},
]


def lines(root: Path, text: str | bytes, name: str = "a.jsonl") -> None:
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)


def read(root: Path, text: str | bytes, kind: Format = Format.JSONL, **more: Any) -> Any:
    lines(root, text)
    return rows(source("a.jsonl", kind, **more), root)


def failure(root: Path, text: str | bytes, kind: Format = Format.JSONL, **more: Any) -> Invalid:
    lines(root, text)
    error = error_of(source("a.jsonl", kind, **more), root)
    assert isinstance(error, Invalid)
    assert error.hint
    return error


def test_each_line_is_a_row(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(value) for value in VALUES)
    assert read(tmp_path, text) == VALUES


@pytest.mark.parametrize("text", ['\ufeff{"a":1}\n', '\n\n {"a":1} \r\n\n', '{"a":1}'])
def test_a_mark_and_empty_lines_change_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [{"a": 1}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("mark", ["", "\ufeff", " \n"])
def test_an_array_is_read_however_it_is_laid_out(
    tmp_path: Path, indent: int | None, mark: str
) -> None:
    text = mark + json.dumps(VALUES, indent=indent) + "\n"
    assert read(tmp_path, text, Format.JSON) == VALUES


@pytest.mark.parametrize("size", [64, 100, 333, 4096])
def test_an_array_in_blocks_of_any_size_gives_the_same_rows(tmp_path: Path, size: int) -> None:
    values = [{"n": at, "text": "[{,}]" * (at % 7)} for at in range(300)]
    lines(tmp_path, json.dumps(values, indent=1))
    found = in_blocks(source("a.jsonl", Format.JSON), tmp_path, size)
    assert [row for one in found for row in one.to_pylist()] == values


@pytest.mark.parametrize(("text", "kind"), [("", Format.JSONL), ("[]", Format.JSON)])
def test_no_rows_are_no_mistake(tmp_path: Path, text: str, kind: Format) -> None:
    assert read(tmp_path, text, kind) == []


def test_no_rows_have_the_contracts_columns(tmp_path: Path) -> None:
    lines(tmp_path, "")
    found = table(source("a.jsonl", Format.JSONL, contract=FLIGHT), tmp_path)
    assert found.column_names == ["number", "carrier", "note"]


def test_a_string_stays_a_string(tmp_path: Path) -> None:
    lines(tmp_path, '{"a":"2013-01-01T05:00:00","b":["2013-01-01"],"c":null}\n')
    found = table(source("a.jsonl", Format.JSONL), tmp_path)
    assert found.schema.types == [pa.string(), pa.list_(pa.string()), pa.string()]


def test_a_number_that_no_number_type_holds_is_text(tmp_path: Path) -> None:
    text = '{"a":12345678901234567890,"b":1.5}\n{"a":1,"b":2}\n'
    assert read(tmp_path, text) == [
        {"a": "12345678901234567890", "b": 1.5},
        {"a": "1", "b": 2.0},
    ]


def test_a_field_of_the_contract_that_does_not_fit_is_text_as_it_stands(tmp_path: Path) -> None:
    text = (
        '{"number":1,"carrier":"UA","more":1}\n{"number":2.50,"carrier":7}\n'
        '{"number":"x","carrier":{"a":[1]}, "more":"z"}\n{"number":true}\n'
    )
    found = read(tmp_path, text, contract=FLIGHT)
    assert [row["number"] for row in found] == ["1", "2.50", "x", "true"]
    assert [row["carrier"] for row in found] == ["UA", "7", '{"a":[1]}', None]
    assert [row["more"] for row in found] == ["1", None, "z", None]


def test_mixed_values_inside_of_what_no_contract_names_are_text(tmp_path: Path) -> None:
    text = '{"number":1,"carrier":"UA","more":[1,"x"]}\n'
    assert read(tmp_path, text, contract=FLIGHT)[0]["more"] == '[1,"x"]'


def test_a_field_that_comes_later_is_told(tmp_path: Path) -> None:
    lines(tmp_path, '{"a":1}\n' * 100 + '{"a":1,"b":2}\n')
    with pytest.raises(Invalid) as caught:
        in_blocks(source("a.jsonl", Format.JSONL), tmp_path, 64)
    assert caught.value.text == "a.jsonl line 101: b is 2; the first rows had no such field"


def test_a_later_value_of_another_type_is_told_with_its_line(tmp_path: Path) -> None:
    lines(tmp_path, '{"a":1}\n' * 100 + '{"a":"x"}\n')
    with pytest.raises(Invalid) as caught:
        in_blocks(source("a.jsonl", Format.JSONL), tmp_path, 64)
    assert caught.value.code == "source_type_changed"
    assert caught.value.text.startswith('a.jsonl line 101: a is "x"; in the rows before')


def test_a_field_with_values_of_several_kinds_is_text(tmp_path: Path) -> None:
    text = '{"a":1,"b":[1,"x"]}\n{"a":"x","b":[]}\n{"a":{"c":2.50},"b":null}\n'
    assert read(tmp_path, text) == [
        {"a": "1", "b": '[1,"x"]'},
        {"a": "x", "b": "[]"},
        {"a": '{"c":2.50}', "b": None},
    ]


def test_a_field_that_is_text_takes_all_that_comes_later(tmp_path: Path) -> None:
    lines(tmp_path, '{"a":"x"}\n' * 100 + '{"a":7}\n')
    found = in_blocks(source("a.jsonl", Format.JSONL), tmp_path, 64)
    assert found[-1]["a"].to_pylist()[-1] == "7"


@pytest.mark.parametrize(
    "bad", ['{"a":2', "{a:2}", "[1,2]", "17", '{"a":1} more', '{"a":"\\ud800"}']
)
def test_a_line_that_is_no_object_is_told(tmp_path: Path, bad: str) -> None:
    for more in ({}, {"contract": FLIGHT}):
        error = failure(tmp_path, '{"a":1}\n\n' + bad + "\n", **more)
        assert error.code == "source_malformed"
        assert "line 3" in error.text


def test_a_wrong_encoding_is_told_with_line_and_byte(tmp_path: Path) -> None:
    error = failure(tmp_path, b'{"a":"x"}\n{"a":"\xe9"}\n')
    assert error.code == "source_not_utf8"
    assert "line 2" in error.text


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ('{"a":1}\n{"a":2}\n', 1, "jsonl://"),
        ('[{"a":1},\n{"a":2}', 2, "cut off"),
        ('[{"a":1}\n{"a":2}]', 1, "array of objects"),
        ("[1,\n2]", 1, "array of objects"),
        ('[{"a":1}] more', 1, "array of objects"),
        ("null", 1, "array of objects"),
    ],
)
def test_what_is_no_array_of_objects_is_told(
    tmp_path: Path, text: str, line: int, hint: str
) -> None:
    error = failure(tmp_path, text, Format.JSON)
    assert error.code == "source_malformed"
    assert f"line {line} " in error.text
    assert hint in error.hint


def test_an_empty_json_file_is_told(tmp_path: Path) -> None:
    assert failure(tmp_path, "", Format.JSON).code == "source_empty"
