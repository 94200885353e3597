"""Which logs of a run are wanted."""

from __future__ import annotations

import msgspec

from runink.runs.records import SliceRecord


class Chosen(msgspec.Struct, frozen=True):
    """Of which slices and attempts logs are wanted; without a name or number, of all."""

    slice: str | None = None
    attempt: int | None = None

    def attempts_of(self, one: SliceRecord) -> range:
        """Return which of a slice's attempts are wanted."""
        if self.slice not in (None, one.slice):
            return range(0)
        if self.attempt is None:
            return range(1, one.attempt + 1)
        return range(self.attempt, min(self.attempt, one.attempt) + 1)
