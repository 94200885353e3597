"""Which logs of a run are wanted, and on which nodes they are kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from runink.names import NodeId
from runink.observe.slice_logs import log_path
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


def places_of(
    slices: Iterable[SliceRecord], chosen: Chosen
) -> tuple[dict[NodeId, list[str]], list[str]]:
    """Return the names of the logs that are wanted by the nodes that keep them, and those of which nobody knows where they are."""
    wanted: dict[NodeId, list[str]] = {}
    anywhere: list[str] = []
    for one in slices:
        for attempt in chosen.attempts_of(one):
            node = one.node_of(attempt)
            name = log_path(Path(), one.slice, attempt).name
            if node is not None:
                wanted.setdefault(node, []).append(name)
            elif attempt < one.attempt:
                anywhere.append(name)
    return wanted, anywhere
