"""Feasibility: whether a node, and the herd's quota, have room for a part, and why not.

    rule        refuses                                                            for ever
    quota       what the herd may have is used up                                  if the quota is smaller than the need
    herd        the node is dedicated to other herds                               yes
    own         the node is dedicated to nobody, and the herd uses its own only    yes
    label       the node's labels are not as asked                                 yes
    sight       the node may not see a secret or data that the part needs          yes
    capability  the node lacks something, see `capabilities.py`                    yes
    slices, cpu, memory, disk, gpus       the node has too little when it is empty yes
    state       the node is suspect, cordoned or draining; the latter two take     no
                what is pinned to them
    pin         the part belongs on another node                                   no
    failed      the part was lost or failed there, and others could hold it        no
    apart       something stands there that it does not stand beside               no
    spread      its group has too many in that domain                              no
    slices, cpu, memory, disk, gpus       the node has too little left             no
    reserved    the node is kept for a unit that waits longer; said by planners only

The order is that of the table, and the first that refuses is the one told: of a node that will never do that is said, not that it is cordoned.  This one function serves planners, explanations and agents: where two of
them had rules of their own, they would disagree some day, and a unit would go to a node that does not take it for ever.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

from runink import capabilities
from runink.placement.cluster import NOTHING, Amount, HerdView, NodeState, NodeView
from runink.placement.demands import Part
from runink.quantities import format_cpu, format_memory

UNLIMITED: Final = 1 << 60


class Rule(Enum):
    """The rules by name, in the order in which they are asked."""

    QUOTA = "quota"
    HERD = "herd"
    OWN = "own"
    LABEL = "label"
    SIGHT = "sight"
    CAPABILITY = "capability"
    STATE = "state"
    PIN = "pin"
    FAILED = "failed"
    APART = "apart"
    SPREAD = "spread"
    SLICES = "slices"
    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    GPUS = "gpus"
    RESERVED = "reserved"


# The parts of an Amount, in the order of its fields: where each stands in it, its rule, and how it is said. Slices are asked first.
AMOUNTS: Final = (
    (4, Rule.SLICES, str),
    (0, Rule.CPU, format_cpu),
    (1, Rule.MEMORY, format_memory),
    (2, Rule.DISK, format_memory),
    (3, Rule.GPUS, str),
)

# What may be otherwise when something ends.
MENDABLE: Final = frozenset(rule for _, rule, _ in AMOUNTS)


class Reason(Struct, frozen=True):
    """Why there is no room. `what` is the capability that is missing, if that is why."""

    rule: Rule
    text: str
    is_final: bool = False  # no ending slice will ever make room
    what: str = ""


def feasible(node: NodeView, part: Part, herd: HerdView, *, crowding: int = 0) -> Reason | None:
    """Say why the node cannot take the part, or nothing if it can.

    `node` holds what is taken on it and what stands there.  `crowding` is by how many its domain has more of the part's group than the emptiest.
    """
    return (
        refused_by_quota(herd, part.needs)
        or refused_by_nature(node, part, herd)
        or _too_small(part.needs, node.capacity, str(node.node), "has")
        or _refused_by_state(node, part)
        or _refused_by_past(node, part)
        or _refused_by_company(node, part, crowding)
        or _short(part.needs, node.free, node.capacity, str(node.node))
    )


def refused_by_quota(herd: HerdView, needs: Amount) -> Reason | None:
    """Say why the herd's quota does not allow the amount now, or nothing if it does. What needs nothing is always allowed, so that a full herd can end."""
    if NOTHING in (needs, herd.quota):
        return None
    whole = limits(herd.quota)
    name = f"herd {herd.herd}"
    short = _too_small(needs, whole, name, "may have") or _short(
        needs, whole - herd.used, whole, name
    )
    return short and Reason(Rule.QUOTA, short.text, short.is_final)


def limits(quota: Amount) -> Amount:
    """Return the quota with what is not limited as a number that nobody reaches."""
    cpu_m, memory, disk, gpus, slices = quota.numbers
    return Amount(
        cpu_m or UNLIMITED,
        memory or UNLIMITED,
        disk or UNLIMITED,
        gpus or UNLIMITED,
        slices or UNLIMITED,
    )


def uses_own(herd: HerdView, part: Part) -> bool:
    """Say whether the part goes only to its herd's own nodes. What ends a run, and needs nothing, goes where the run's output is: the herd may have said it since."""
    return herd.own_nodes and part.needs != NOTHING


def refused_by_nature(node: NodeView, part: Part, herd: HerdView) -> Reason | None:
    """Say why the node is none for the part whatever is on it: rules that hold until the node's record changes."""
    where = node.node
    if node.dedicated_to and herd.herd not in node.dedicated_to:
        others = ", ".join(sorted(node.dedicated_to))
        return Reason(Rule.HERD, f"{where} is for {others} only", is_final=True)
    if uses_own(herd, part) and not node.dedicated_to:
        text = f"{where} is for all herds, and {herd.herd} uses its own nodes only"
        return Reason(Rule.OWN, text, is_final=True)
    unmet = [str(rule) for rule in part.labels if not rule.holds(node.labels)]
    if unmet:
        return Reason(Rule.LABEL, f"{where} lacks the label {', '.join(unmet)}", is_final=True)
    if node.visible is not None and not node.visible.issuperset(part.sees):
        unseen = ", ".join(sorted(set(part.sees) - node.visible))
        return Reason(Rule.SIGHT, f"{where} may not see {unseen}", is_final=True)
    lacking = capabilities.lacking(
        node.missing, herd.isolation, part.requires, is_plain=node.is_plain
    )
    if lacking:
        why = "; ".join(f"{name} ({node.missing[name]})" for name in lacking)
        return Reason(Rule.CAPABILITY, f"{where} lacks {why}", is_final=True, what=lacking[0])
    return None


def _refused_by_state(node: NodeView, part: Part) -> Reason | None:
    # What is pinned to a node ends something there, so that it may be emptied.
    is_ending = part.pin == node.node and node.state is not NodeState.SUSPECT
    if node.state is not NodeState.READY and not is_ending:
        return Reason(Rule.STATE, f"{node.node} is {node.state.value}")
    if part.pin is not None and part.pin != node.node:
        return Reason(Rule.PIN, f"it belongs on {part.pin}")
    return None


def _refused_by_past(node: NodeView, part: Part) -> Reason | None:
    if node.node in part.avoids:
        return Reason(Rule.FAILED, f"it was lost or failed on {node.node} before")
    return None


def _refused_by_company(node: NodeView, part: Part, crowding: int) -> Reason | None:
    beside = sorted(node.groups.intersection(part.anti) | node.shunned.intersection(part.groups))
    if beside:
        return Reason(Rule.APART, f"{node.node} has {', '.join(beside)}, which stands apart")
    spread = part.spread
    if spread is None or not spread.is_hard:
        return None
    if not node.domain(spread.key):
        return Reason(Rule.SPREAD, f"{node.node} has no {spread.key}", is_final=True)
    if crowding >= spread.skew_max:
        domain = node.domain(spread.key)
        return Reason(Rule.SPREAD, f"{spread.key} {domain} has too many of {spread.group}")
    return None


def _too_small(needs: Amount, whole: Amount, where: str, holds: str) -> Reason | None:
    wanted, most = needs.numbers, whole.numbers
    for at, rule, show in AMOUNTS:
        if wanted[at] > most[at]:
            text = f"it needs {rule.value} {show(wanted[at])}, {where} {holds} {show(most[at])}"
            return Reason(rule, text, is_final=True)
    return None


def _short(needs: Amount, free: Amount, whole: Amount, where: str) -> Reason | None:
    wanted, left, most = needs.numbers, free.numbers, whole.numbers
    for at, rule, show in AMOUNTS:
        # Who asks for nothing is not refused where less than nothing is left.
        if wanted[at] > left[at] and wanted[at] > 0:
            has = f"{show(max(left[at], 0))} of {show(most[at])} left"
            return Reason(rule, f"it needs {rule.value} {show(wanted[at])}, {where} has {has}")
    return None
