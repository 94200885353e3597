"""A version is written anew where it stands, and nothing else changes."""

from __future__ import annotations

import pytest
from runink.contracts.rewriting import (
    with_class_version,
    with_document_version,
    with_schema_version,
)
from runink.errors import Invalid, NotFound


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('class A(Contract, version="1.0.0"):', 'class A(Contract, version="2.0.0"):'),
        ("class A(Contract,version='1.0.0'):", "class A(Contract,version='2.0.0'):"),
        ("class A(Contract):", 'class A(Contract, version="2.0.0"):'),
        ("class A(Contract, strict=f(1)):", 'class A(Contract, strict=f(1), version="2.0.0"):'),
        (
            "class A(\n    Contract,  # äö\n    version='1.0.0',\n):",
            "class A(\n    Contract,  # äö\n    version='2.0.0',\n):",
        ),
        (
            'ä = "é"; x = 1\nclass A(Contract, version="1.0.0", coercion="é"):',
            'ä = "é"; x = 1\nclass A(Contract, version="2.0.0", coercion="é"):',
        ),
        (
            'class B(Contract, version="1.0.0"):\r\n    x: int\r\nclass A(B, version="1.0.0"):',
            'class B(Contract, version="1.0.0"):\r\n    x: int\r\nclass A(B, version="2.0.0"):',
        ),
    ],
)
def test_a_class_gets_another_version(before, after):
    body = "\n    y: int  # version='1.0.0'\n"
    assert with_class_version(before + body, "A", "2.0.0") == after + body


def test_a_version_that_is_computed_is_left_to_its_author():
    with pytest.raises(Invalid, match="line 2: the version of A is computed"):
        with_class_version("V = '1.0.0'\nclass A(C, version=V):\n    x: int\n", "A", "2.0.0")


def test_a_class_that_is_not_there_is_told():
    with pytest.raises(NotFound):
        with_class_version("class A(C):\n    x: int\n", "B", "2.0.0")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("version: 1.0.0", "version: 2.0.0"),
        ('version: "1.0.0"  # now', 'version: "2.0.0"  # now'),
        ("a: 1\nversion : '1.0.0'\nb:\n  version: 9", "a: 1\nversion : '2.0.0'\nb:\n  version: 9"),
    ],
)
def test_a_document_gets_another_version(before, after):
    assert with_document_version(before, "2.0.0") == after


def test_a_document_without_a_version_is_told():
    with pytest.raises(Invalid, match="has no version"):
        with_document_version("a:\n  version: 1.0.0\napiVersion: v3", "2.0.0")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"x-runink": {"version": "1.0.0"}}', '{"x-runink": {"version": "2.0.0"}}'),
        ('{\n  "version" :\t"1.0.0"}\n', '{\n  "version" :\t"2.0.0"}\n'),
        (
            '{"version": "0.1.0", "é": 1,\r\n "x-runink": {"version": "1.0.0"}}',
            '{"version": "0.1.0", "é": 1,\r\n "x-runink": {"version": "2.0.0"}}',
        ),
        (
            '{"version": "0.1.0", "$defs": {"A": {"x-runink": {"version": "1.0.0"}}}}',
            '{"version": "0.1.0", "$defs": {"A": {"x-runink": {"version": "2.0.0"}}}}',
        ),
    ],
)
def test_the_version_of_a_json_schema_is_written_where_it_stands(before: str, after: str):
    assert with_schema_version(before, "A", "2.0.0") == after


@pytest.mark.parametrize("text", ['{"title": "A"}', '{"version": 1}'])
def test_a_json_schema_without_a_version_is_told(text: str):
    with pytest.raises(Invalid, match="the schema has no version"):
        with_schema_version(text, "A", "2.0.0")
