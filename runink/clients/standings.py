"""What people say of a node, in the Barn: that it gets nothing new, or is to be emptied.

It stands under a key of its own, so that it holds whatever becomes of the node, its agent or the machine, until it is taken back.
"""

from __future__ import annotations

from runink.barn.keys import node_key, standing_key
from runink.clients.barn import BarnClient, Transaction
from runink.clients.turns import in_turns
from runink.clock import now_ms
from runink.errors import NotFound
from runink.names import NodeId
from runink.runs.records import NodeRecord, NodeStanding, Standing


async def say(
    barn: BarnClient, node: NodeId, standing: Standing | None, *, only_if: Standing | None = None
) -> None:
    """Say something of a node, or take back what was said; with `only_if`, if that is what stands there.

    Raises NotFound (`no_such_node`) where neither the node is there nor anything was said of it, Conflict.
    """
    key = standing_key(node)

    async def turn() -> bool | None:
        found = await barn.get(key, NodeStanding)
        if found is None and await barn.get(node_key(node), NodeRecord) is None:
            raise no_such_node(node)
        said = found.value.standing if found else None
        if said is standing or (only_if is not None and said is not only_if):
            return True
        transaction = Transaction()
        transaction = (
            transaction.if_revision(key, found.revision) if found else transaction.if_absent(key)
        )
        if standing is None:
            transaction = transaction.delete(key)
        else:
            transaction = transaction.put(key, NodeStanding(node, standing, now_ms()))
        return (await barn.commit(transaction)).succeeded or None

    await in_turns(node, turn)


def no_such_node(node: str) -> NotFound:
    return NotFound(f"there is no node {node}", code="no_such_node", hint="runi node list lists them")  # fmt: skip
