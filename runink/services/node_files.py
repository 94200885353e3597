"""What nodes keep of runs, read for who asks from outside: names only, which the nodes look up in the run's own folders. No path comes from outside."""

from __future__ import annotations

from typing import Final

from runink.barn.keys import NODES
from runink.clients.barn import BarnClient
from runink.clients.cluster import Cluster
from runink.clients.node_files import BEING_CHECKED, FileParts, Kept, ReadFiles, Wanted
from runink.errors import RuninkError, Unavailable
from runink.names import NodeId
from runink.runs.records import NodeRecord, RunRecord

AWAY: Final = "node_away"
WITHIN_S: Final = 5.0
HERE: Final = NodeId("here")  # stands for all nodes, where what they keep lies on this machine


class NodeAway(Unavailable):
    """What a node keeps cannot be read now."""

    default_code = AWAY


class RunFiles:
    """What nodes keep of one run. `there` are the nodes that are there: a lost one is not asked."""

    def __init__(self, cluster: Cluster, run: RunRecord, there: frozenset[NodeId]) -> None:
        self._files = cluster.files
        self._keeps_here = cluster.keeps_here
        self._run = run
        self.there = there

    async def read(self, node: NodeId, kept: Kept, wanted: tuple[Wanted, ...]) -> FileParts:
        """Return what files of a node hold from their offsets on, or a beginning of that. Raises NodeAway, Unavailable (`being_checked`)."""
        if self._files is None:
            raise NodeAway("files of nodes cannot be read through this server")
        if node not in self.there and not self._keeps_here:
            raise _away(node, "it is not there")
        request = ReadFiles(node, self._run.run, kept, wanted, herd=self._run.herd)
        try:
            return await self._files.ask(request, within=WITHIN_S)
        except RuninkError as error:
            if error.code == BEING_CHECKED:
                raise
            raise _away(node, error.text) from error


async def run_files(cluster: Cluster, run: RunRecord) -> RunFiles:
    """Return what reads a run's files, as nodes are now."""
    there = frozenset({HERE}) if cluster.keeps_here else await nodes_there(cluster.barn)
    return RunFiles(cluster, run, there)


async def nodes_there(barn: BarnClient) -> frozenset[NodeId]:
    """Return the nodes that are there."""
    listing = await barn.range(NODES.prefix(), NodeRecord)
    return frozenset(found.value.node for found in listing.items)


def _away(node: NodeId, why: str) -> NodeAway:
    return NodeAway(
        f"what {node} keeps of the run cannot be read now: {why}",
        hint="it is there when the node is back",
    )
