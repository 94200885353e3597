"""How large the store may become, and how much of its past it keeps: part of the state, so that every member keeps the same."""

from __future__ import annotations

from typing import Final

import msgspec

QUOTA_BYTES: Final = 2 << 30  # what stays comfortable in memory, and is restored within a minute
HISTORY_CHANGES_MAX: Final = 100_000  # longer than any watcher takes to come back, at full load
HISTORY_BYTES_MAX: Final = 64 << 20  # large values must not make the history larger than the state
CALM_PART: Final = 10  # the alarm ends by itself when a tenth of the quota is free again


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """The limits of a store, as `SetLimits` sets them."""

    quota_bytes: int = QUOTA_BYTES
    history_changes: int = HISTORY_CHANGES_MAX
    history_bytes: int = HISTORY_BYTES_MAX

    @property
    def calm_bytes(self) -> int:
        """Below this, puts are let in again."""
        return self.quota_bytes - self.quota_bytes // CALM_PART
