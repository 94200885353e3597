"""What placements that came mean for the slices that run here: which are new, which know nothing yet of that they are to give way, which were replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runink.actors.attending import Attended, Gang, gang_of
from runink.barn.keyvalue import KeyValue
from runink.clients.barn import decode_value
from runink.runs.records import Placement


@dataclass(frozen=True, slots=True)
class Noticed:
    """Keys of placements whose slices are `replaced` by a later attempt, of those that are `leaving`, and the placements of gangs that are new, by gang."""

    replaced: list[str] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    new: dict[Gang, list[Placement]] = field(default_factory=dict)


def noticed(there: Iterable[KeyValue], attended: Mapping[str, Attended]) -> Noticed:
    """Sort placements by what is to be done. One that is leaving and whose slice does not run here is new as well: who launches it has to find out what became of it."""
    found = Noticed()
    for item in there:
        placement = decode_value(item, Placement).value
        if placement.is_leaving:
            found.leaving.append(item.key)
        ours = attended.get(item.key)
        if ours is not None and ours.record.attempt >= placement.attempt:
            continue
        if ours is not None:  # its placement went and came again between two looks
            found.replaced.append(item.key)
        found.new.setdefault(gang_of(placement), []).append(placement)
    return found
