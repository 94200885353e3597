"""What fields are once they are hidden: each by its mask, and within records and lists only the parts that have one. `hiding.py` does it to columns."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace as changed

from runink.clearances import HerdMask
from runink.contracts.fields import FieldSpec
from runink.contracts.masks import masked_field, read_mask


class Clearance(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a sink may hold of personal data that comes its way: it relies on being `cleared` for these kinds, and gets the `masked` fields as their masks leave them.

    Of a row it takes these `columns` and no other; nothing stands for any, where what else comes holds nothing that it is not cleared for.
    `needs_key` says that a mask among them is made with the herd's key.
    A sink for a role relies on the role showing these `marks`, too (`pii:email`, `access:finance`).
    `by_herd` are the masks that the contracts do not name: it relies on the herd's file still saying so.
    """

    cleared: tuple[str, ...] = ()
    masked: tuple[FieldSpec, ...] = ()
    columns: tuple[str, ...] | None = None
    needs_key: bool = False
    marks: tuple[str, ...] = ()
    by_herd: tuple[HerdMask, ...] = ()


def is_keyed(field: FieldSpec) -> bool:
    """Say whether hiding the field, or a part of it, needs the herd's key."""
    if field.mask:
        return read_mask(field.mask, field.kind).is_keyed
    return any(is_keyed(one) for one in parts_of(field))


def parts_of(field: FieldSpec) -> tuple[FieldSpec, ...]:
    """Return the fields of a record, or the items of a list."""
    return (*field.fields, *((field.items,) if field.items is not None else ()))


def with_parts(field: FieldSpec, parts: tuple[FieldSpec, ...]) -> FieldSpec:
    """Return the field with these parts in the place of its own, itself without a mask."""
    if field.items is not None:
        return changed(field, mask="", items=parts[-1])
    return changed(field, mask="", fields=parts)


def unmasked(field: FieldSpec) -> FieldSpec:
    """Return the field as it is hidden for who sees all of it: nothing has a mask."""
    return with_parts(field, tuple(unmasked(one) for one in parts_of(field)))


def hidden_field(field: FieldSpec) -> FieldSpec:
    """Return what a field is once it is hidden."""
    if field.mask:
        return masked_field(field)
    items = None if field.items is None else hidden_field(field.items)
    return changed(field, fields=tuple(hidden_field(one) for one in field.fields), items=items)
