"""Herds, as they are shown: to each caller those in which it may do anything, in parts that are of one revision."""

from __future__ import annotations

from typing import Any

import pytest
from runink.clients.herds import create_herd
from runink.errors import Conflict, Forbidden, Invalid, NotFound
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.operations.calls import Condition, Position
from runink.operations.catalog import accounts, bindings, herds
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN = person("ann")
BEN = person("ben")


async def declare(cluster: Served, *names: str) -> None:
    for name in names:
        said = HerdRecord(HerdName(name), description=f"what {name} does")
        await create_herd(cluster.barn, said, By("operator:root", NOW_MS))


async def test_only_those_herds_are_listed_in_which_the_caller_may_do_anything():
    bindings = [bound("ann", "viewer", ANN.subject, herd="sales")]
    async with served(bindings=bindings) as cluster:
        await declare(cluster, "sales", "stock")
        assert [one.herd for one in (await cluster.ask(herds.LIST)).items] == ["sales", "stock"]
        assert [one.herd for one in (await cluster.ask(herds.LIST, ANN)).items] == ["sales"]
        assert (await cluster.ask(herds.LIST, BEN)).items == ()


async def test_a_list_goes_on_at_its_revision_whatever_has_come_since():
    async with served() as cluster:
        await declare(cluster, "a", "b", "c")
        first = await cluster.ask(herds.LIST, limit=2)
        assert [one.herd for one in first.items] == ["a", "b"]
        await declare(cluster, "bb")
        rest = await cluster.ask(
            herds.LIST, limit=2, position=Position(first.revision, first.after)
        )
        assert [one.herd for one in rest.items] == ["c"]
        assert rest.after == ""
        assert rest.revision == first.revision


async def test_a_herd_that_the_caller_does_not_see_is_as_one_that_is_not_there():
    async with served(bindings=[bound("ann", "viewer", ANN.subject, herd="sales")]) as cluster:
        await declare(cluster, "sales", "stock")
        shown = await cluster.ask(herds.GET, ANN, herd="sales")
        assert (shown.herd, shown.state, shown.says["herd"]["description"]) == (
            "sales",
            "declared",
            "what sales does",
        )
        texts = set()
        for name in ("stock", "nowhere"):
            with pytest.raises(NotFound) as refused:
                await cluster.ask(herds.GET, ANN, herd=name)
            assert not isinstance(refused.value, Forbidden)
            texts.add(refused.value.text)
        assert len(texts) == 1


ADMIN = {"name": "admins", "role": "admin", "subjects": [ANN.subject]}
SAYS = {
    "herd": {"id": "sales", "description": "what is sold"},
    "quotas": {"cpu": "4", "runs": 10},
    "bindings": [ADMIN],
}
ANY = Condition(is_any=True)


async def test_a_herd_is_declared_as_its_file_would_and_read_back_the_same():
    async with served() as cluster:
        made = await cluster.ask(herds.CREATE, says=SAYS)
        assert made == await cluster.ask(herds.GET, ANN, herd="sales")
        assert (made.state, made.says, made.declared.by) == ("declared", SAYS, "operator:root")
        assert await cluster.ask(herds.CREATE, says=SAYS, once="1") == made
        for once in ("", "2"):
            with pytest.raises(Conflict) as there:
                await cluster.ask(herds.CREATE, says={"herd": {"id": "sales"}}, once=once)
            assert there.value.code == "herd_exists"


async def test_what_was_there_before_a_call_was_first_made_is_not_its_own() -> None:
    later = f"{NOW_MS + 3_600_000:012x}{'0' * 64}"
    fields: dict[str, Any] = {"role": "viewer", "subjects": ["group:corp:all"]}
    async with served() as cluster:
        for operation, asked in (
            (herds.CREATE, {"says": SAYS}),
            (accounts.CREATE, {"herd": "sales", "account": "nightly"}),
            (bindings.CREATE, {"herd": "sales", "binding": "all", **fields}),
            (bindings.CLUSTER_CREATE, {"binding": "all", **fields}),
        ):
            for _ in range(2):
                await cluster.ask(operation, **asked, once=f"{NOW_MS:012x}{'1' * 64}")
            with pytest.raises(Conflict):
                await cluster.ask(operation, **asked, once=later)


async def test_mistakes_of_a_herd_are_told_all_at_once():
    says = {"herd": {"id": "Sales"}, "quotas": {"cpus": 4, "runs": -1}, "roles": [{"name": "r"}]}
    async with served() as cluster:
        with pytest.raises(Invalid) as refused:
            await cluster.ask(herds.CREATE, says=says)
        told = " | ".join(one.text for one in refused.value.findings)
        for part in ("id: 'Sales'", "no cpus", "runs is a number", "it has no rules"):
            assert part in told
        await cluster.ask(herds.CREATE, says=SAYS)
        with pytest.raises(Invalid, match="path says"):
            await cluster.ask(herds.UPDATE, herd="sales", says={"herd": {"id": "b"}}, condition=ANY)


async def test_a_herd_is_judged_by_what_it_changes_of_roles_and_bindings():
    clerk = {"name": "clerk", "verbs": ["update", "get"], "resources": ["herds"]}
    clerks = {"name": "clerks", "role": "clerk", "subjects": [BEN.subject]}
    says = SAYS | {"roles": [clerk], "bindings": [ADMIN, clerks]}
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=says)
        shown = await cluster.ask(herds.GET, BEN, herd="sales")
        changed = await cluster.ask(
            herds.UPDATE,
            BEN,
            herd="sales",
            says=shown.says | {"quotas": {"runs": 3}},
            condition=Condition(frozenset({shown.revision})),
        )
        assert changed.says["quotas"] == {"runs": 3}
        assert changed.revision > shown.revision
        mine = clerks | {"role": "admin"}
        for bindings in ([ADMIN, mine], [ADMIN, clerks, mine | {"name": "more"}]):
            with pytest.raises(Forbidden):
                await cluster.ask(
                    herds.UPDATE,
                    BEN,
                    herd="sales",
                    says=says | {"bindings": bindings},
                    condition=ANY,
                )
        # What she may not read she does not take away by leaving it out.
        fewer = says | {"bindings": [clerks]}
        await cluster.ask(herds.UPDATE, BEN, herd="sales", says=fewer, condition=ANY)
        assert cluster.access.sees(ANN, "sales")
        await cluster.ask(herds.UPDATE, ANN, herd="sales", says=SAYS, condition=ANY)
        assert not cluster.access.sees(BEN, "sales")


async def test_a_herd_is_deleted_taken_back_and_purged():
    async with served() as cluster:
        made = await cluster.ask(herds.CREATE, says=SAYS)
        with pytest.raises(Conflict):
            await cluster.ask(herds.DELETE, herd="sales", condition=Condition(frozenset({999})))
        as_read = Condition(frozenset({made.revision}))
        gone = await cluster.ask(herds.DELETE, herd="sales", keep_ms=5, condition=as_read)
        assert (gone.state, gone.deletion.until_ms) == ("deleted", NOW_MS + 5)
        with pytest.raises(Conflict) as deleted:
            await cluster.ask(herds.UPDATE, herd="sales", says=SAYS, condition=ANY)
        assert deleted.value.code == "herd_deleted"
        with pytest.raises(Conflict) as kept:
            await cluster.ask(herds.PURGE, herd="sales")
        assert kept.value.code == "herd_kept"
        back = await cluster.ask(herds.UNDELETE, herd="sales")
        assert (back.state, back.says) == ("declared", SAYS)
        await cluster.ask(herds.DELETE, herd="sales", condition=ANY)
        assert (await cluster.ask(herds.PURGE, herd="sales", at_once=True)).keys == 2
        with pytest.raises(NotFound):
            await cluster.ask(herds.GET, herd="sales")


async def test_a_quota_says_what_is_used_and_what_may_be():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SAYS)
        quota = await cluster.ask(herds.QUOTA, ANN, herd="sales")
        assert {name: (one.used, one.limit) for name, one in quota.quotas.items()} == {
            "cpu_m": (0, 4000),
            "memory_bytes": (0, None),
            "disk_bytes": (0, None),
            "gpus": (0, None),
            "slices": (0, None),
            "runs": (0, 10),
        }
