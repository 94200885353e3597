"""The audit: whatever changes something is written down before it is begun and when it has ended, whoever asks, and no secret with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from runink.barn.keys import AUDIT, OF_CLUSTER
from runink.clients.barn import Transaction
from runink.errors import Forbidden, NotFound, OutcomeUnknown, RuninkError, Unavailable
from runink.governance.audit import ENTRIES_MAX, KEPT_MS, AuditEntry, Outcome, first_id_of
from runink.operations.answers import Bookmark, Event
from runink.operations.calls import Condition, Position
from runink.operations.catalog import audit, herds, issuers, roles
from runink.operations.catalog.audit import AuditDocument
from runink.services.auditing import DENIED_MAX, LEVEL_MS, MINUTE_MS, prune
from runink.testing.served import NOW_MS, OPERATOR, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, BEN = person("ann"), person("ben")
READ = [{"verbs": ["get"], "resources": ["runs"]}]
SALES: dict[str, Any] = {
    "herd": {"id": "sales"},
    "bindings": [
        {"name": "admins", "role": "admin", "subjects": [ANN.subject]},
        {"name": "viewers", "role": "viewer", "subjects": [BEN.subject]},
    ],
}
ANY = Condition(is_any=True)
WITHIN_S = 20.0


async def entries(cluster: Served, herd: str = "sales", **asked: Any) -> list[AuditDocument]:
    asked = {"order": "oldest"} | asked
    if herd:
        return list((await cluster.ask(audit.LIST, herd=herd, **asked)).items)
    return list((await cluster.ask(audit.CLUSTER_LIST, **asked)).items)


def told(found: list[AuditDocument]) -> list[tuple[str, str, str, str]]:
    return [(one.who, one.operation, one.outcome, one.code) for one in found]


async def said_by(stream: AsyncGenerator[Event | Bookmark, None], count: int) -> list[Any]:
    """Return what comes next, without the bookmarks."""
    found: list[Event] = []
    with anyio.fail_after(WITHIN_S):
        async for one in stream:
            found += [one] if isinstance(one, Event) else []
            if len(found) == count:
                break
    return found


async def test_what_was_done_and_what_was_refused_is_told_with_whose_it_was():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        with pytest.raises(RuninkError):
            await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        with pytest.raises(Forbidden):
            await cluster.ask(roles.CREATE, BEN, herd="sales", role="mine", rules=READ)
        found = await entries(cluster)
        assert told(found) == [
            (ANN.subject, "roles.create", "done", ""),
            (ANN.subject, "roles.create", "refused", "exists"),
            (BEN.subject, "roles.create", "denied", "forbidden"),
        ]
        assert found[0].what == {"herd": "sales", "role": "reader"}
        assert (found[0].request_id, found[0].at_ms, found[0].ended_ms) == ("request-1", NOW_MS, NOW_MS)  # fmt: skip
        (made,) = await entries(cluster, "")
        assert (made.operation, made.what) == ("herds.create", {"herd": "sales"})


async def test_what_a_server_had_begun_when_it_was_ended_is_seen_as_begun():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        commit, seen = cluster.barn.commit, list[AuditDocument]()

        async def commit_seen(transaction: Transaction) -> Any:
            if any(key.key.startswith("/herds/") for key in transaction.operations):  # type: ignore[union-attr] # puts have keys
                seen.extend(await entries(cluster))
            return await commit(transaction)

        cluster.barn.commit = commit_seen  # type: ignore[method-assign] # the moment of the change is what is looked at
        await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        assert told(seen) == [(ANN.subject, "roles.create", "begun", "")]


async def test_a_watch_tells_what_is_begun_and_how_it_ended_and_goes_on_where_it_was_cut():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        asked: dict[str, Any] = {"herd": "sales", "action": "roles.*"}
        async with aclosing(await cluster.ask(audit.WATCH, **asked)) as stream:
            await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
            found = await said_by(stream, 2)
        assert [one.data.entry.outcome for one in found] == ["begun", "done"]
        assert {one.kind for one in found} == {"entry"}
        assert len({one.data.entry.id for one in found}) == 1
        assert [one.data.revision for one in found] == [one.revision for one in found]
        with pytest.raises(Forbidden):
            await cluster.ask(roles.DELETE, BEN, herd="sales", role="reader", condition=ANY)
        again = await cluster.ask(audit.WATCH, **asked, since=found[0].revision)
        async with aclosing(again) as stream:
            found = await said_by(stream, 2)
        assert [one.data.entry.outcome for one in found] == ["done", "denied"]
        async with aclosing(await cluster.ask(audit.CLUSTER_WATCH, since=1)) as stream:
            (made, *_) = await said_by(stream, 1)
        assert made.data.entry.operation == "herds.create"


async def test_a_watch_tells_those_who_may_and_of_what_is_asked_for_alone():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        with pytest.raises(Forbidden):
            await cluster.ask(audit.WATCH, BEN, herd="sales")
        asked: dict[str, Any] = {"herd": "sales", "who": ANN.subject, "outcome": "done"}
        async with aclosing(await cluster.ask(audit.WATCH, ANN, **asked)) as stream:
            for who, name in ((OPERATOR, "one"), (ANN, "two")):
                await cluster.ask(roles.CREATE, who, herd="sales", role=name, rules=READ)
            (only,) = await said_by(stream, 1)
        assert only.data.entry.what["role"] == "two"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (OutcomeUnknown("who knows"), "unknown"),
        (Unavailable("later", code="not_now"), "refused"),
        (ValueError("a bug"), "unknown"),
    ],
)
async def test_how_a_call_ended_is_written_down_whatever_ended_it(error, outcome):
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)

        async def fail(*_: Any) -> Any:
            raise error

        cluster.services._services._handlers[roles.CREATE.name] = fail
        with pytest.raises(type(error)):
            await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        (found,) = await entries(cluster)
        assert found.outcome == outcome


async def test_what_cannot_be_written_down_is_not_begun():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        commit = cluster.barn.commit

        async def commit_not(transaction: Transaction) -> Any:
            if any(one.key.startswith("/audit/") for one in transaction.operations):  # type: ignore[union-attr] # puts have keys
                raise Unavailable("the disk is full", code="disk_full")
            return await commit(transaction)

        cluster.barn.commit = commit_not  # type: ignore[method-assign] # a Barn that takes no more
        with pytest.raises(Unavailable):
            await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        with pytest.raises(Forbidden):
            await cluster.ask(roles.CREATE, BEN, herd="sales", role="reader", rules=READ)
        cluster.barn.commit = commit  # type: ignore[method-assign] # as it was
        with pytest.raises(NotFound):
            await cluster.ask(roles.GET, ANN, herd="sales", role="reader")


async def test_reads_are_written_down_where_the_herd_wants_that():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        await cluster.ask(herds.GET, BEN, herd="sales")
        says = SALES | {"audit": {"level": "all"}}
        answer = await cluster.ask(herds.UPDATE, herd="sales", says=says, condition=ANY)
        assert answer.unenforced == ()
        cluster.now_ms += LEVEL_MS
        await cluster.ask(herds.GET, BEN, herd="sales")
        with pytest.raises(NotFound):
            await cluster.ask(roles.GET, ANN, herd="sales", role="reader")
        assert told(await entries(cluster)) == [
            ("operator:root", "herds.update", "done", ""),
            (BEN.subject, "herds.get", "done", ""),
            (ANN.subject, "roles.get", "refused", "no_such_role"),
        ]


async def test_denied_calls_are_written_down_so_many_in_a_minute_and_then_counted():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        for _ in range(DENIED_MAX + 5):
            with pytest.raises(Forbidden):
                await cluster.ask(roles.CREATE, BEN, herd="sales", role="mine", rules=READ)
        found = await entries(cluster)
        assert len(found) == DENIED_MAX
        assert {one.outcome for one in found} == {Outcome.DENIED}
        cluster.now_ms += MINUTE_MS
        with pytest.raises(Forbidden):
            await cluster.ask(roles.CREATE, BEN, herd="sales", role="mine", rules=READ)
        assert (await entries(cluster))[-1].left_out == 5


async def test_who_asks_of_a_herd_that_is_not_there_makes_none():
    async with served(bindings=[bound("all", "viewer", BEN.subject)]) as cluster:
        with pytest.raises(NotFound):
            await cluster.ask(roles.CREATE, ANN, herd="nowhere", role="mine", rules=READ)
        assert (await cluster.barn.range(AUDIT.prefix("nowhere"), AuditEntry)).items == ()
        assert told(await entries(cluster, "")) == [
            (ANN.subject, "roles.create", "denied", "not_found")
        ]


async def test_a_herd_that_is_purged_takes_its_audit_with_it_but_not_that_it_was_purged():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        await cluster.ask(roles.CREATE, ANN, herd="sales", role="reader", rules=READ)
        await cluster.ask(herds.DELETE, herd="sales", condition=ANY)
        await cluster.ask(herds.PURGE, herd="sales", at_once=True)
        assert (await cluster.barn.range(AUDIT.prefix("sales"), AuditEntry)).items == ()
        done = [one.operation for one in await entries(cluster, "")]
        assert done == ["herds.create", "herds.delete", "herds.purge"]


async def test_entries_are_found_by_who_what_and_when_newest_first():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES)
        for at, name in enumerate(("r1", "r2", "r3", "r4")):
            cluster.now_ms = NOW_MS + at * 1000
            await cluster.ask(roles.CREATE, ANN, herd="sales", role=name, rules=READ)
        await cluster.ask(roles.DELETE, herd="sales", role="r1", condition=ANY)

        async def names(**asked: Any) -> list[str]:
            return [one.what["role"] for one in await entries(cluster, **asked)]

        assert await names(order="newest", action="roles.create") == ["r4", "r3", "r2", "r1"]
        assert await names(since_ms=NOW_MS + 1000, until_ms=NOW_MS + 3000) == ["r2", "r3"]
        assert await names(since_ms=NOW_MS + 9000) == []
        assert await names(since_ms=NOW_MS + 2, until_ms=NOW_MS + 1) == []
        assert await names(who="operator:root") == ["r1"]
        assert await names(action="roles.*", outcome="done", limit=2) == ["r1", "r2"]
        first = await cluster.ask(audit.LIST, herd="sales", limit=3)
        await cluster.ask(roles.CREATE, ANN, herd="sales", role="r5", rules=READ)
        position = Position(first.revision, first.after)
        rest = await cluster.ask(audit.LIST, herd="sales", limit=3, position=position)
        shown = [(one.operation, one.what["role"]) for one in (*first.items, *rest.items)]
        assert sorted(shown) == [
            *(("roles.create", f"r{number}") for number in range(1, 5)),
            ("roles.delete", "r1"),
        ]


async def test_entries_are_kept_for_a_time_and_so_many_of_them():
    async with served() as cluster:
        await cluster.ask(herds.CREATE, says=SALES | {"retention": {"audit": "10d"}})
        await cluster.ask(roles.CREATE, ANN, herd="sales", role="r1", rules=READ)
        cluster.now_ms += 10 * 86_400_000 + 1
        assert await entries(cluster) == []
        assert len((await cluster.barn.range(AUDIT.prefix("sales"), AuditEntry)).items) == 1
        behind = cluster.services._behind
        await prune(behind, "sales")
        assert (await cluster.barn.range(AUDIT.prefix("sales"), AuditEntry)).items == ()
        assert len(await entries(cluster, "")) == 1
        cluster.now_ms = NOW_MS + KEPT_MS + 1
        assert await entries(cluster, "") == []
        for at in range(0, ENTRIES_MAX + 10, 1000):
            puts = Transaction()
            for number in range(at, min(at + 1000, ENTRIES_MAX + 10)):
                puts = puts.put(AUDIT.key(OF_CLUSTER, first_id_of(cluster.now_ms + number)), b"{}")
            await cluster.barn.commit(puts)
        await prune(behind, OF_CLUSTER)
        assert len((await cluster.barn.range(AUDIT.prefix(OF_CLUSTER), bytes)).items) == ENTRIES_MAX


async def test_nothing_of_a_body_is_written_down_but_names():
    said = {"id": "corp", "issuer": "https://login.example.com", "client_id": "runink-client"}
    async with served() as cluster:
        await cluster.ask(issuers.CREATE, says=said)
        (found,) = (await cluster.barn.range(AUDIT.prefix(OF_CLUSTER), bytes)).items
        assert b"runink-client" not in found.value
        assert b'"issuer":"corp"' in found.value
