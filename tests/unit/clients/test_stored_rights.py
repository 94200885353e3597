"""The index of who may what, as it is read from the Barn: herds' own roles and bindings, and the cluster's; and that a change is written on what was read."""

from __future__ import annotations

import pytest
from runink.barn.keys import BINDINGS, OF_CLUSTER, ROLES, herd_key
from runink.clients.access import if_rights, read_index, taking
from runink.clients.barn import Transaction
from runink.clients.herds import begin_purge, create_herd, delete_herd, purge
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import CLUSTER, EVERYTHING
from runink.names import BindingName, HerdName, RoleName
from runink.testing.served import NOW_MS, Served, person, served

pytestmark = pytest.mark.anyio
ANN = person("ann")
BY = By("operator:root", NOW_MS)


def sales() -> HerdRecord:
    herd = HerdName("sales")
    role = Role(RoleName("reader"), herd, (Rule(("get",), ("runs",)),))
    bound = Binding(BindingName("readers"), herd, RoleName("reader"), RoleOf.HERD, (ANN.subject,))
    return HerdRecord(herd, roles=(role,), bindings=(bound,))


async def index_allows(cluster: Served, resource: str, herd: str) -> bool:
    index = await read_index(cluster.barn)
    return index.allows(ANN, "get", resource, herd, "x", now_ms=NOW_MS)


async def test_a_declared_herd_gives_what_it_says_and_a_projects_herd_nothing():
    async with served() as cluster:
        await cluster.barn.put(herd_key(HerdName("sales")), sales())
        assert not await index_allows(cluster, "runs", "sales")
        await create_herd(cluster.barn, sales(), BY)
        assert await index_allows(cluster, "runs", "sales")
        assert not await index_allows(cluster, "runs", "stock")


async def test_what_is_bound_for_the_cluster_holds_in_all_herds():
    async with served() as cluster:
        role = Role(RoleName("watchman"), CLUSTER, (Rule(("get",), ("nodes", "audit")),))
        bound = Binding(
            BindingName("watch"), EVERYTHING, RoleName("watchman"), RoleOf.CLUSTER, (ANN.subject,)
        )
        await cluster.barn.put(ROLES.key(OF_CLUSTER, "watchman"), role)
        await cluster.barn.put(BINDINGS.key(OF_CLUSTER, "watch"), bound)
        assert await index_allows(cluster, "nodes", CLUSTER)
        assert await index_allows(cluster, "audit", "sales")


@pytest.mark.parametrize("where", ["herd", "role", "binding"])
async def test_what_was_decided_on_an_index_is_not_written_once_any_right_has_changed(where):
    async with served() as cluster:
        index = await read_index(cluster.barn)
        change = if_rights(Transaction(), index).put("/app/x", 1)
        match where:
            case "herd":
                await create_herd(cluster.barn, sales(), BY)
            case "role":
                await cluster.barn.put(ROLES.key(OF_CLUSTER, "a"), sales().roles[0])
            case "binding":
                await cluster.barn.put(BINDINGS.key(OF_CLUSTER, "a"), sales().bindings[0])
        assert not (await cluster.barn.commit(change)).succeeded
        again = if_rights(Transaction(), await read_index(cluster.barn)).put("/app/x", 1)
        assert (await cluster.barn.commit(again)).succeeded


async def test_what_was_decided_is_not_written_once_a_right_was_taken_away():
    async with served() as cluster:
        key = BINDINGS.key(OF_CLUSTER, "a")
        await cluster.barn.put(key, sales().bindings[0])
        index = await read_index(cluster.barn)
        await cluster.barn.commit(taking(Transaction(), key))
        change = if_rights(Transaction(), index).put("/app/x", 1)
        assert not (await cluster.barn.commit(change)).succeeded


async def test_what_was_decided_is_not_written_once_a_herd_was_purged():
    async with served() as cluster:
        await create_herd(cluster.barn, sales(), BY)
        await delete_herd(cluster.barn, HerdName("sales"), BY, kept_ms=0)
        await begin_purge(cluster.barn, HerdName("sales"), now_ms=NOW_MS)
        index = await read_index(cluster.barn)
        assert await purge(cluster.barn, HerdName("sales")) == 1
        change = if_rights(Transaction(), index).put("/app/x", 1)
        assert not (await cluster.barn.commit(change)).succeeded
