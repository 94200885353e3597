"""Checkpoints in a compiled pipeline: edges that are kept on disk, so that a retry begins there.

    @step("clean") @checkpoint @step("priced")       clean -> clean-checkpoint (a sink)  ...  clean-kept (a source) -> priced

The sink is prepared like any other and never published; the source has it `staged_from` there, which ends the gang.  Where they lie is not known when a pipeline is compiled:

    the herd's file names      they lie in                         a slice that has succeeded is lost
    no store                   the run's folder on its node        with that node
    a store                    STORE/RUN/checkpoints               never for their sake: every node reaches them

A store is a folder that all nodes of the herd share, and stands in records as a URI (`file:///mnt/shared/runink`).  A run's record names its own folder there, and one that goes on from another
has that one's.  `kept_in` puts checkpoints into a folder, as slices find them; `seen_in` puts them there by its URI, as the control plane sees them: no file of any machine.  `joined` is the pipeline as people wrote it, for figures and for whoever compares two.
"""

from __future__ import annotations

import os.path
from typing import Final, TypeGuard

from msgspec.structs import replace as changed

from runink.dag import REJECTED, Dag, Link, Node, Sink, Source
from runink.errors import Invalid

SCHEME: Final = "checkpoint://"  # of their URIs, which nobody can write
FILE: Final = "file://"
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


def is_of_checkpoint(uri: str) -> bool:
    """Say whether the URI of what was prepared is that of a checkpoint."""
    return uri.startswith(SCHEME)


def kept_in(dag: Dag, run_folder: str) -> Dag:
    """Return the pipeline with its checkpoints in a run's folder, on a node or in a store."""
    if not checkpoints_of(dag):
        return dag
    nodes = tuple(
        changed(node, path=f"{run_folder}/{FOLDER}/{node.path}") if is_checkpoint(node) else node
        for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def seen_in(dag: Dag, run_folder: str) -> Dag:
    """Return the pipeline as the control plane sees it: with its checkpoints in a run's folder in a store, if there is one, which each of its slices' nodes must see. All of them: any may be where the run ends."""
    if not run_folder or not checkpoints_of(dag):
        return dag
    store = run_folder.rpartition("/")[0]
    slices = tuple(
        changed(one, asks=changed(one.wants, sees=tuple(sorted({*one.wants.sees, store}))))
        for one in dag.slices
    )
    return changed(kept_in(dag, run_folder), slices=slices)


def store_at(said: str) -> str:
    """Return the URI of a herd's store from what its file says, a folder's path or URI. Raises Invalid."""
    path = said.removeprefix(FILE)
    if "://" in path:
        scheme = path.partition("://")[0]
        raise Invalid(
            f"a store is a folder that all nodes share, and nothing in {scheme}://",
            code="herd_store",
            hint='as in store = "/mnt/shared/runink"; object stores keep no checkpoints yet',
        )
    plain = os.path.normpath(path)
    if not path.startswith("/") or plain.strip("/") == "":
        raise Invalid(
            f"{said} is no whole path of a folder",
            code="herd_store",
            hint='as in store = "/mnt/shared/runink": a folder in what all nodes share',
        )
    return f"{FILE}/{plain.lstrip('/')}"


def folder_of(store: str) -> str:
    """Return the path of a store, or of a run's folder in one."""
    return store.removeprefix(FILE)


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
