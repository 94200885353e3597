"""What an agent's start finds: the slices that the Barn has on its node, and processes of an earlier life that nobody wants any more."""

from __future__ import annotations

from collections.abc import Iterable

from runink.actors.exits import Exits
from runink.barn.keys import SLICES
from runink.barn.keyvalue import key_prefix
from runink.clients.barn import BarnClient, Found, decode_value
from runink.names import NodeId
from runink.runs.records import SliceRecord
from runink.sandbox.client import Spawner


async def records_on(barn: BarnClient, node: NodeId) -> list[Found[SliceRecord]]:
    """Return the slices that take room on a node."""
    items = (await barn.read(key_prefix(SLICES.prefix()))).pages[0].items
    found = (decode_value(item, SliceRecord) for item in items)
    return [one for one in found if one.value.node == node and one.value.state.is_on_node]


async def end_all(spawner: Spawner, exits: Exits, names: Iterable[str]) -> None:
    """End processes, before there are new attempts of the same slices."""
    unwanted = tuple(names)
    for name in unwanted:
        await spawner.kill(name)
    for name in unwanted:
        await exits.wait(name)  # a kill does not fail
        await spawner.release(name)
        exits.forget(name)
