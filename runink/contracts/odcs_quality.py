"""Quality rules of ODCS: what of them Runink enforces, and what it only reads.

    rule                                                        becomes
    invalidValues with validValues, none allowed                choices
    invalidValues with pattern, none allowed                    pattern
    nullValues, none allowed                                    the field must hold something
    missingValues of null and "" only, none allowed             the same, and at least one character
    duplicateValues of one property, none allowed               unique
    custom with engine `runink`, on an object                   a rule over a row, its implementation the expression

Every other rule is told as not enforced: counts that may be above zero, rows in total, SQL, rules of other engines, prose; and so is a rule whose severity
says that it is no error, since what Runink enforces it enforces for every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from runink.contracts.fields import Kind
from runink.contracts.odcs_parts import Part
from runink.contracts.odcs_words import ENGINE, QUALITY_KEYS
from runink.contracts.searching import whole

_MILD: Final = frozenset({"info", "information", "low", "minor", "warn", "warning"})
NESTED: Final = frozenset({Kind.RECORD, Kind.LIST})
_EMPTY: Final = (None, "")
# What checks the like of it in a run, where something does.
_ADVICE: Final = {
    "rowCount": '; @assert("records >= 1") in a pipeline checks numbers of rows',
    "nullValues": '; @assert("null_ratio(field) < 0.05") in a pipeline checks how many have no value',
    "duplicateValues": '; @assert("distinct(field) >= 1") in a pipeline checks how many differ',
}


@dataclass(slots=True)
class Quality:
    """What a property's quality rules make of its field; `taken` are the places of the rules that are enforced."""

    choices: list[Any] | None = None
    choices_at: str | int = 0
    pattern: str | None = None
    is_required: bool = False
    is_filled: bool = False
    is_unique: bool = False
    taken: frozenset[int] = frozenset()


def read_quality(owner: Part, kind: Kind) -> Quality:
    """Return what the quality rules of a property of this kind say, and tell those that are not enforced."""
    found = Quality()
    taken: set[int] = set()
    for rule in owner.parts("quality"):
        place = rule.path[-1]
        assert isinstance(place, int)
        rule.known(QUALITY_KEYS, "a quality rule")
        if _is_strict(rule) and _take(rule, found, kind):
            taken.add(place)
        else:
            _tell(rule)
    found.taken = frozenset(taken)
    return found


def _is_strict(rule: Part) -> bool:
    """Say whether the rule allows no single exception."""
    value = rule.value
    if str(value.get("severity") or "").casefold() in _MILD:
        return False
    if _zero(value.get("mustBe")) or _zero(value.get("mustBeLessOrEqualTo")):
        return True
    below = value.get("mustBeLessThan")
    is_one = isinstance(below, (int, float)) and not isinstance(below, bool) and 0 < below <= 1
    return is_one and value.get("unit", "rows") == "rows"


def _zero(value: Any) -> bool:
    return type(value) in (int, float) and value == 0


def _take(rule: Part, found: Quality, kind: Kind) -> bool:
    """Enforce the rule, if it is one that a field can keep."""
    arguments = rule.part("arguments")
    match metric_of(rule.value):
        case "nullValues":
            found.is_required = True
        case "duplicateValues" if arguments is None and kind not in NESTED:
            found.is_unique = True
        case "missingValues" if arguments is not None:
            missing = arguments.listed("missingValues")
            if not missing or any(value not in _EMPTY for value in missing):
                return False
            if "" in missing and kind is not Kind.STR:
                return False
            found.is_required = found.is_required or None in missing
            found.is_filled = found.is_filled or "" in missing
        case "invalidValues" if arguments is not None:
            return _take_valid(arguments, found, kind)
        case _:
            return False
    return True


def _take_valid(arguments: Part, found: Quality, kind: Kind) -> bool:
    values, pattern = arguments.value.get("validValues"), arguments.text("pattern")
    if isinstance(values, list) == bool(pattern):
        return False
    if pattern and found.pattern is None and kind is Kind.STR:
        found.pattern = whole(pattern)
    elif isinstance(values, list) and values and found.choices is None:
        found.choices, found.choices_at = values, arguments.path[-2]
    else:
        return False
    return True


def metric_of(rule: dict[str, Any]) -> str:
    """Return the metric of a library rule, nothing of others."""
    if rule.get("type", "library") != "library":
        return ""
    return str(rule.get("metric") or rule.get("rule") or "")


def is_ours(rule: dict[str, Any]) -> bool:
    """Say whether a rule of an object holds an expression of ours."""
    return rule.get("type") == "custom" and str(rule.get("engine", "")).casefold() == ENGINE


def tell_object_quality(rule: Part) -> None:
    """Tell a rule of an object that is not enforced."""
    rule.known(QUALITY_KEYS, "a quality rule")
    _tell(rule)


def _tell(rule: Part) -> None:
    kind = rule.value.get("type", "library")
    metric = metric_of(rule.value)
    name = rule.value.get("name") or rule.value.get("id") or ""
    called = f" {name}" if name else ""
    advice = _ADVICE.get(metric, "")
    what = {
        "text": "is prose",
        "sql": "is SQL of a server",
        "custom": f"is for {rule.value.get('engine', 'another engine')}",
    }.get(str(kind), f"({metric}) is about the data as a whole")
    rule.note(f"the quality rule{called} {what}: not enforced{advice}")


def choices_rule(choices: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "type": "library",
        "metric": "invalidValues",
        "arguments": {"validValues": list(choices)},
        "mustBe": 0,
        "dimension": "conformity",
    }


def expression_rule(name: str, text: str, description: str) -> dict[str, Any]:
    rule = {"name": name, "type": "custom", "engine": ENGINE, "implementation": text}
    return rule | ({"description": description} if description else {})
