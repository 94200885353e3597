"""Which main inputs are kept on disk, so that no step waits for ever.

A step waits until its side inputs are whole, and holds back its main input meanwhile.  Say it *holds* all that leads to its main input by
main links, and *needs* all that leads to its side inputs by any links.  If A needs what B holds, A waits for B; if that goes round in
a circle, all of it waits for ever.  So in each circle one step's main input is spooled: it then holds nothing.

Most circles are of one step, which reads a stream both ways; those are found in one walk along the stream.  Sets of nodes are bits of an integer,
because there may be a thousand of each.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace as changed

from runink.dag import MAIN, REJECTED, Link, Node


def spooled(nodes: Sequence[Node], links: Sequence[Link]) -> tuple[Link, ...]:
    """Return the links, those marked that are spooled. `nodes` stand behind what they read.

    Where all flows by itself none is; where several circles share steps, it may be one more than needed.
    """
    waits = _Waits(nodes, links)
    spool = waits.by_itself()
    while (found := waits.in_circle(spool)) is not None:
        spool.add(found)
    return tuple(
        changed(link, spool=True) if link.target in spool and link.role == MAIN else link
        for link in links
    )


class _Waits:
    def __init__(self, nodes: Sequence[Node], links: Sequence[Link]) -> None:
        self._order = [node.id for node in nodes]
        self._bit = {name: 1 << place for place, name in enumerate(self._order)}
        self._mains: dict[str, list[str]] = {name: [] for name in self._order}
        self._sides: dict[str, list[str]] = {name: [] for name in self._order}
        for link in links:
            is_main = link.role in {MAIN, REJECTED}
            (self._mains if is_main else self._sides)[link.target].append(link.source)
        self._steps = [name for name in self._order if self._sides[name]]
        self._needs = self._needed()

    def _needed(self) -> dict[str, int]:
        """Map each step with side inputs to all that is in front of those."""
        front: dict[str, int] = {}
        needs: dict[str, int] = {}
        for name in self._order:
            sides = mains = 0
            for source in self._sides[name]:
                sides |= self._bit[source] | front[source]
            for source in self._mains[name]:
                mains |= self._bit[source] | front[source]
            front[name] = sides | mains
            needs[name] = sides
        return needs

    def _held_by(self, name: str, held: dict[str, int]) -> int:
        found = 0
        for source in self._mains[name]:
            found |= self._bit[source] | held[source]
        return found

    def by_itself(self) -> set[str]:
        """Return the steps that wait for themselves, spooled one after the other along the stream: what is in front may have eased it."""
        spool: set[str] = set()
        held: dict[str, int] = {}
        for name in self._order:
            held[name] = self._held_by(name, held)
            if held[name] & self._needs[name]:
                spool.add(name)
                held[name] = 0
        return spool

    def in_circle(self, spool: set[str]) -> str | None:
        """Return a step that waits for itself through others, or nothing."""
        held: dict[str, int] = {}
        for name in self._order:
            held[name] = 0 if name in spool else self._held_by(name, held)
        left = list(self._steps)
        while left:
            # Whoever waits for nobody that is left goes on; whoever nobody waits for keeps no circle closed.
            stuck = [
                name
                for name in left
                if any(self._needs[name] & held[other] for other in left)
                and any(self._needs[other] & held[name] for other in left)
            ]
            if len(stuck) == len(left):
                return stuck[0]
            left = stuck
        return None
