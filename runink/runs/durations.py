"""How long parts of pipelines have taken, and so how long they will take: what a slice is estimated at, and the longest way to the end of its run.

A slice is known by what its nodes are (`chain_hashes`), so that what is learned of it holds for the next version of its pipeline as well, unless it was changed itself.  Of each the last
SAMPLES_MAX times are kept, and their median is the estimate: one slow time changes nothing.  Whole milliseconds, nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from runink.dag import Dag, Node, Sink, Source
from runink.runs.records import SliceRecord, SliceState

SAMPLES_MAX: Final = 9  # of a chain: a median that one or two odd times do not move
CHAINS_MAX: Final = 256  # of a pipeline, in all its versions: those that ran last
HASH_DIGITS: Final = 16
UNKNOWN_MS: Final = 1000  # of a gang on the way to the end of a run, where nobody knows how long it takes: a longer way counts as one


class ChainTimes(msgspec.Struct, frozen=True, array_like=True):
    """How long slices with one hash took, oldest first, in milliseconds."""

    chain: str
    times_ms: tuple[int, ...]

    @property
    def median_ms(self) -> int:
        return sorted(self.times_ms)[len(self.times_ms) // 2]


class Durations(msgspec.Struct, frozen=True):
    """What is known of a pipeline's chains, those last that ran last."""

    chains: tuple[ChainTimes, ...] = ()


NOTHING_KNOWN: Final = Durations()


def chain_hashes(dag: Dag) -> dict[str, str]:
    """Name what each slice does: by its nodes, wherever they stand in their file and however the rest of the pipeline is.

    What is read and written may have another name each day, and is left out.
    """
    nodes = {node.id: _unnamed(node) for node in dag.nodes}
    return {spec.id: _hash([nodes[one] for one in spec.nodes]) for spec in dag.slices}


def _unnamed(node: Node) -> Node:
    return changed(node, uri="", path="") if isinstance(node, Source | Sink) else node


def _hash(nodes: list[Node]) -> str:
    packed = msgspec.msgpack.encode(nodes, order="deterministic")
    return hashlib.sha256(packed).hexdigest()[:HASH_DIGITS]


def learned(before: Durations, dag: Dag, slices: Iterable[SliceRecord]) -> Durations:
    """Return what is known when these slices of a run have succeeded as well."""
    took_ms = {
        str(one.slice): max(one.ended_ms - one.launched_ms, 1)
        for one in slices
        if one.state is SliceState.SUCCEEDED and one.launched_ms
    }
    known = {one.chain: one.times_ms for one in before.chains}
    for name, chain in chain_hashes(dag).items():
        if name in took_ms:
            times_ms = (*known.pop(chain, ()), took_ms[name])
            known[chain] = times_ms[-SAMPLES_MAX:]
    kept = list(known.items())[-CHAINS_MAX:]
    return Durations(tuple(ChainTimes(chain, times_ms) for chain, times_ms in kept))


def estimates(dag: Dag, durations: Durations) -> dict[str, int]:
    """Return for each gang how long it will take, 0 where that is not known of all of its slices."""
    gangs = dag.gangs()
    if not durations.chains:
        return dict.fromkeys(gangs, 0)
    hashes = chain_hashes(dag)
    known = {one.chain: one.median_ms for one in durations.chains}
    found: dict[str, int] = {}
    for gang, specs in gangs.items():
        times_ms = [known.get(hashes[spec.id], 0) for spec in specs]
        found[gang] = max(times_ms) if all(times_ms) else 0
    return found


def ranks(dag: Dag, estimated_ms: dict[str, int]) -> dict[str, int]:
    """Return for each gang the longest way from its beginning to the end of the run, in milliseconds."""
    needs = dag.gang_needs()
    after: dict[str, list[str]] = {gang: [] for gang in needs}
    for gang, before in needs.items():
        for needed in before:
            after[needed].append(gang)
    left = {gang: len(behind) for gang, behind in after.items()}
    found: dict[str, int] = {}
    ready = [gang for gang, count in left.items() if not count]
    while ready:  # ends: each gang comes in once, when all behind it have
        gang = ready.pop()
        way_ms = max((found[one] for one in after[gang]), default=0)
        found[gang] = way_ms + (estimated_ms[gang] or UNKNOWN_MS)
        for needed in needs[gang]:
            left[needed] -= 1
            if not left[needed]:
                ready.append(needed)
    return found
