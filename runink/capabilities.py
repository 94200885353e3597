"""What a node can have, and what becomes of slices where it is missing: the catalogue, and the rules by which a herd's policy reads it.

    kind     where it is missing
    WALL     no slice runs, unless its herd allows that (`allow_missing`)
    DEPTH    slices run and their records tell it, unless the herd requires it (`require`)
    ASKED    slices that ask for it do not run

A node tells of each what it has of it, or why it is missing; both are found by trying (`sandbox/trials.py`, `sandbox/cgroup_probe.py`).  A node that tells nothing of one, an
older one, is not refused for it: what its slices need is checked there as well.

Where namespaces are missing, slices are plain processes, and nothing else of the isolation holds for them.  A herd that allows the one allows the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """What follows where a node has not got it: see above."""

    WALL = "wall"
    DEPTH = "depth"
    ASKED = "asked for"


class Isolation(Enum):
    """What closes slices off, as it is asked for: our own cells, bubblewrap, or nothing."""

    CELLS = "cells"
    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


class Feature(NamedTuple):
    """`means` is what a slice has by it, `otherwise` what becomes of slices where it is missing and they run all the same."""

    name: str
    kind: Kind
    means: str
    otherwise: str


ISOLATION: Final = "isolation"  # how a node closes slices off: one of the words below
FULL: Final = "full"
PARTIAL: Final = "partial"  # without a wall, for herds that allow it
NO_ISOLATION: Final = "none"  # plain processes, which whoever started the node asked for
BUBBLEWRAP: Final = "bubblewrap"  # closed off by that, and the name of its version
REFUSED: Final = "refused"  # they would be plain processes, and nobody asked for that
HOST_NETWORK: Final = "network.host"

NAMESPACES: Final = "namespaces"
SECCOMP: Final = "seccomp"
ID_RANGES: Final = "id_ranges"
LANDLOCK: Final = "landlock"
EGRESS: Final = "network.egress"
STREAMS: Final = "streams"
LIMITS: Final = {  # by the name that the layout of the cgroups has for each
    "memory": "limit.memory",
    "swap": "limit.swap",
    "oom": "limit.memory.tree",
    "cpu": "limit.cpu",
    "pids": "limit.processes",
    "io": "limit.io",
}

CATALOGUE: Final = (
    Feature(
        NAMESPACES,
        Kind.WALL,
        "its own users, mounts, processes, network, ipc, host name and cgroups",
        "slices are plain processes, with all rights of who runs the node",
    ),
    Feature(
        SECCOMP,
        Kind.WALL,
        "system calls that programs do not use are refused",
        "a slice may make every system call of the kernel, with the rights that it has",
    ),
    Feature(
        ID_RANGES,
        Kind.DEPTH,
        "user ids of its herd's own",
        "slices of all herds run as the one user that runs the node, behind their other walls",
    ),
    Feature(
        LANDLOCK,
        Kind.DEPTH,
        "a second wall around files",
        "mounts alone decide which files a slice reaches, and it makes no symbolic links",
    ),
    Feature(LIMITS["memory"], Kind.DEPTH, "a hard limit of memory", "nothing limits it"),
    Feature(LIMITS["swap"], Kind.DEPTH, "no swap beside that memory", "it may be swapped out"),
    Feature(
        LIMITS["oom"],
        Kind.DEPTH,
        "all of it ends at once when its memory is at an end",
        "the kernel ends one of its processes",
    ),
    Feature(LIMITS["cpu"], Kind.DEPTH, "a quota of the cores", "nothing limits it"),
    Feature(LIMITS["pids"], Kind.DEPTH, "a count of its processes", "nothing limits it"),
    Feature(LIMITS["io"], Kind.DEPTH, "bytes a second of each disk", "nothing limits it"),
    Feature(
        EGRESS, Kind.ASKED, "its herd's own network, for who asks for it", "it is asked for in vain"
    ),
    Feature(
        STREAMS,
        Kind.ASKED,
        "edges to and from slices on other nodes",
        "gangs whose slices need several nodes have no part on it",
    ),
)
BY_NAME: Final = {feature.name: feature for feature in CATALOGUE}
WALLS: Final = frozenset(one.name for one in CATALOGUE if one.kind is Kind.WALL)
CLOSING_OFF: Final = tuple(one.name for one in CATALOGUE if one.kind is not Kind.ASKED)
# What is nothing to a process without namespaces; cgroups hold it all the same.
OF_CELLS: Final = (SECCOMP, ID_RANGES, LANDLOCK)
UNTOLD: Final = "the spawner has not told of it"
PLAIN: Final = "slices are plain processes here"
HERDS_OWN: Final = "made when a slice first asks for it"
NODES_OWN: Final = "the node's own network, which plain processes have"


class IsolationPolicy(NamedTuple):
    """What of the isolation a herd's slices may do without, and what beside the walls they may not."""

    allow_missing: tuple[str, ...] = ()
    require: tuple[str, ...] = ()


class Told(NamedTuple):
    """What a node has, by name with how, and what it lacks, by name with why."""

    there: dict[str, str]
    missing: dict[str, str]


def lacking(
    missing: Iterable[str], policy: IsolationPolicy, asked: Iterable[str] = (), *, is_plain: bool
) -> list[str]:
    """Return what of the missing a slice cannot do without. `is_plain` says that whoever started the node asked for plain processes."""
    walls = frozenset[str]() if is_plain else WALLS.difference(without(policy))
    return sorted(walls.union(policy.require, asked).intersection(missing))


def without(policy: IsolationPolicy) -> tuple[str, ...]:
    """Return what may be missing by a herd's policy, as the spawner is told it (`Launch.without`): ISOLATION is all of it."""
    names = set(policy.allow_missing)
    if NAMESPACES in names:
        names |= {ISOLATION, *WALLS}
    return tuple(sorted(names))


def hint(name: str, herd: str) -> str:
    """Say what to do about a feature that no node has."""
    feature = BY_NAME[name]
    match feature.kind:
        case Kind.WALL:
            return f'the file of herd {herd} may say [isolation] allow_missing = ["{name}"]; then {feature.otherwise}'
        case Kind.DEPTH:
            return f"the file of herd {herd} requires it ([isolation] require); without, {feature.otherwise}"
        case Kind.ASKED if name == STREAMS:
            return "start the agents with --listen HOST:PORT, or a node that has all that the gang asks for"
        case Kind.ASKED:
            return "run it on a node that has it, or do not ask for it with @requires"


def told_by_node(tried: Told, *, is_plain: bool) -> Told:
    """Return what a node tells: of all that closes off and limits slices, from what its spawner has tried."""
    if is_plain:
        asked = dict.fromkeys(CLOSING_OFF, "the node was started with --no-isolation")
        return Told({ISOLATION: NO_ISOLATION, EGRESS: NODES_OWN}, asked)
    untold = [name for name in CLOSING_OFF if name not in tried.there]
    missing = dict.fromkeys(untold, UNTOLD) | tried.missing
    if NAMESPACES in missing:
        missing |= dict.fromkeys(OF_CELLS, PLAIN)
        how = {ISOLATION: REFUSED, EGRESS: NODES_OWN}
    else:
        whole = BUBBLEWRAP if BUBBLEWRAP in tried.there else FULL
        how = {ISOLATION: PARTIAL if WALLS & missing.keys() else whole, EGRESS: HERDS_OWN}
        if ID_RANGES in missing:
            missing[EGRESS] = "only root makes networks for herds"
    there = how | tried.there
    return Told({name: said for name, said in there.items() if name not in missing}, missing)
