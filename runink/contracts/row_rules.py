"""Rules over the fields of one row, as people write them in a contract's class.

    rules = {"arrives after it leaves": "arr_time > dep_time"}
    rules = [Rule("arr_time > dep_time", name="arrives after it leaves", description="…"), Rule("distance > 0 || cancelled")]

A rule is kept where its expression is true or nothing, as SQL's CHECK is: what a missing value means is the fields' own matter. A rule without a name
has its text for one. Only the shape is looked at here; the expressions are read where a contract is loaded (`rule_reading.py`), because
a user's file must be imported in milliseconds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from runink.contracts.fitting import Wrong

NAME_CHARACTERS_MAX: Final = 100  # it stands in every reason, and in the figures of a run
RULES_MAX: Final = 100  # each is gone through for every batch


class Rule(msgspec.Struct, frozen=True):
    """One rule: an expression over the fields of a row, a name for reasons, and a description for people."""

    text: str
    name: str = ""
    description: str = ""


def read_rules(said: Any, wrong: Wrong) -> tuple[Rule, ...]:
    """Return the rules that a class says, each with a name. What is wrong is told."""
    found = _listed(said)
    if found is None:
        text = f"rules = {said!r} is no dict of texts and no list of Rule"
        wrong("C018", text, 'rules = {"arrives after it leaves": "arr_time > dep_time"}')
        return ()
    if len(found) > RULES_MAX:
        wrong("C018", f"{len(found)} rules are more than {RULES_MAX}")
    for name, times in Counter(rule.name for rule in found).items():
        if times > 1:
            wrong("C018", f"{times} rules are called {name!r}", "give each a name of its own")
        if len(name) > NAME_CHARACTERS_MAX or not name.isprintable() or not name.strip():
            hint = f"one line of at most {NAME_CHARACTERS_MAX} characters"
            wrong("C018", f"{name[:NAME_CHARACTERS_MAX]!r} is no name of a rule", hint)
    return tuple(found)


def _listed(said: Any) -> list[Rule] | None:
    if isinstance(said, dict):
        rules = [Rule(text, name) for name, text in said.items()]
    elif isinstance(said, (list, tuple)):
        rules = [Rule(one) if isinstance(one, str) else one for one in said]
    else:
        return None
    if not all(isinstance(rule, Rule) and _is_text(rule) for rule in rules):
        return None
    return [msgspec.structs.replace(rule, name=rule.name or _one_line(rule.text)) for rule in rules]


def _is_text(rule: Rule) -> bool:
    return all(isinstance(text, str) for text in (rule.text, rule.name, rule.description))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:NAME_CHARACTERS_MAX]
