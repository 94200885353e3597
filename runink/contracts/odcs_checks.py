"""What must hold of a field wherever it was read: the same that the class of a contract is told for the same mistake (codes: `annotations.py`)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runink.contracts.annotations import Mistake
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.fitting import FIT, check_together, fitted, with_default

_ATTRIBUTES: Final = {name: "coercion" if name == "coerce" else name for name in FIT}


def mistakes_of(field: FieldSpec, *, path: str = "") -> tuple[Mistake, ...]:
    """Return what is wrong with a field and with what is in it."""
    path = path or field.name
    mistakes: list[Mistake] = []

    def wrong(code: str, text: str, hint: str = "") -> None:
        mistakes.append(Mistake(code, f"{path}: {text}", hint))

    said = {name: getattr(field, attribute) for name, attribute in _ATTRIBUTES.items()}
    usual = FieldSpec("", field.kind)
    said = {
        name: tuple(_own(field.kind, one) for one in value) if name == "choices" else value
        for name, value in said.items()
        if value != getattr(usual, _ATTRIBUTES[name])
    }
    fitted(field.kind, said, wrong)
    bare = msgspec.structs.replace(field, has_default=False, default=None)
    if not mistakes:
        check_together(bare, wrong)
    if field.has_default:
        with_default(bare, _own(field.kind, field.default), wrong, is_sound=not mistakes)
    for inner in field.fields:
        mistakes += mistakes_of(inner, path=f"{path}.{inner.name}")
    if field.items is not None:
        mistakes += mistakes_of(field.items, path=f"{path}[]")
    return tuple(mistakes)


def _own(kind: Kind, value: Any) -> Any:
    """Return a value as a class has it: a spec keeps bytes as text, which a class may not."""
    if kind is not Kind.BYTES or not isinstance(value, str):
        return value
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value
