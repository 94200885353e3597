"""How a contract is named: `FILE.py:CLASS`, or a document (ODCS in YAML, JSON Schema), with the contract behind a colon where it holds several."""

from __future__ import annotations

from typing import Final

ODCS_SUFFIXES: Final = (".yaml", ".yml")
JSON_SCHEMA_SUFFIX: Final = ".json"
DOCUMENT_SUFFIXES: Final = (*ODCS_SUFFIXES, JSON_SCHEMA_SUFFIX)


def is_odcs(path: str) -> bool:
    """Say whether a contract's file is one of ODCS."""
    return path.endswith(ODCS_SUFFIXES)


def is_json_schema(path: str) -> bool:
    """Say whether a contract's file is a JSON Schema."""
    return path.endswith(JSON_SCHEMA_SUFFIX)


def is_document(path: str) -> bool:
    """Say whether a contract's file is a document, and no Python."""
    return path.endswith(DOCUMENT_SUFFIXES)
