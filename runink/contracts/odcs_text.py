"""A contract from the text of an ODCS file, with the rules over a row read as a class's are."""

from __future__ import annotations

from typing import Any

from runink.contracts.fields import FieldSpec, RuleSpec
from runink.contracts.odcs import Read, WrongRule, object_names, read_contract
from runink.contracts.odcs_objects import RuleText
from runink.contracts.yaml_text import read_yaml
from runink.errors import Invalid


def read_odcs(text: str, *, file: str, name: str = "") -> Read:
    """Return the contract that the object `name` of an ODCS text is; the only one without a name. Raises Invalid with all findings, NotFound without such an object."""
    return read_contract(read_yaml(text, file=file), name, _rules)


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


def _rules(
    texts: tuple[RuleText, ...], fields: tuple[FieldSpec, ...], whose: str
) -> tuple[tuple[RuleSpec, ...], tuple[WrongRule, ...]]:
    from runink.contracts.row_rules import Rule, read_rules  # noqa: PLC0415 - a document without rules needs no parser
    from runink.contracts.rule_reading import read  # noqa: PLC0415 - as above

    wrong: list[WrongRule] = []

    def together(code: str, text: str, hint: str = "") -> None:
        wrong.append(WrongRule(None, code, text, hint))

    said = [Rule(one.text, one.name, one.description) for one in texts]
    read_rules(said, together)
    if wrong:
        return (), tuple(wrong)
    made, mistakes = read(tuple(said), fields, whose=whose)
    return made, tuple(
        WrongRule(said.index(rule), mistake.code, mistake.text, mistake.hint)
        for rule, mistake in mistakes
    )
