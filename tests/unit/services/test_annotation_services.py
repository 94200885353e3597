"""Notes on things: found by what they are about, changed by who has read them, made once however often they are sent."""

from __future__ import annotations

from typing import Any

import pytest
from runink.clients import annotations as stored
from runink.clients.herds import create_herd
from runink.errors import Conflict, Forbidden, Invalid, NotFound, QuotaExceeded
from runink.governance.annotations import LABELS_MAX, TEXT_MAX
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.operations.calls import Condition, Position
from runink.operations.catalog import annotations as catalog
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, VIC = person("ann"), person("vic")
BINDINGS = [
    bound("authors", "author", ANN.subject, herd="sales"),
    bound("viewers", "viewer", VIC.subject, herd="sales"),
]


async def declare(cluster: Served, *names: str) -> None:
    for name in names:
        await create_herd(cluster.barn, HerdRecord(HerdName(name)), By("operator:root", NOW_MS))


async def note(cluster: Served, name: str = "Flight", kind: str = "contract", **more: Any) -> Any:
    said: dict[str, Any] = {"herd": "sales", "kind": kind, "name": name, "text": "why"}
    return await cluster.ask(catalog.CREATE, more.pop("by", ANN), **(said | more))


async def test_notes_are_found_by_what_they_are_about_and_who_made_them():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        made = []
        for at, (name, kind) in enumerate(
            [("Flight", "contract"), ("Flight.origin", "field"), ("Flight", "contract"), ("s3://a/b", "dataset")]
        ):  # fmt: skip
            cluster.now_ms = NOW_MS + at
            made.append(await note(cluster, name, kind, labels={"at": str(at)}))

        async def listed(**filters: Any) -> list[str]:
            page = await cluster.ask(catalog.LIST, VIC, herd="sales", **filters)
            return [one.labels["at"] for one in page.items]

        assert await listed() == ["0", "1", "2", "3"]
        assert await listed(kind="contract") == ["0", "2"]
        assert await listed(kind="contract", name="Flight", author=ANN.subject) == ["0", "2"]
        assert await listed(author=VIC.subject) == []
        first = await cluster.ask(catalog.LIST, VIC, herd="sales", limit=1, kind="dataset")
        assert [one.name for one in first.items] == ["s3://a/b"]
        part = await cluster.ask(catalog.LIST, VIC, herd="sales", limit=3)
        rest = await cluster.ask(
            catalog.LIST, VIC, herd="sales", position=Position(part.revision, part.after)
        )
        assert rest.items == (made[3],)
        assert await cluster.ask(
            catalog.GET, VIC, herd="sales", annotation=made[1].annotation
        ) == made[1]  # fmt: skip


async def test_a_note_is_made_once_however_often_it_is_sent():
    once = f"{NOW_MS - 5:012x}" + "ab" * 32
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        first = await note(cluster, once=once)
        assert await note(cluster, once=once) == first
        later = await note(cluster)
        assert later.annotation > first.annotation, "ids sort by time"


async def test_a_note_is_changed_by_who_has_read_it_as_it_is():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        made = await note(cluster, labels={"level": "low"})
        of = {"herd": "sales", "annotation": made.annotation}
        old = Condition(frozenset({made.revision}))
        cluster.now_ms = NOW_MS + 7
        after = await cluster.ask(catalog.UPDATE, ANN, condition=old, text="since", **of)
        assert (after.text, after.labels, after.made_ms) == ("since", {"level": "low"}, NOW_MS)
        assert (after.changed_by, after.changed_ms) == (ANN.subject, NOW_MS + 7)
        assert after.revision > made.revision
        for operation in (catalog.UPDATE, catalog.DELETE):
            with pytest.raises(Conflict) as refused:
                await cluster.ask(operation, condition=old, **of)
            assert refused.value.code == "precondition_failed"
        cleared = await cluster.ask(
            catalog.UPDATE, ANN, condition=Condition(is_any=True), labels={}, **of
        )
        assert (cleared.text, cleared.labels) == ("since", {})
        now = Condition(frozenset({cleared.revision}))
        await cluster.ask(catalog.DELETE, condition=now, **of)
        with pytest.raises(NotFound) as gone:
            await cluster.ask(catalog.GET, ANN, **of)
        assert gone.value.code == "no_such_annotation"


async def test_what_is_too_long_too_much_or_no_kind_is_refused():
    wrong: list[dict[str, Any]] = [
        {"text": "x" * (TEXT_MAX + 1)},
        {"text": ""},
        {"name": ""},
        {"name": "a\nb"},
        {"kind": "dream"},
        {"labels": {str(at): "" for at in range(LABELS_MAX + 1)}},
        {"labels": {"x" * 129: ""}},
    ]
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        for said in wrong:
            with pytest.raises(Invalid):
                await note(cluster, **said)


async def test_a_herd_has_only_so_many(monkeypatch):
    monkeypatch.setattr(stored, "ANNOTATIONS_MAX", 2)
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        await note(cluster)
        await note(cluster)
        with pytest.raises(QuotaExceeded) as refused:
            await note(cluster)
        assert refused.value.code == "annotations_full"


async def test_who_may_only_look_notes_nothing():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, "sales")
        with pytest.raises(Forbidden):
            await note(cluster, by=VIC)
