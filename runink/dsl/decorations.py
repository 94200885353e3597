"""Who the annotations above a header belong to.

- One that describes a scenario (`@module`) and stands directly above a header, with nothing but blank lines and notes between, is the header's.
- So is any that stands above the first header of the file's scenarios, or behind a `---`: there is no other scenario that it could mean.
- Below a scenario's header, what stands right above the next header in the header's own column is the next one's if the scenario's own
  lines are indented deeper.  If they are not, two people would read it differently: that is a mistake.
- Every other one belongs to the scenario that it stands in, or to the file before the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import Annotation, Header, Item
from runink.dsl.vocabulary import DESCRIBES_SCENARIO, OF_THE_FILE


class Pending(msgspec.Struct):
    """An annotation that may belong to the next header; `is_apart` if a blank line stands above it."""

    annotation: Annotation
    is_apart: bool


def above_first(pending: list[Pending]) -> list[Annotation]:
    """Take those that belong to the first header of a file or a rule: all but those of the file."""
    own = [one.annotation for one in pending if one.annotation.name not in OF_THE_FILE]
    pending[:] = [one for one in pending if one.annotation.name in OF_THE_FILE]
    return own


def above_next(
    pending: list[Pending],
    header: Header,
    items: Sequence[Item],
    findings: Findings,
    *,
    is_apart: bool,
) -> list[Annotation]:
    """Take those that belong to a header behind a scenario whose items these are; `is_apart` if a blank line stands above the header."""
    start = len(pending)
    while start and pending[start - 1].annotation.name in DESCRIBES_SCENARIO:
        start -= 1
    own = pending[start:]
    del pending[start:]
    if not (own[0].is_apart if own else is_apart):
        own = [*_block_above(pending, header, items, findings), *own]
    return [one.annotation for one in own]


def _block_above(
    pending: list[Pending], header: Header, items: Sequence[Item], findings: Findings
) -> list[Pending]:
    """Take what stands right above a header in its own column, if it can only mean that one; tell it if it could mean both."""
    start = len(pending)
    while start and not (start < len(pending) and pending[start].is_apart):
        start -= 1
    block = pending[start:]
    column = header.span.column
    is_in_line = all(one.annotation.span.column == column for one in block)
    if not block or not block[0].is_apart or not is_in_line:
        return []
    above = [*items, *(one.annotation for one in pending[:start])]
    if above and all(one.span.column > column for one in above):
        del pending[start:]
        return block
    for one in block:
        text = f"@{one.annotation.name} stands above a scenario"
        hint = (
            "put it below Scenario:; or, if it is the last scenario's, leave a blank line behind it"
        )
        findings.add("D013", text, one.annotation.span, hint)
    return []
