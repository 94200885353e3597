"""Plain scenarios of what stands in a file: an outline becomes one for each row of its examples, and backgrounds are put in front.

`<name>` in a title, a step, a bullet, a table, a doc string or a text of an annotation is the value of that column, and a name
that is no column a mistake.  Every part keeps its place in the file: what a value was put into points to
the `<name>` that it replaced.

A background stands in front of a scenario's own lines, the file's before its rule's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import (
    Background,
    Document,
    Examples,
    Header,
    Item,
    Place,
    ScenarioBlock,
    Text,
    kept_places,
)
from runink.errors import Span
from runink.suggestions import near, near_or_all

SCENARIOS_MAX: Final = 500  # that an outline may become: as many as a file may have

_HOLE: Final = re.compile(r"<([A-Za-z_][\w. -]*)>")


def expanded(document: Document, findings: Findings) -> Document:
    """Return the document with plain scenarios only; what of an outline is wrong becomes findings."""
    made: list[ScenarioBlock] = []
    for scenario in document.scenarios:
        backgrounds = [
            one
            for one in (document.background, scenario.rule.background if scenario.rule else None)
            if one is not None
        ]
        for plain in _plain(scenario, findings):
            made.append(_with_background(plain, backgrounds))
            if len(made) > SCENARIOS_MAX:
                return _with_scenarios(document, made)
    return _with_scenarios(document, made)


def _with_scenarios(document: Document, scenarios: Sequence[ScenarioBlock]) -> Document:
    return msgspec.structs.replace(document, scenarios=scenarios)


def _with_background(scenario: ScenarioBlock, backgrounds: Sequence[Background]) -> ScenarioBlock:
    if not backgrounds:
        return scenario
    above: list[Item] = [item for one in backgrounds for item in one.items]
    is_broken = scenario.is_broken or any(one.is_broken for one in backgrounds)
    return msgspec.structs.replace(scenario, items=[*above, *scenario.items], is_broken=is_broken)


def _plain(scenario: ScenarioBlock, findings: Findings) -> list[ScenarioBlock]:
    if not scenario.is_outline:
        return [scenario]
    before = len(findings)
    rows = [(one, values) for one in scenario.examples for values in _rows(one, findings)]
    if not scenario.examples and not scenario.is_broken:
        hint = "write Examples: below it, and a table: names in the first row, values below"
        text = f"{scenario.header.keyword}: has no examples"
        findings.add("D019", text, scenario.header.span, hint)
    if rows:
        _check_names(scenario, rows[0][1], findings)
    if len(findings) > before or not rows:
        header = msgspec.structs.replace(scenario.header, keyword="Scenario")
        return [msgspec.structs.replace(scenario, header=header, is_broken=True)]
    return [_filled(scenario, values, of) for of, values in rows[: SCENARIOS_MAX + 1]]


def _rows(examples: Examples, findings: Findings) -> list[dict[str, str]]:
    """Return what each row says, by the names of its columns."""
    if examples.table is None or len(examples.table.rows) < 2:
        hint = "write a table below it: names in the first row, values in the others"
        findings.add("D019", "these examples have no rows", examples.header.span, hint)
        return []
    head, *rows = examples.table.rows
    names = [cell.value for cell in head.cells]
    for place, cell in enumerate(head.cells):
        if not cell.value:
            findings.add("D019", "this column has no name", cell.span, "give it one")
        elif cell.value in names[:place]:
            hint = "give one another name, or take it away"
            findings.add("D016", f"there are two columns {cell.value}", cell.span, hint)
    return [dict(zip(names, (cell.value for cell in row.cells), strict=False)) for row in rows]


def _check_names(scenario: ScenarioBlock, values: Mapping[str, str], findings: Findings) -> None:
    """Tell names that are no column, and columns that nothing asks for."""
    used: set[str] = set()

    def look(text: Text) -> Text:
        for hole in _HOLE.finditer(text.value):
            name = hole[1]
            used.add(name)
            # What has a blank in it may be a comparison of SQL, if it is like no column.
            if name not in values and (" " not in name or near(name, values)):
                hint = near_or_all(name, values)
                place = text.at(hole.start(), len(hole[0]))
                findings.add("D019", f"the examples have no column {name}", place, hint)
        return text

    with_texts(_outline_of(scenario), look)
    for head in [one.table.rows[0] for one in scenario.examples if one.table is not None]:
        names = {cell.value for cell in head.cells}
        for name in sorted(values.keys() - names):
            text = f"these examples have no column {name}, and the first have"
            findings.add("D019", text, head.span, "all have the same columns")
        for cell in head.cells:
            if cell.value and cell.value not in values:
                text = f"the first examples have no column {cell.value}"
                findings.add("D019", text, cell.span, "all have the same columns")
            elif cell.value and cell.value not in used:
                text = f"no line asks for {cell.value}"
                hint = f"write <{cell.value}> where its value goes, or take the column away"
                findings.add("D019", text, cell.span, hint)


def _outline_of(scenario: ScenarioBlock) -> ScenarioBlock:
    """Return the part of an outline that values go into: all but its examples and its rule."""
    return msgspec.structs.replace(scenario, examples=[], rule=None)


def _filled(
    scenario: ScenarioBlock, values: Mapping[str, str], examples: Examples
) -> ScenarioBlock:
    """Return the scenario of a row; what stands above its table describes it, too."""
    made: ScenarioBlock = with_texts(_outline_of(scenario), lambda text: _with_values(text, values))
    title = made.header.title_text
    header = msgspec.structs.replace(
        made.header,
        keyword="Scenario",
        title=title.value if title is not None else "",
        description=[*made.header.description, *_told(examples.header)],
    )
    return msgspec.structs.replace(made, header=header, rule=scenario.rule)


def _told(header: Header) -> list[Text]:
    title = [header.title_text] if header.title_text is not None and header.title else []
    return [*title, *header.description]


def _with_values(text: Text, values: Mapping[str, str]) -> Text:
    """Put values in the place of `<name>`; each points to the `<name>` that it replaced."""
    pieces: list[str] = []
    places: list[Place] = []
    size = at = 0
    for hole in _HOLE.finditer(text.value):
        if hole[1] not in values:
            continue
        places.extend(kept_places(text, at, hole.start(), size))
        size += hole.start() - at
        span = text.at(hole.start())
        places.append(Place(size, span.line, span.column, is_fixed=True))
        pieces.extend((text.value[at : hole.start()], values[hole[1]]))
        size += len(values[hole[1]])
        at = hole.end()
    if not pieces:
        return text
    places.extend(kept_places(text, at, len(text.value), size))
    return Text("".join((*pieces, text.value[at:])), text.span, tuple(places))


def with_texts(node: Any, change: Callable[[Text], Text]) -> Any:
    """Return a part of the tree with each of its texts changed; what holds none stays the same object."""
    if isinstance(node, Text):
        return change(node)
    if isinstance(node, list | tuple):
        made = [with_texts(one, change) for one in node]
        is_same = all(one is other for one, other in zip(made, node, strict=True))
        return node if is_same else type(node)(made)
    if not isinstance(node, msgspec.Struct) or isinstance(node, Span):
        return node
    changed = {}
    for name in node.__struct_fields__:
        old = getattr(node, name)
        new = with_texts(old, change)
        if new is not old:
            changed[name] = new
    return msgspec.structs.replace(node, **changed) if changed else node
