"""What the grammar knows and nothing gives a meaning to yet: it is told, for no line may silently mean nothing."""

from __future__ import annotations

from typing import Final

from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import Block, Document, Item

_BLOCKS: Final = {
    "Assertions": 'write @assert("…") in the scenario',
    "GoldenTest": 'write @golden("…") below the @sink',
    "Metadata": 'write @module(layer="…") above Scenario:, and @herd("…") above Feature:',
    "properties": 'write a contract: @contract("contracts/x.py:Name")',
    "Properties": 'write a contract: @contract("contracts/x.py:Name")',
}
_WHOLE: Final = "leave it away; a note begins with #"


def tell_pending(document: Document, findings: Findings) -> None:
    """Tell what of a file has no meaning yet."""
    backgrounds = [document.background, *(one.background for one in document.rules)]
    holders: list[list[Item]] = [
        document.items,
        *(one.items for one in document.scenarios),
        *(one.items for one in backgrounds if one is not None),
    ]
    for items in holders:
        for item in items:
            if isinstance(item, Block):
                hint = _BLOCKS.get(item.keyword, _WHOLE)
                findings.add("D012", f"{item.keyword}: is not there yet", item.span, hint)
    for rule in document.rules:
        for annotation in rule.decorations:
            hint = "put it above or below a Scenario:"
            text = f"@{annotation.name} stands above Rule:"
            findings.add("D013", text, annotation.span, hint)
