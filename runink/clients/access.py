"""Roles and bindings in the Barn: where they stand, and the index that they make together.

    /herds/H            those of a herd stand in its record, once somebody has declared it: a project gives nobody anything
    /roles/-/NAME       a role of the cluster
    /bindings/-/NAME    a binding for all herds and the cluster
    /rights/taken       is written with each of these keys that is deleted

A herd that is deleted keeps its own until it is purged. Who changes them decides on an index that was read for it, and writes only if nothing of it has changed since (`if_rights`).
A key that is gone has no revision to compare, so whoever takes one away says so beside it (`taking`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runink.barn.keys import BINDINGS, HERDS, OF_CLUSTER, RIGHTS, ROLES
from runink.barn.keyvalue import key_prefix
from runink.clients.barn import BarnClient, Transaction, decode_value
from runink.herds.record import HerdRecord
from runink.identity.access import AccessIndex
from runink.identity.roles import Binding, Role

# All keys that the index is made of begin so: who keeps one follows these.
SOURCES: Final = (HERDS.prefix(), ROLES.prefix(OF_CLUSTER), BINDINGS.prefix(OF_CLUSTER))
_TAKEN: Final = RIGHTS.key("taken")


def index_of(
    herds: Iterable[HerdRecord], roles: Iterable[Role], bindings: Iterable[Binding], revision: int
) -> AccessIndex:
    """Return the index of what herds say and of what is the cluster's own."""
    declared = [one for one in herds if one.declared is not None]
    every_role = [role for herd in declared for role in herd.roles]
    every_binding = [binding for herd in declared for binding in herd.bindings]
    return AccessIndex.compiled(
        (*every_role, *roles), (*every_binding, *bindings), revision=revision
    )


async def read_index(barn: BarnClient) -> AccessIndex:
    """Return the index as the Barn has it now, with its revision."""
    pages = await barn.read(*map(key_prefix, SOURCES))
    herds, roles, bindings = (page.items for page in pages.pages)
    return index_of(
        (decode_value(one, HerdRecord).value for one in herds),
        (decode_value(one, Role).value for one in roles),
        (decode_value(one, Binding).value for one in bindings),
        pages.revision,
    )


def if_rights(transaction: Transaction, index: AccessIndex) -> Transaction:
    """Return the transaction that is only done while all roles and bindings are those of an index."""
    for prefix in (*SOURCES, RIGHTS.prefix()):
        transaction = transaction.if_unchanged(prefix, index.revision)
    return transaction


def taking(transaction: Transaction, key: str) -> Transaction:
    """Return the transaction that also deletes a key which the index is made of."""
    return transaction.delete(key).put(_TAKEN, key)
