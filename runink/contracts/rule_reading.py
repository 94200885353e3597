"""The expressions of a contract's rules, read and checked against its fields.

Apart from `row_rules.py`, because it loads a parser: a class is made without it, and only a contract that has rules, where it is loaded, needs it.
"""

from __future__ import annotations

from typing import Final

from runink.contracts.annotations import Mistake
from runink.contracts.fields import FieldSpec, RuleSpec
from runink.contracts.row_rules import Rule
from runink.contracts.scopes import rule as parsed_rule

SHOWN_CHARACTERS_MAX: Final = 60  # of the part that is wrong


def read(
    rules: tuple[Rule, ...], fields: tuple[FieldSpec, ...], *, whose: str
) -> tuple[tuple[RuleSpec, ...], list[tuple[Rule, Mistake]]]:
    """Return the rules with their expressions, and what is wrong with which."""
    found: list[RuleSpec] = []
    mistakes: list[tuple[Rule, Mistake]] = []
    for rule in rules:
        parsed = parsed_rule(rule.text, fields, whose=whose)
        if parsed.expression is not None:
            found.append(RuleSpec(rule.name, rule.text, parsed.expression, rule.description))
        for one in parsed.mistakes:
            part = rule.text[one.at : one.at + min(one.length, SHOWN_CHARACTERS_MAX)].strip()
            where = f" (at {part!r})" if part and repr(part) not in one.text else ""
            text = f"rule {rule.name!r}: {one.text}{where}"
            mistakes.append((rule, Mistake("C019", text, one.hint)))
    return tuple(found), mistakes
