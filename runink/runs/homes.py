"""Where a run's slices may be: files belong to the machine that they lie on, so a run that writes files has a home.

    a run that                                  is placed
    writes nothing but object stores, streams,  each gang wherever there is room
    and checkpoints into its herd's store
    writes a file                               all of it on one node: there it is read again by other scenarios, there it is published

Who chooses the home is asked for all that the others will ask for there: labels, capabilities, what they must see, and what they read.  Of a gang of several slices those belong there that write or read files of the run (`gang_parts.py`); the others go with them if one node has what all ask for.  A home that is to be emptied is none any more.  The first gang is placed wherever there is room, and its node is the home of the others, which wait that long.  When the home is lost, what lies there is lost with it, and the run
begins anew elsewhere.  What is committed already is not begun anew: its files are published when the node is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as changed

from runink.checkpoints import is_of_checkpoint
from runink.dag import SliceSpec
from runink.gang_parts import at_home, rooted_in, writes_files
from runink.jobs import Done
from runink.names import NodeId
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState, Task
from runink.runs.slices import read_by, seen_by
from runink.runs.views import RunView, World


@dataclass(frozen=True, slots=True)
class Home:
    """The node that a run's gangs belong on, nothing where any will do. `takes_more` says whether another gang may wait for a place now, `pinned` are the gangs that it holds.

    `belonging` are the slices that it is for, as long as no node has been chosen, and `reads` the stores that these read.
    """

    node: NodeId | None = None
    takes_more: bool = True
    is_free: bool = True
    pinned: frozenset[str] = frozenset()
    belonging: tuple[SliceSpec, ...] = ()
    reads: frozenset[str] = frozenset()

    def after_one(self) -> Home:
        """Return what holds when one more gang waits for its place."""
        return replace(self, takes_more=self.is_free or self.node is not None)

    def pin_of(self, gang: str) -> NodeId | None:
        """Return the node that a gang belongs on, nothing where any will do."""
        return self.node if gang in self.pinned else None

    def chosen_by(self, one: SliceRecord) -> SliceRecord:
        """Return a slice that begins to wait: if its place will be the home, with what all slices ask of that."""
        if not any(spec.id == one.slice for spec in self.belonging):
            return one
        labels = {*one.labels}.union(*(spec.labels for spec in self.belonging))
        requires = {*one.requires}.union(*(spec.requires for spec in self.belonging))
        sees = {*one.wants.sees}.union(*map(seen_by, self.belonging))
        return changed(
            one,
            labels=one.labels if labels == {*one.labels} else tuple(sorted(labels)),
            requires=tuple(sorted(requires)),
            wants=changed(
                one.wants,
                sees=tuple(sorted(sees)),
                reads=tuple(sorted(self.reads.union(one.wants.reads))),
            ),
        )


def home_of(view: RunView, world: World) -> Home:
    """Return where the next gangs of a run belong."""
    if len(world.nodes) < 2 or not writes_files(view.dag):
        return Home()
    belong = at_home(view.dag)
    pinned = frozenset(spec.gang for spec in view.dag.slices if spec.id in belong)
    chains = [one for one in view.slices.values() if one.task is Task.CHAIN and one.slice in belong]
    there = world.nodes - world.draining
    nodes = [one.node for one in chains if one.node in there and _is_there(one)]
    if nodes:
        return Home(nodes[0], is_free=False, pinned=pinned)
    waits = any(one.state is SliceState.PENDING for one in chains)
    belonging = tuple(spec for spec in view.dag.slices if spec.id in belong)
    return Home(
        takes_more=not waits,
        is_free=False,
        pinned=pinned,
        belonging=belonging,
        reads=frozenset(store for spec in belonging for store in read_by(spec, view.dag)),
    )


def seated(
    gang: Iterable[SliceRecord],
    home: Home,
    specs: Sequence[SliceSpec],
    view: RunView,
    world: World,
) -> Iterator[SliceRecord]:
    """Yield the slices of a gang of these that begin to wait, with the node that they belong on: where the run's files are, or else beside another gang."""
    pin = home.pin_of(specs[0].gang)
    mate = None if pin is not None else beside(specs, view, world)
    for one in gang:
        yield home.chosen_by(changed(one, pin=pin or mate, is_beside=mate is not None))


def beside(specs: Iterable[SliceSpec], view: RunView, world: World) -> NodeId | None:
    """Return the node of a gang on whose node this one is to be, nothing where it names none, or that node is not there any more."""
    named = {gang for spec in specs for gang in spec.wants.beside}
    if not named:
        return None
    there = world.nodes - world.draining
    nodes = (one.node for one in view.slices.values() if one.gang in named and one.node in there)
    return min(nodes, default=None)


def end_of(view: RunView, world: World, task: Task) -> NodeId | None:
    """Return where a run's end belongs: where its output is, nothing where any node will do. A node that is to be emptied gets no end that could be elsewhere.

    What lies in a store is taken away by any node, where those are lost that had the run: what is on these they clear themselves when they are back (`leavings.py`).
    """
    placed = [
        one
        for one in view.slices.values()
        if one.node is not None
        and (one.node not in world.draining or task is Task.DISCARD or has_files(one, view.record))
    ]
    writers = rooted_in(view.dag)
    with_files = [one for one in placed if one.slice in writers]
    nodes = [one.node for one in with_files or placed]
    found = min(nodes, key=lambda node: node not in world.nodes, default=None)
    is_anywhere = view.record.store and (task is Task.DISCARD or not with_files)
    return None if is_anywhere and found not in world.nodes else found


def _is_there(one: SliceRecord) -> bool:
    return one.state.is_on_node or one.state is SliceState.SUCCEEDED


def is_gone(one: SliceRecord, view: RunView, world: World) -> bool:
    """Say whether a slice, or what it has prepared, went away with its node.

    Where no node is there at all the cluster is being started, and what was prepared will be found again.
    """
    if one.state.is_on_node:
        return one.node not in world.nodes
    if not world.nodes or view.record.state is RunState.COMMITTING:
        return False
    if one.state is SliceState.PENDING:
        return one.pin is not None and one.pin not in world.nodes
    return (
        one.task is Task.CHAIN
        and one.state is SliceState.SUCCEEDED
        and view.record.ending is None
        and one.node is not None
        and one.node not in world.nodes
        and has_files(one, view.record)
    )


def has_files(one: SliceRecord, run: RunRecord) -> bool:
    """Say whether a slice has prepared files of its node's machine. Checkpoints in a store are none."""
    return isinstance(one.report, Done) and any(
        prepared.kind == "file" and not (run.store and is_of_checkpoint(prepared.uri))
        for prepared in one.report.prepared
    )
