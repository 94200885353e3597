"""Nodes that keep files of runs, for tests without nodes: their shelves, and the desk that asks them, as members have it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from runink.actors.shelf import FileDesk, Shelf
from runink.actors.written_files import WrittenFiles
from runink.barn.keys import node_key
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import BarnRequest
from runink.clients.node_files import SHELF, ReadFiles
from runink.dag import Resources
from runink.errors import LinkLost
from runink.names import NodeId
from runink.runs.records import NodeRecord
from runink.runtime.ref import Ref
from runink.runtime.supervisor import ChildSpec, Supervisor


async def desk_of(
    supervisor: Supervisor, barn: Ref[BarnRequest], nodes: Mapping[str, Path]
) -> Ref[ReadFiles]:
    """Start the shelves of nodes, each with the folder of its runs, say in the Barn that these are there, and return the desk that asks them."""
    shelves: dict[str, Ref[ReadFiles]] = {}
    for name, folder in nodes.items():
        letters = WrittenFiles(BarnClient(barn))
        shelf = ChildSpec(f"shelf-{name}", partial(Shelf, folder, letters.read))
        shelves[f"runi://{name}/{SHELF}"] = await supervisor.start(shelf)
        record = NodeRecord(NodeId(name), Resources())
        await BarnClient(barn).put(node_key(record.node), record)

    def shelf_of(address: str) -> Ref[ReadFiles]:
        if address not in shelves:
            raise LinkLost(f"{address} is not connected here")
        return shelves[address]

    return await supervisor.start(ChildSpec("files", lambda: FileDesk(shelf_of)))
