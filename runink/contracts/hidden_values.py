"""Values as somebody may see them who reads a few of them, without Arrow: each by its field's mask, and within records and lists only the parts that have one.

It leaves what `hiding.py` leaves of a column, or less: a herd's key stands on its nodes alone, so what a keyed mask would leave is redacted here, and so is a bucket.
What has another shape than its field is hidden whole.
"""

from __future__ import annotations

from typing import Any

from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.masks import REDACTED, read_mask


def hidden_value(value: Any, field: FieldSpec) -> Any:
    """Return what is left of a value, in the types that JSON has. Nothing stays nothing."""
    if value is None:
        return None
    if field.mask:
        return _masked(value, field)
    match field.kind, value:
        case Kind.RECORD, dict():
            parts = {one.name.lower(): one for one in field.fields}
            return {
                name: hidden_value(one, parts[name.lower()]) if name.lower() in parts else None
                for name, one in value.items()
            }
        case Kind.LIST, list():
            assert field.items is not None, "a list says what it holds"
            return [hidden_value(one, field.items) for one in value]
        case ((Kind.RECORD | Kind.LIST), _):
            return None
        case _:
            return value


def _masked(value: Any, field: FieldSpec) -> str | None:
    mask = read_mask(field.mask, field.kind)
    if not isinstance(value, str) or field.kind is not Kind.STR:
        return None
    return value[: mask.first] if mask.name == "truncate" else REDACTED
