"""Kinds, natures and shapes: what nodes, and what parts, have in common, so that it is worked out once; see `room.py`."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

from runink.capabilities import IsolationPolicy
from runink.labels import LabelRule
from runink.names import HerdName
from runink.placement.cluster import Amount, NodeView, Numbers
from runink.placement.demands import Inputs
from runink.placement.feasible import Reason, Rule
from runink.placement.rank import NEVER

KEPT_MAX: Final = 512  # of shapes and of natures; the oldest goes first
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

NatureKey = tuple[
    tuple[LabelRule, ...], tuple[str, ...], tuple[str, ...], Inputs, HerdName, IsolationPolicy, bool
]
ShapeKey = tuple[
    Amount,
    tuple[LabelRule, ...],
    tuple[str, ...],
    tuple[str, ...],
    Inputs,
    HerdName,
    IsolationPolicy,
    bool,
]


class Nature:
    """What parts ask of a node's nature: `reasons` why not by the kind of a node, `allowed` the nodes without one, in their order.

    `gains` is by how much each node is cheaper because of the inputs that it has; nothing where no node has any. It is made of `gains_by_kind`.
    """

    __slots__ = ("allowed", "allows", "gains", "reasons")

    def __init__(
        self, reasons: list[Reason | None], kinds: list[int], gains_by_kind: list[int] | None
    ) -> None:
        self.reasons = reasons
        self.gains = gains_by_kind and [gains_by_kind[kind] for kind in kinds]
        self.allows = [reasons[kind] is None for kind in kinds]
        self.allowed = [at for at, is_allowed in enumerate(self.allows) if is_allowed]


class Shape:
    """What parts have in common."""

    __slots__ = ("floors", "nature", "needs", "uses_gpus")

    def __init__(self, needs: Numbers, nature: Nature) -> None:
        self.needs = needs
        self.nature = nature
        # What is not asked for is never short, not even on a node that has less than nothing left.
        self.floors = tuple(number or -NEVER for number in needs)
        self.uses_gpus = needs[3] > 0


class Tally(NamedTuple):
    """On how many nodes each rule is the first that refuses, and on how many of these for ever."""

    counts: dict[Rule, int]
    finals: int


def keep(kept: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
    kept[key] = value


def kinds_of(views: list[NodeView]) -> tuple[list[int], list[NodeView]]:
    """Return the kind of each node, and a node of each kind."""
    known: dict[object, int] = {}
    examples: list[NodeView] = []
    kinds = []
    for view in views:
        missing = tuple(sorted(view.missing.items()))
        held = tuple(sorted(view.held.items()))
        nature = (view.labels, view.dedicated_to, view.visible, missing, view.is_plain, held)
        if nature not in known:
            known[nature] = len(examples)
            examples.append(view)
        kinds.append(known[nature])
    return kinds, examples
