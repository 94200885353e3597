"""A pipeline's parts by what they are asked for by, made once for each pipeline: one of a thousand slices is asked a few times for each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar


class Named(Protocol):
    """A node."""

    @property
    def id(self) -> str: ...


class Process(Protocol):
    """A slice."""

    @property
    def id(self) -> str: ...
    @property
    def gang(self) -> str: ...
    @property
    def nodes(self) -> tuple[str, ...]: ...


class Directed(Protocol):
    """A link."""

    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...


NodeT = TypeVar("NodeT", bound=Named)
SliceT = TypeVar("SliceT", bound=Process)
LinkT = TypeVar("LinkT", bound=Directed)


class GraphIndex(Generic[NodeT, SliceT, LinkT]):
    """`staged` maps the sources that read what a sink of the same run has prepared to that sink.

    `nodes` and `slices` are by id, `homes` are the slices by their nodes, `gangs` their slices in the order of the first of each, `needs` are the gangs that have to have prepared
    their output before that one may start, `pipes` are the links between slices.
    """

    def __init__(
        self,
        nodes: Sequence[NodeT],
        slices: Sequence[SliceT],
        links: Sequence[LinkT],
        staged: Mapping[str, str],
    ) -> None:
        self.nodes: Final = {node.id: node for node in nodes}
        self.slices: Final = {spec.id: spec for spec in slices}
        self.homes: Final = {name: spec for spec in reversed(slices) for name in spec.nodes}
        gangs: dict[str, list[SliceT]] = {}
        for spec in slices:
            gangs.setdefault(spec.gang, []).append(spec)
        self.gangs: Final = {name: tuple(specs) for name, specs in gangs.items()}
        self.needs: Final = self._needs(staged)
        self.pipes: Final = tuple(link for link in links if self._crosses(link))
        self._links: Final = tuple(links)
        self._touching: Final[defaultdict[str, list[int]]] = defaultdict(list)
        for place, link in enumerate(links):
            for name in {link.source, link.target}:
                self._touching[name].append(place)

    def links_of(self, nodes: Iterable[str]) -> tuple[LinkT, ...]:
        """Return the links that begin or end at these nodes, in their order."""
        places = {place for name in nodes for place in self._touching.get(name, ())}
        return tuple(self._links[place] for place in sorted(places))

    def _needs(self, staged: Mapping[str, str]) -> dict[str, frozenset[str]]:
        needs: dict[str, frozenset[str]] = dict.fromkeys(self.gangs, frozenset())
        for source, sink in staged.items():
            needs[self.homes[source].gang] |= {self.homes[sink].gang}
        return needs

    def _crosses(self, link: LinkT) -> bool:
        return self.homes[link.source].id != self.homes[link.target].id
