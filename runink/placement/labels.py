"""Label expressions: what a part asks of the labels of its node, read once from how people write them.

    gpu                    the node has the label `gpu`, or one `gpu=...`
    zone=eu                it has `zone=eu`
    disk in (nvme, ssd)    it has one of `disk=nvme`, `disk=ssd`
    !spot, zone!=eu, disk not in (hdd)      it has not

What is none of these is a label that the node must have as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

_KEY: Final = r"([A-Za-z][\w./-]*)"
_BARE: Final = re.compile(rf"(!?)\s*{_KEY}")
_EQUAL: Final = re.compile(rf"{_KEY}\s*(!?)=\s*([\w./-]+)")
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


def label_rule(text: str) -> LabelRule:
    """Return what the text asks for. Never raises: see above for what is no expression."""
    bare = text.strip()
    if match := _AMONG.fullmatch(bare):
        values = tuple(sorted({value.strip() for value in match[3].split(",")} - {""}))
        if values:
            return LabelRule(match[1], values, bool(match[2]))
    if match := _EQUAL.fullmatch(bare):
        return LabelRule(match[1], (match[3],), bool(match[2]))
    if match := _BARE.fullmatch(bare):
        return LabelRule(match[2], (), bool(match[1]))
    return LabelRule(text)


def label_rules(texts: Iterable[str]) -> tuple[LabelRule, ...]:
    """Return what the texts ask for together, each once, in the order of their texts."""
    return tuple(dict.fromkeys(label_rule(text) for text in sorted(texts)))


def value_of(labels: Iterable[str], key: str) -> str:
    """Return what `key=...` says among the labels, the first by name if there are several; empty if none does."""
    return min((one.partition("=")[2] for one in labels if one.startswith(f"{key}=")), default="")
