"""What reading a contract's document gives, whatever form it has (ODCS, JSON Schema): the contract and what of it is not enforced, or all mistakes with their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runink.contracts.fields import ContractSpec, FieldSpec, RuleSpec
from runink.contracts.odcs_parts import Told
from runink.contracts.yaml_text import Located
from runink.errors import Finding, Invalid


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule over a row as it is written."""

    name: str
    text: str
    description: str


@dataclass(frozen=True, slots=True)
class WrongRule:
    """A mistake in a rule over a row, or in all of them together (`place` is nothing)."""

    place: int | None
    code: str
    text: str
    hint: str = ""


# Makes rules of their texts over these fields of the contract of that name, or says what is wrong with them.
RuleReader = Callable[
    [tuple[RuleText, ...], tuple[FieldSpec, ...], str],
    tuple[tuple[RuleSpec, ...], tuple[WrongRule, ...]],
]


@dataclass(frozen=True, slots=True)
class Read:
    """A contract, and what of its document is not enforced: values like mistakes, with their places."""

    spec: ContractSpec
    notes: tuple[Finding, ...]


def refused(located: Located, told: Told) -> Invalid:
    """Return the error that tells what is wrong with a document; the same mistake at one place, which several ways lead to, is told once."""
    findings = tuple(
        located.finding(one.code, one.text, one.path, hint=one.hint)
        for one in dict.fromkeys(told.problems)
    )
    count = f"{len(findings)} mistakes" if len(findings) > 1 else "a mistake"
    return Invalid(f"{located.file}: {count}", findings=findings, code="contract_invalid")


def noted(located: Located, told: Told) -> tuple[Finding, ...]:
    """Return what is read and not enforced."""
    return tuple(located.finding("O020", one.text, one.path) for one in dict.fromkeys(told.notes))


def rules_of(
    texts: tuple[RuleText, ...], fields: tuple[FieldSpec, ...], whose: str
) -> tuple[tuple[RuleSpec, ...], tuple[WrongRule, ...]]:
    """Read the rules of a document as a class's are read."""
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
