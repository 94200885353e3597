"""Who stands where: groups of parts on nodes and in domains, for what must stand apart and what is spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from runink.placement.cluster import NodeView
from runink.placement.demands import Part, Spread

NO_DOMAIN = -1


class Domains:
    """The domains of nodes by one key, as numbers; NO_DOMAIN for a node that does not say."""

    def __init__(self, views: Sequence[NodeView], key: str) -> None:
        self.names: list[str] = []
        known: dict[str, int] = {}
        self.codes: list[int] = []
        for view in views:
            name = view.domain(key)
            if name and name not in known:
                known[name] = len(self.names)
                self.names.append(name)
            self.codes.append(known[name] if name else NO_DOMAIN)


class Crowds:
    """How many of a group each domain has, as one part sees it."""

    __slots__ = ("codes", "counts", "key", "least", "limit")

    def __init__(self, spread: Spread, codes: list[int], counts: list[int], least: int) -> None:
        self.key = spread.key
        self.codes = codes
        self.counts = counts
        self.least = least
        # A domain with so many takes no more. None: no rule, only a cost.
        self.limit = least + spread.skew_max if spread.is_hard else None

    def count(self, at: int) -> int:
        """Return how many stand in the node's domain, -1 if it may take no more."""
        code = self.codes[at]
        if code == NO_DOMAIN:
            return 0 if self.limit is None else -1
        count = self.counts[code]
        return count if self.limit is None or count < self.limit else -1

    def has_domain(self, at: int) -> bool:
        return self.codes[at] != NO_DOMAIN

    def crowding(self, at: int) -> int:
        """Return by how many the node's domain has more than the emptiest."""
        code = self.codes[at]
        return 0 if code == NO_DOMAIN else self.counts[code] - self.least

    def found(self, at: int) -> int:
        """Return how many stand in the node's domain, whether it may take more or not."""
        code = self.codes[at]
        return 0 if code == NO_DOMAIN else self.counts[code]


class Companies:
    """Counts groups on nodes; counts of domains follow."""

    def __init__(self, views: Sequence[NodeView]) -> None:
        self._views = views
        self._members: dict[str, dict[int, int]] = {}
        self._shunners: dict[str, dict[int, int]] = {}
        self._domains: dict[str, Domains] = {}
        self._in_domains: dict[str, dict[str, list[int]]] = {}  # by group, by key
        for at, view in enumerate(views):
            for group in view.groups:
                _count(self._members, group, at, 1)
            for group in view.shunned:
                _count(self._shunners, group, at, 1)

    def join(self, at: int, part: Part, sign: int) -> None:
        """Count the part's groups on the node, or with `sign` -1 no longer."""
        for group in part.groups:
            _count(self._members, group, at, sign)
            if group not in self._members:
                self._in_domains.pop(group, None)
                continue
            for key, counts in self._in_domains.get(group, {}).items():
                code = self.domains(key).codes[at]
                if code != NO_DOMAIN:
                    counts[code] += sign
        for group in part.anti:
            _count(self._shunners, group, at, sign)

    def on(self, at: int, part: Part) -> tuple[frozenset[str], frozenset[str]]:
        """Return those on the node that the part does not stand beside, and those of its own that something there does not stand beside."""
        members = frozenset(group for group in part.anti if at in self._members.get(group, ()))
        shunned = frozenset(group for group in part.groups if at in self._shunners.get(group, ()))
        return members, shunned

    def parts(self, at: int, part: Part) -> bool:
        """Say whether something on the node keeps the part away."""
        return any(at in self._members.get(group, ()) for group in part.anti) or any(
            at in self._shunners.get(group, ()) for group in part.groups
        )

    def around(self, part: Part) -> Iterator[int]:
        """Yield the nodes where something keeps the part away."""
        for group in part.anti:
            yield from self._members.get(group, ())
        for group in part.groups:
            yield from self._shunners.get(group, ())

    def has(self, group: str) -> bool:
        """Say whether any of the group stands anywhere."""
        return group in self._members

    def domains(self, key: str) -> Domains:
        found = self._domains.get(key)
        if found is None:
            found = self._domains[key] = Domains(self._views, key)
        return found

    def counts(self, spread: Spread) -> list[int]:
        """Return how many of the group stand in each domain."""
        if spread.group not in self._members:
            return [0] * len(self.domains(spread.key).names)
        by_key = self._in_domains.setdefault(spread.group, {})
        counts = by_key.get(spread.key)
        if counts is None:
            domains = self.domains(spread.key)
            counts = by_key[spread.key] = [0] * len(domains.names)
            for at, number in self._members.get(spread.group, {}).items():
                if domains.codes[at] != NO_DOMAIN:
                    counts[domains.codes[at]] += number
        return counts

    def crowds(self, spread: Spread, reached: Iterable[int]) -> Crowds:
        """Return how crowded domains are. `reached` are the domains of nodes that the part may use, of which the emptiest is the measure."""
        codes, counts = self.domains(spread.key).codes, self.counts(spread)
        least = min((counts[code] for code in reached if code != NO_DOMAIN), default=0)
        return Crowds(spread, codes, counts, least)


def collide(part: Part, other: Part) -> bool:
    """Say whether one of them does not stand beside the other."""
    anti, others_anti = set(part.anti), set(other.anti)
    return bool(anti.intersection(other.groups) or others_anti.intersection(part.groups))


def keeps_away(part: Part, other: Part) -> bool:
    """Say whether, where the part stands, the other might not go any more."""
    spread = other.spread
    if spread is not None and spread.is_hard and spread.group in part.groups:
        return True
    return bool(part.groups or part.anti) and collide(part, other)


def _count(table: dict[str, dict[int, int]], group: str, at: int, sign: int) -> None:
    where = table.setdefault(group, {})
    left = where.get(at, 0) + sign
    assert left >= 0
    if left:
        where[at] = left
    else:
        del where[at]
        if not where:
            del table[group]
