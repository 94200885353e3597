"""Services called in one process, by who owns the state folder: what HTTP and the wire serve, and nothing else."""

from __future__ import annotations

import os

import pytest
from runink.errors import Conflict, Forbidden, Invalid, NotFound
from runink.identity.principals import Principal
from runink.operations.calls import read_condition
from runink.operations.catalog import audit, herds, nodes, runs
from runink.operations.catalog.table import CATALOG
from runink.services.all import PARTS, handlers_of
from runink.services.behind import Behind
from runink.services.inside import Inside, inside
from runink.testing.served import NOW_MS, OPERATOR, Served, person, served

pytestmark = pytest.mark.anyio
SALES = {"herd": {"id": "sales"}}


@pytest.mark.parametrize("part", PARTS)
async def test_each_part_of_the_services_is_found_by_the_words_of_its_operations(part: str) -> None:
    async with served() as cluster:
        found = handlers_of(part, behind_of(cluster))
    assert {one.name.partition(".")[0] for one in found} == set(PARTS[part])


async def test_every_operation_is_in_one_part() -> None:
    async with served() as cluster:
        found = [one.name for part in PARTS for one in handlers_of(part, behind_of(cluster))]
    assert sorted(found) == sorted(one.name for one in CATALOG)


async def test_who_owns_the_state_may_everything_and_it_is_written_down() -> None:
    async with served() as cluster:
        asked = await caller_of(cluster)
        made = await asked.call(herds.CREATE, {"says": SALES})
        assert made.herd == "sales"
        page = await asked.call(herds.LIST, {"limit": 1})
        assert [one.herd for one in page.items] == ["sales"]
        entries = await asked.call(audit.CLUSTER_LIST, {})
        assert [(one.who, one.operation) for one in entries.items] == [
            (OPERATOR.subject, "herds.create")
        ]


async def test_others_may_what_roles_allow_them() -> None:
    async with served() as cluster:
        await (await caller_of(cluster)).call(herds.CREATE, {"says": SALES})
        ann = await caller_of(cluster, person("ann"))
        with pytest.raises(NotFound):
            await ann.call(runs.LIST, {"herd": "sales"})
        with pytest.raises(Forbidden):
            await ann.call(nodes.LIST, {})


async def test_fields_are_read_as_strictly_as_from_outside() -> None:
    async with served() as cluster:
        asked = await caller_of(cluster)
        with pytest.raises(Invalid, match="unknown field 'sates'"):
            await asked.call(runs.LIST, {"herd": "sales", "sates": ("failed",)})
        with pytest.raises(NotFound):
            await asked.call(runs.LIST, {"herd": "No herd"})


async def test_a_change_holds_to_what_was_read() -> None:
    async with served() as cluster:
        asked = await caller_of(cluster)
        await asked.call(herds.CREATE, {"says": SALES})
        says = {"herd": {"id": "sales", "description": "what we sell"}}
        fields = {"herd": "sales", "says": says}
        with pytest.raises(Conflict, match="not as it was read"):
            await asked.call(herds.UPDATE, fields, condition=read_condition('"1"'))
        found = await asked.call(herds.UPDATE, fields, condition=read_condition("*"))
        assert found.says["herd"]["description"] == "what we sell"


def behind_of(cluster: Served) -> Behind:
    return Behind(
        cluster=cluster.cluster, access=cluster.access, now_ms=lambda: NOW_MS, entropy=os.urandom
    )


async def caller_of(cluster: Served, principal: Principal = OPERATOR) -> Inside:
    return await inside(cluster.cluster, principal)
