"""Labels of nodes, and label expressions: what somebody asks of them, read once from how people write it.

    gpu                    the node has the label `gpu`, or one `gpu=...`
    zone=eu                it has `zone=eu`
    disk in (nvme, ssd)    it has one of `disk=nvme`, `disk=ssd`
    !spot, zone!=eu, disk not in (hdd)      it has not

What is none of these is told to who writes it (`parsed`), and in what is kept a label that the node must have as it stands (`label_rule`).
A node has one value of a label at most: so `zone=eu` and `zone=us` together are asked of no node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from runink.errors import Invalid

KEY: Final = r"[A-Za-z][\w./-]*"
_KEY: Final = rf"({KEY})"
_BARE: Final = re.compile(rf"(!?)\s*{_KEY}")
_EQUAL: Final = re.compile(rf"{_KEY}\s*(!?)=\s*([\w./-]+)")
_LABEL: Final = re.compile(rf"{KEY}(=[\w./-]+)?")
_AMONG: Final = re.compile(rf"{_KEY}\s+(not\s+)?in\s*\(([^()]*)\)")


class LabelRule(Struct, frozen=True, cache_hash=True):
    """A label that must be there, or with `is_negated` must not. Without `values` any value of it counts."""

    key: str
    values: tuple[str, ...] = ()
    is_negated: bool = False

    def __str__(self) -> str:
        match self.values:
            case ():
                return f"!{self.key}" if self.is_negated else self.key
            case (value,):
                return f"{self.key}{'!' if self.is_negated else ''}={value}"
            case values:
                return f"{self.key} {'not ' if self.is_negated else ''}in ({', '.join(values)})"

    def holds(self, labels: Iterable[str]) -> bool:
        """Say whether a node with these labels is as the rule asks."""
        if self.values:
            has = any(f"{self.key}={value}" in labels for value in self.values)
        else:
            has = any(label.partition("=")[0] == self.key or label == self.key for label in labels)
        return has is not self.is_negated


def parsed(text: str) -> LabelRule:
    """Return what the text asks for. Raises Invalid."""
    found = _read(text)
    if found is None:
        raise Invalid(
            f"{text!r} says nothing of a label",
            code="label_invalid",
            hint="as in gpu, zone=eu, zone!=eu, !spot, disk in (nvme, ssd), disk not in (hdd)",
        )
    return found


def label_rule(text: str) -> LabelRule:
    """Return what the text asks for. Never raises: what is no expression is a label as it stands."""
    return _read(text) or LabelRule(text)


def _read(text: str) -> LabelRule | None:
    bare = text.strip()
    if match := _AMONG.fullmatch(bare):
        values = tuple(sorted({value.strip() for value in match[3].split(",")} - {""}))
        return LabelRule(match[1], values, bool(match[2])) if values else None
    if match := _EQUAL.fullmatch(bare):
        return LabelRule(match[1], (match[3],), bool(match[2]))
    if match := _BARE.fullmatch(bare):
        return LabelRule(match[2], (), bool(match[1]))
    return None


def label_rules(texts: Iterable[str]) -> tuple[LabelRule, ...]:
    """Return what the texts ask for together, each once, in the order of their texts."""
    return tuple(dict.fromkeys(label_rule(text) for text in sorted(texts)))


def value_of(labels: Iterable[str], key: str) -> str:
    """Return what `key=...` says among the labels, the first by name if there are several; empty if none does."""
    return min((one.partition("=")[2] for one in labels if one.startswith(f"{key}=")), default="")


def contradiction(rules: Iterable[LabelRule]) -> tuple[LabelRule, LabelRule] | None:
    """Return two of the rules that no node keeps both of, nothing if there are none."""
    of_key: dict[str, list[LabelRule]] = {}
    for rule in rules:
        others = of_key.setdefault(rule.key, [])
        for other in others:
            if _exclude(rule, other) or _exclude(other, rule):
                return other, rule
        others.append(rule)
    return None


def _exclude(asked: LabelRule, other: LabelRule) -> bool:
    """Say whether what is asked leaves no value that the other rule takes; they are about one label."""
    if asked.is_negated:
        return False
    if not other.is_negated:
        return bool(asked.values and other.values) and not set(asked.values) & set(other.values)
    return not other.values or (bool(asked.values) and set(asked.values) <= set(other.values))


def check_labels(labels: Iterable[str]) -> None:
    """Raise Invalid if a node cannot have these labels: what is none, or two values of one."""
    values: dict[str, str] = {}
    for label in labels:
        if _LABEL.fullmatch(label) is None:
            raise Invalid(
                f"{label!r} is no label of a node",
                code="config_invalid",
                hint="as in gpu, or zone=eu",
            )
        key, _, value = label.partition("=")
        if values.setdefault(key, value) != value:
            raise Invalid(
                f"the node has two values of the label {key}: {values[key] or 'none'} and {value or 'none'}",
                code="config_invalid",
                hint="it has one; what it is besides is a label of another name",
            )
