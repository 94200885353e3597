"""Checkpoints in a compiled pipeline: edges that are kept on disk, so that a retry begins there.

    @step("clean") @checkpoint @step("priced")       clean -> clean-checkpoint (a sink)  ...  clean-kept (a source) -> priced

The sink is prepared like any other and never published; the source has it `staged_from` there, which ends the gang.  Both lie in the run's folder on its node, which is not
known when a pipeline is compiled: `kept_in` puts them there.  `joined` is the pipeline as people wrote it, for figures and for whoever compares two.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from msgspec.structs import replace as changed

from runink.dag import REJECTED, Dag, Link, Node, Sink, Source

FOLDER: Final = "checkpoints"  # in the run's folder
KEEP_FAILED_MS: Final = (
    24 * 3_600_000
)  # what a run that failed has prepared: until somebody has looked


def is_checkpoint(node: Node) -> TypeGuard[Sink | Source]:
    """Say whether a node was put in by a checkpoint."""
    return isinstance(node, Sink | Source) and node.checkpoint


def checkpoints_of(dag: Dag) -> frozenset[str]:
    """Return the sinks that nothing is published of."""
    return frozenset(node.id for node in dag.nodes if isinstance(node, Sink) and node.checkpoint)


def kept_in(dag: Dag, run_folder: str) -> Dag:
    """Return the pipeline with its checkpoints in a run's folder on a node."""
    if not checkpoints_of(dag):
        return dag
    nodes = tuple(
        changed(node, path=f"{run_folder}/{FOLDER}/{node.path}") if is_checkpoint(node) else node
        for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def joined(dag: Dag) -> Dag:
    """Return the pipeline without checkpoints: its nodes and links as they would be then. Which of them share a process is left as it is."""
    sinks = {node.id: node for node in dag.nodes if isinstance(node, Sink) and node.checkpoint}
    if not sinks:
        return dag
    sources = {
        node.id: sinks[node.staged_from]
        for node in dag.nodes
        if isinstance(node, Source) and node.checkpoint
    }
    writers = {link.target: link.source for link in dag.links if link.target in sinks}
    links = []
    for link in dag.links:
        if link.source in sources:
            sink = sources[link.source]
            role = REJECTED if sink.dead_letter else link.role
            links.append(Link(writers[sink.id], link.target, role))
        elif link.target not in sinks:
            links.append(link)
    nodes = tuple(node for node in dag.nodes if not is_checkpoint(node))
    facts = tuple(one for one in dag.facts if one.node not in sinks and one.node not in sources)
    return changed(dag, nodes=nodes, links=tuple(links), facts=facts)
