"""The gangs that an agent is launching, found by their names and by their placements' keys: the end of each slice asks for its own, while hundreds may wait for the spawner."""

from __future__ import annotations

from collections.abc import Iterator

from runink.actors.attending import Gang
from runink.actors.launching import Launching


class UnderWay:
    """What is being launched. Two attempts of one gang may be, with the same keys: the one before is being taken back then."""

    def __init__(self) -> None:
        self._gangs: dict[Gang, Launching] = {}
        self._by_key: dict[str, list[Launching]] = {}

    def __len__(self) -> int:
        return len(self._gangs)

    def __contains__(self, gang: Gang) -> bool:
        return gang in self._gangs

    def begin(self, gang: Gang, launching: Launching) -> None:
        """Take note of a gang that is not being launched yet."""
        self._gangs[gang] = launching
        for key in launching.keys:
            self._by_key.setdefault(key, []).append(launching)

    def end(self, gang: Gang) -> None:
        """Take note that its launch is over, in whatever way."""
        launching = self._gangs.pop(gang)
        for key in launching.keys:
            left = self._by_key[key]
            left.remove(launching)
            if not left:
                del self._by_key[key]

    def take_back(self, key: str) -> None:
        """Take a placement back from all that are being launched for it."""
        for launching in self._by_key.get(key, ()):
            launching.take_back(key)

    def keys(self) -> Iterator[str]:
        """Yield the placements that something is launched for."""
        return iter(self._by_key)
