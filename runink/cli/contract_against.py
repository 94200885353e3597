"""Stored data held against two versions of a contract: how many rows each rejects, and why. In constant memory, a pass a version."""

from __future__ import annotations

from typing import Final

import msgspec

from runink.cli.contract_validate import Verdict, judged
from runink.contracts.fields import ContractSpec, FieldSpec
from runink.errors import Refused

REASONS_MAX: Final = 100  # a contract has more only when it is generated
_REFUSES: Final = frozenset({"contract_columns", "source_columns"})


class Reason(msgspec.Struct, frozen=True):
    """How many rows one rule of one field rejects; `text` is the first row's."""

    field: str
    rule: str
    text: str
    rows: int


class Held(msgspec.Struct, frozen=True):
    """What two versions make of a file. `refused` says why the new one takes no row of it at all: a column is missing."""

    file: str
    old_version: str
    new_version: str
    rows: int
    rejected_by_old: int
    rejected_by_new: int
    reasons: tuple[Reason, ...] = ()
    refused: str = ""


class Reading(msgspec.Struct, frozen=True):
    """How a CSV file is read, as in a @source."""

    nulls: tuple[str, ...] = ("",)
    delimiter: str = ""


def held_against(file: str, old: ContractSpec, new: ContractSpec, reading: Reading) -> Held:
    """Check every row of a file by both. Raises NotFound, Invalid, Refused."""
    before, _ = _judged(_closed(old, new), file, reading)
    after, refused = _judged(_closed(new, old), file, reading)
    rows = max(before.rows if before else 0, after.rows if after else 0)
    return Held(
        file,
        old.version,
        new.version,
        rows,
        before.rejected if before else rows,
        after.rejected if after else rows,
        _reasons(after) if after else (),
        refused,
    )


def _judged(spec: ContractSpec, file: str, reading: Reading) -> tuple[Verdict | None, str]:
    """Return what one version makes of the rows, or why it takes none of them."""
    try:
        return judged(spec, file, nulls=reading.nulls, delimiter=reading.delimiter), ""
    except Refused as error:
        if error.code not in _REFUSES:
            raise
        return None, error.text


def _reasons(verdict: Verdict) -> tuple[Reason, ...]:
    """Return why rows are rejected, what rejects most of them first."""
    return tuple(
        Reason(field, rule, verdict.examples[field, rule][0], rows)
        for (field, rule), rows in verdict.reasons.most_common(REASONS_MAX)
    )


def _closed(spec: ContractSpec, other: ContractSpec) -> ContractSpec:
    """Return the contract with what either of the two calls personal: no reason shows a value of it."""
    return msgspec.structs.replace(spec, fields=_all_closed(spec.fields, other.fields))


def _all_closed(
    fields: tuple[FieldSpec, ...], others: tuple[FieldSpec, ...]
) -> tuple[FieldSpec, ...]:
    named = {field.name: field for field in others}
    return tuple(
        _one_closed(field, named[field.name]) if field.name in named else field for field in fields
    )


def _one_closed(field: FieldSpec, other: FieldSpec) -> FieldSpec:
    items = field.items
    if items is not None and other.items is not None:
        items = _one_closed(items, other.items)
    return msgspec.structs.replace(
        field,
        pii=field.pii or other.pii,
        fields=_all_closed(field.fields, other.fields),
        items=items,
    )
