"""The contract that holds where a line stands, and what is said about its fields."""

from __future__ import annotations

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dsl.extents import Extent
from runink.lsp.page import Page
from runink.lsp.project import Offers

FIELDS_SHOWN_MAX = 40  # of a contract, where the mouse rests: more does not fit a screen


def contract_at(page: Page, extent: Extent, offers: Offers) -> tuple[str, ContractSpec] | None:
    """Return the contract that the rows keep at an annotation: the last one on the chain above it, else the scenario's only one."""
    section = page.sections[page.section_at(extent.start)]
    on_chain = [
        one for one in section.extents if one.name == "contract" and not page.value(one, "on")
    ]
    above = [one for one in on_chain if one.start < extent.start]
    for one in reversed(above or on_chain):
        reference = page.value(one, "path")
        spec = offers.spec(reference)
        if spec is not None:
            return reference, spec
    return None


def kind_of(field: FieldSpec) -> str:
    """Return a field's type as people say it."""
    if field.kind is Kind.LIST and field.items is not None:
        name = f"list of {kind_of(field.items)}"
    elif field.choices:
        name = " | ".join(repr(one) for one in field.choices)
    else:
        name = field.kind.value
    return f"{name} or nothing" if field.nullable else name


def bounds_of(field: FieldSpec) -> str:
    """Return what else is demanded of a field's values."""
    signs = (("≥", field.ge), (">", field.gt), ("≤", field.le), ("<", field.lt))
    said = [f"{sign} {value}" for sign, value in signs if value is not None]
    if field.pattern is not None:
        said.append(f"`{field.pattern}`")
    if field.min_length is not None or field.max_length is not None:
        said.append(f"length {field.min_length or 0}…{_shown(field.max_length)}")
    if field.multiple_of is not None:
        said.append(f"a multiple of {field.multiple_of}")
    if field.format:
        said.append(field.format)
    if field.unique:
        said.append("unique")
    if field.has_default:
        said.append(f"default {field.default!r}")
    if field.unit:
        said.append(field.unit)
    if field.pii:
        said.append(f"pii: {field.pii}")
    return ", ".join(said)


def _shown(length: int | None) -> str:
    return "" if length is None else str(length)


def field_text(spec: ContractSpec, field: FieldSpec) -> str:
    """Return what is shown of one field, as Markdown."""
    bounds = bounds_of(field)
    head = f"`{field.name}`: {kind_of(field)}{f' ({bounds})' if bounds else ''}, of {spec.name}"
    return f"{head}\n\n{field.description}" if field.description else head


def contract_text(spec: ContractSpec) -> str:
    """Return what is shown of a contract, as Markdown."""
    lines = [f"**{spec.name}** {spec.version}"]
    if spec.description:
        lines.append(spec.description)
    rows = ["| field | type | |", "|---|---|---|"]
    for field in spec.fields[:FIELDS_SHOWN_MAX]:
        about = "; ".join(part for part in (bounds_of(field), field.description) if part)
        rows.append(f"| {field.name} | {_cell(kind_of(field))} | {_cell(about)} |")
    left = len(spec.fields) - FIELDS_SHOWN_MAX
    if left > 0:
        rows.append(f"| … | {left} more | |")
    lines.append("\n".join(rows))
    lines.extend(f"rule `{rule.name}`: `{rule.text}`" for rule in spec.rules)
    return "\n\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
