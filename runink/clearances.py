"""What a herd lets its sinks hold of personal data: a plain value, read from the herd's file (`herds.py`), compiled into sinks (`dsl/clearing.py`).

A sink is cleared for the kinds of personal data (`pii=` of fields) that some entry whose pattern fits its URI names; `*` names all kinds.  What a
sink is not cleared for it gets masked: as the contract says, else as `fields` says for the field, else by `default`.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import msgspec

EVERYTHING: Final = "*"
NOT_CLEARED: Final = (
    "not_cleared"  # the code of what fails because a sink may not hold what it would get
)


class SinkClearance(msgspec.Struct, frozen=True):
    """Sinks whose URI is like `sink` (`*`, `?` and `[…]` as in names of files, `*` also over `/`) may hold these kinds of personal data."""

    sink: str
    pii: tuple[str, ...]


class HerdMask(msgspec.Struct, frozen=True):
    """A mask that a herd's file, and not the contract, has said for a field."""

    contract: str
    field: str
    mask: str


class ClearancePolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """`default` masks fields whose contract names no mask, `fields` those of these names (`email`, or `Trade.email`); nothing is masked by nothing."""

    default: str = ""
    fields: dict[str, str] = {}
    sinks: tuple[SinkClearance, ...] = ()

    def cleared(self, uri: str) -> frozenset[str]:
        """Return the kinds of personal data that a sink may hold; EVERYTHING among them stands for all."""
        return frozenset(
            kind for one in self.sinks if fnmatchcase(uri, one.sink) for kind in one.pii
        )

    def lacks(self, uri: str, kinds: Iterable[str]) -> tuple[str, ...]:
        """Return which of these kinds a sink may not hold."""
        found = self.cleared(uri)
        return () if EVERYTHING in found else tuple(kind for kind in kinds if kind not in found)

    def mask_of(self, contract: str, field: str) -> str:
        """Return the mask of a field whose contract names none, or nothing."""
        return self.fields.get(f"{contract}.{field}") or self.fields.get(field) or self.default


NO_CLEARANCES: Final = ClearancePolicy()
