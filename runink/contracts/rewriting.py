"""A contract's version written anew in the text that people wrote, and nothing else of it.

In Python the place is found by the syntax tree: the `version=` of the class, or where it would stand.  In ODCS it is the document's own `version:`, a line that is not indented; in
JSON Schema the version below `x-runink`, or else the document's.
"""

from __future__ import annotations

import ast
import io
import re
from typing import Final

from runink.contracts.json_schema_references import DEFINITIONS
from runink.contracts.json_schema_words import OURS
from runink.contracts.json_text import read_json
from runink.contracts.yaml_text import Path
from runink.errors import Invalid, NotFound

_YAML_VERSION: Final = re.compile(
    r"^(version[ \t]*:[ \t]*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s#]*)", re.MULTILINE
)
_JSON_VERSION: Final = re.compile(r'("version"\s*:\s*)"[^"\\]*"')


def with_class_version(source: str, name: str, version: str) -> str:
    """Return a Python file's text with another version of class `name`. Raises NotFound, Invalid (`version_not_literal`)."""
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]  # fmt: skip
    if not found:
        raise NotFound(f"there is no class {name} in it", code="contract_missing")
    node = found[-1]  # as Python has it: a class that is written twice is the last one
    said = next((keyword.value for keyword in node.keywords if keyword.arg == "version"), None)
    if said is None:
        return _inserted(source, node, version)
    if not isinstance(said, ast.Constant) or not isinstance(said.value, str):
        raise Invalid(
            f"line {said.lineno}: the version of {name} is computed, so it cannot be written anew",
            code="version_not_literal",
            hint=f'write class {name}(…, version="{version}")',
        )
    start, end = _place(source, said)
    quote = "'" if source[start:end].startswith("'") else '"'
    return f"{source[:start]}{quote}{version}{quote}{source[end:]}"


def _inserted(source: str, node: ast.ClassDef, version: str) -> str:
    """Put the version behind the last base or keyword. A contract has a base."""
    last = max((*node.bases, *(keyword.value for keyword in node.keywords)), key=lambda one: (one.end_lineno or 0, one.end_col_offset or 0))  # fmt: skip
    _, end = _place(source, last)
    return f'{source[:end]}, version="{version}"{source[end:]}'


def _place(source: str, node: ast.expr) -> tuple[int, int]:
    """Return where a node stands, in characters; the tree counts bytes of UTF-8 within lines."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (
        _offset(source, node.lineno, node.col_offset),
        _offset(source, node.end_lineno, node.end_col_offset),
    )


def _offset(source: str, line: int, column: int) -> int:
    lines = list(
        io.StringIO(source, newline="")
    )  # as Python counts them; splitlines() knows other ends
    before = lines[line - 1].encode()[:column].decode()
    return sum(map(len, lines[: line - 1])) + len(before)


def with_document_version(source: str, version: str) -> str:
    """Return an ODCS document's text with another version. Raises Invalid where it says none at its top."""
    match = _YAML_VERSION.search(source)
    if match is None:
        raise Invalid(
            "the document has no version: at its top",
            code="version_not_literal",
            hint=f"write version: {version}",
        )
    quote = match[2][:1] if match[2][:1] in ("'", '"') else ""
    return f"{source[: match.end(1)]}{quote}{version}{quote}{source[match.end(2) :]}"


def with_schema_version(source: str, name: str, version: str) -> str:
    """Return a JSON Schema's text with another version of the contract `name`. Raises Invalid where it says none, or is no JSON."""
    located = read_json(source, file="the document")
    ways: list[Path] = [(key, name, OURS, "version") for key in DEFINITIONS]
    place = next(
        (located.places[way] for way in (*ways, (OURS, "version"), ("version",)) if way in located.places),
        None,
    )  # fmt: skip
    match = None
    if place is not None:
        line, column, _ = place
        start = sum(len(one) + 1 for one in located.source[: line - 1]) + column - 1
        match = _JSON_VERSION.match(source, start)
    if match is None:
        raise Invalid(
            "the schema has no version",
            code="version_not_literal",
            hint=f'write "{OURS}": {{"version": "{version}"}}',
        )
    return f'{source[: match.end(1)]}"{version}"{source[match.end() :]}'
