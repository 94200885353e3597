"""Roles and bindings through the services: written for who holds what they give, on rights that have not changed since, and never over what somebody else wrote."""

from __future__ import annotations

from typing import Any

import pytest
from runink.barn.keys import herd_key
from runink.clients.barn import Transaction
from runink.clients.herds import create_herd
from runink.errors import Conflict, Forbidden, Invalid, NotFound
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.principals import Principal
from runink.names import HerdName
from runink.operations.calls import Condition, Position
from runink.operations.catalog import bindings, herds, roles
from runink.testing.served import NOW_MS, OPERATOR, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, BEN, CAT = person("ann"), person("ben"), person("cat")
ANY = Condition(is_any=True)
READ = [{"verbs": ["get", "list"], "resources": ["runs"]}]
CANCEL = [{"verbs": ["cancel"], "resources": ["runs"]}]


async def sales(cluster: Served, *, admin: Principal = ANN) -> None:
    """Declare the herd, with an admin by its own binding."""
    said = HerdRecord(
        HerdName("sales"), bindings=(bound("admins", "admin", admin.subject, herd="sales"),)
    )
    await create_herd(cluster.barn, said, By("operator:root", NOW_MS))
    await cluster.access.read(cluster.barn)


async def bind(cluster: Served, by: Principal, name: str, role: str, *to: str, **more: Any) -> Any:
    return await cluster.ask(
        bindings.CREATE, by, herd="sales", binding=name, role=role, subjects=list(to), **more
    )


def may(cluster: Served, who: Principal, verb: str, resource: str) -> bool:
    return cluster.access.allows(who, verb, resource, herd="sales", name="x")


async def test_a_role_that_is_bound_gives_what_is_in_it_until_it_is_taken_away():
    async with served() as cluster:
        await sales(cluster)
        made = await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        assert (made.role, made.herd, made.is_built_in) == ("reader", "sales", False)
        given = await bind(cluster, ANN, "readers", "reader", BEN.subject)
        assert (given.made_by, given.made_ms) == (ANN.subject, NOW_MS)
        assert may(cluster, BEN, "get", "runs")
        assert not may(cluster, BEN, "cancel", "runs")
        await cluster.ask(roles.UPDATE, ANN, herd="sales", role="reader", rules=CANCEL, condition=ANY)  # fmt: skip
        assert may(cluster, BEN, "cancel", "runs")
        with pytest.raises(Conflict) as in_use:
            await cluster.ask(roles.DELETE, ANN, herd="sales", role="reader", condition=ANY)
        assert in_use.value.code == "role_in_use"
        await cluster.ask(bindings.DELETE, ANN, herd="sales", binding="readers", condition=ANY)
        assert not may(cluster, BEN, "cancel", "runs")
        await cluster.ask(roles.DELETE, ANN, herd="sales", role="reader", condition=ANY)
        with pytest.raises(NotFound):
            await cluster.ask(roles.GET, ANN, herd="sales", role="reader")


async def test_nobody_gives_what_they_do_not_hold():
    writer = [{"verbs": ["create", "get"], "resources": ["roles", "bindings"]}]
    async with served() as cluster:
        await sales(cluster)
        await cluster.ask(roles.CREATE, ANN, herd="sales", role="clerk", rules=writer)
        await bind(cluster, ANN, "clerks", "clerk", BEN.subject)
        for rules in (CANCEL, [{"verbs": ["*"], "resources": ["*"]}]):
            with pytest.raises(Forbidden) as refused:
                await cluster.ask(roles.CREATE, BEN, herd="sales", role="more", rules=rules)
            assert refused.value.code == "not_held"
        with pytest.raises(Forbidden):
            await bind(cluster, BEN, "mine", "admin", BEN.subject)
        await bind(cluster, BEN, "mine", "clerk", CAT.subject)


async def test_what_is_held_for_a_time_is_given_for_that_time_and_ends_then():
    end_ms = NOW_MS + 60_000
    async with served() as cluster:
        await sales(cluster)
        await bind(cluster, ANN, "guests", "admin", BEN.subject, expires_ms=end_ms)
        with pytest.raises(Forbidden):
            await bind(cluster, BEN, "for-ever", "viewer", CAT.subject)
        made = await bind(cluster, BEN, "while", "viewer", CAT.subject, expires_ms=end_ms)
        assert not made.has_ended
        cluster.now_ms = cluster.access.now_ms = end_ms
        assert not may(cluster, CAT, "get", "runs")
        shown = await cluster.ask(bindings.GET, ANN, herd="sales", binding="while")
        assert (shown.has_ended, shown.expires_ms) == (True, end_ms)


async def test_who_writes_over_what_somebody_else_has_written_is_refused():
    async with served() as cluster:
        await sales(cluster)
        made = await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        as_read = Condition(frozenset({made.revision}))
        first = await cluster.ask(
            roles.UPDATE, ANN, herd="sales", role="reader", rules=CANCEL, condition=as_read
        )
        for change, more in (
            (roles.UPDATE, {"role": "reader", "rules": READ}),
            (roles.DELETE, {"role": "reader"}),
            (bindings.UPDATE, {"binding": "admins", "role": "viewer", "subjects": [BEN.subject]}),
            (bindings.DELETE, {"binding": "admins"}),
            (herds.UPDATE, {"says": {"quotas": {"runs": 1}}}),
        ):
            with pytest.raises(Conflict) as refused:
                await cluster.ask(change, herd="sales", condition=as_read, **more)
            assert refused.value.code == "precondition_failed"
        assert (await cluster.ask(roles.GET, herd="sales", role="reader")).revision == first.revision  # fmt: skip


async def test_who_loses_the_right_between_the_decision_and_the_writing_does_not_write():
    async with served() as cluster:
        await sales(cluster)
        await bind(cluster, ANN, "second", "admin", BEN.subject)
        commit = cluster.barn.commit
        is_first = True

        async def commit_late(transaction: Transaction) -> Any:
            nonlocal is_first
            if is_first:  # somebody else is faster
                is_first = False
                await cluster.ask(
                    bindings.DELETE, OPERATOR, herd="sales", binding="second", condition=ANY
                )
            return await commit(transaction)

        cluster.barn.commit = commit_late  # type: ignore[method-assign] # the moment between is what is tested
        with pytest.raises(Forbidden):
            await bind(cluster, BEN, "third", "viewer", CAT.subject)
        assert not may(cluster, CAT, "get", "runs")


async def test_the_same_call_finds_the_role_and_the_binding_that_it_has_made():
    async with served() as cluster:
        await sales(cluster)
        for _ in range(2):
            await cluster.ask(roles.CREATE, herd="sales", role="reader", rules=READ, once="1")
            await bind(cluster, OPERATOR, "readers", "reader", BEN.subject, once="2")
        with pytest.raises(Conflict) as there:
            await cluster.ask(roles.CREATE, herd="sales", role="reader", rules=READ)
        assert there.value.code == "exists"
        with pytest.raises(Conflict):
            await cluster.ask(roles.CREATE, herd="sales", role="reader", rules=CANCEL, once="1")
        with pytest.raises(Conflict):
            await bind(cluster, OPERATOR, "readers", "viewer", BEN.subject, once="2")


async def test_mistakes_are_told_as_those_of_a_file_all_at_once():
    rules = [{"verbs": ["gett"], "resources": ["runs", "nodes"]}]
    async with served() as cluster:
        await sales(cluster)
        with pytest.raises(Invalid) as refused:
            await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=rules)
        assert [one.text for one in refused.value.findings] == [
            "role reader: there is no verb gett",
            "role reader: nodes belong to the cluster, and to no herd",
        ]
        with pytest.raises(Invalid, match="no subject"):
            await bind(cluster, ANN, "b", "viewer", "everybody")
        with pytest.raises(Forbidden):
            await cluster.ask(roles.CREATE, ANN, herd="sales", role="viewer2", rules=[{"verbs": ["bind"], "resources": ["*"]}])  # fmt: skip


async def test_a_herd_that_nobody_has_declared_has_no_roles():
    async with served() as cluster:
        await cluster.barn.put(herd_key(HerdName("sales")), HerdRecord(HerdName("sales")))
        with pytest.raises(Conflict) as refused:
            await cluster.ask(roles.CREATE, herd="sales", role="reader", rules=READ)
        assert refused.value.code == "herd_not_declared"


async def test_what_is_of_the_cluster_is_given_for_the_cluster():
    rules = [{"verbs": ["get", "list"], "resources": ["nodes"]}]
    async with served() as cluster:
        await cluster.ask(roles.CLUSTER_CREATE, role="watchman", rules=rules)
        said = {"binding": "watch", "role": "cluster/watchman", "subjects": [BEN.subject]}
        made = await cluster.ask(bindings.CLUSTER_CREATE, **said)
        assert made.herd == "*"
        assert cluster.access.allows(BEN, "get", "nodes", herd="", name="n")
        listed = (await cluster.ask(roles.CLUSTER_LIST)).items
        assert [one.role for one in listed if not one.is_built_in] == ["watchman"]
        assert {"viewer", "cluster-admin"} <= {one.role for one in listed if one.is_built_in}
        with pytest.raises(Invalid, match="built-in"):
            await cluster.ask(roles.CLUSTER_UPDATE, role="viewer", rules=rules, condition=ANY)
        with pytest.raises(Forbidden, match="built-in"):
            await cluster.ask(roles.CLUSTER_DELETE, role="viewer", condition=ANY)
        await cluster.ask(bindings.CLUSTER_DELETE, binding="watch", condition=ANY)
        assert not cluster.access.allows(BEN, "get", "nodes", herd="", name="n")
        await cluster.ask(roles.CLUSTER_DELETE, role="watchman", condition=ANY)


async def test_the_last_cluster_admin_stays():
    said = {"binding": "chiefs", "role": "cluster-admin", "subjects": [ANN.subject]}
    async with served() as cluster:
        made = await cluster.ask(bindings.CLUSTER_CREATE, **said)
        as_read = Condition(frozenset({made.revision}))
        with pytest.raises(Conflict) as refused:
            await cluster.ask(bindings.CLUSTER_DELETE, binding="chiefs", condition=as_read)
        assert refused.value.code == "last_cluster_admin"
        with pytest.raises(Conflict):
            await cluster.ask(
                bindings.CLUSTER_UPDATE, **said, expires_ms=NOW_MS + 1, condition=as_read
            )


async def test_a_herd_does_not_shut_out_who_answers_for_all_of_them():
    chiefs = [bound("chiefs", "cluster-admin", BEN.subject)]
    deny = [{"verbs": ["*"], "resources": ["*"], "effect": "deny"}]
    async with served(bindings=chiefs) as cluster:
        await sales(cluster)
        await cluster.ask(roles.CREATE, ANN, herd="sales", role="nobody", rules=deny)
        await bind(cluster, ANN, "out", "nobody", BEN.subject)
        with pytest.raises((Forbidden, NotFound)):
            await cluster.ask(bindings.DELETE, BEN, herd="sales", binding="out", condition=ANY)
        await cluster.ask(bindings.TAKE_BACK, BEN, in_herd="sales", binding="out", condition=ANY)
        assert may(cluster, BEN, "get", "runs")


async def test_a_list_has_what_the_caller_may_read_and_goes_on_where_it_was():
    named = [{"verbs": ["list"], "resources": ["roles"]}, {"verbs": ["get"], "resources": ["roles"], "names": ["a*"]}]  # fmt: skip
    async with served() as cluster:
        await sales(cluster)
        for name in ("a1", "a2", "b1"):
            await cluster.ask(roles.CREATE, herd="sales", role=name, rules=READ)
        await cluster.ask(roles.CREATE, herd="sales", role="some", rules=named)
        await bind(cluster, OPERATOR, "some", "some", BEN.subject)
        shown = await cluster.ask(roles.LIST, BEN, herd="sales")
        assert [one.role for one in shown.items] == ["a1", "a2"]
        first = await cluster.ask(roles.LIST, herd="sales", limit=3)
        rest = await cluster.ask(roles.LIST, herd="sales", limit=3, position=Position(first.revision, first.after))  # fmt: skip
        assert [one.role for one in (*first.items, *rest.items)] == ["a1", "a2", "b1", "some"]
