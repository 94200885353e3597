"""A contract from the text of an ODCS file, with the rules over a row read as a class's are."""

from __future__ import annotations

from typing import Any

from runink.contracts.documents import Read, rules_of
from runink.contracts.odcs import object_names, read_contract
from runink.contracts.yaml_text import read_yaml
from runink.errors import Invalid


def read_odcs(text: str, *, file: str, name: str = "") -> Read:
    """Return the contract that the object `name` of an ODCS text is; the only one without a name. Raises Invalid with all findings, NotFound without such an object."""
    return read_contract(read_yaml(text, file=file), name, rules_of)


def odcs_names(text: str, *, file: str) -> tuple[str, ...]:
    """Return the names of the objects of an ODCS text. Raises Invalid if it is no YAML."""
    return object_names(read_yaml(text, file=file).value)


def odcs_document(text: str, *, file: str) -> dict[str, Any]:
    """Return an ODCS text as the document into which a contract can be written. Raises Invalid if it is none."""
    located = read_yaml(text, file=file)
    if isinstance(located.value, dict):
        return located.value
    finding = located.finding("O005", "it is no mapping, so it is no document of ODCS")
    raise Invalid(f"{file}: a mistake", findings=(finding,), code="contract_invalid")
