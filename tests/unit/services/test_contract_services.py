"""Contracts are published from what the herd has brought or what is sent, held against what its herd asks for, and compared."""

from __future__ import annotations

from typing import Any

import pytest
from runink.clients.herds import create_herd
from runink.contracts.compatibility import ContractPolicy, Mode
from runink.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.operations.catalog import contracts
from runink.testing.brought import bring
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, VIC = person("ann"), person("vic")
BINDINGS = [
    bound("authors", "author", ANN.subject, herd="sales"),
    bound("viewers", "viewer", VIC.subject, herd="sales"),
]
AT = {"herd": "sales", "contract": "Flight"}
FIRST = """\
from runink import Contract


class Flight(Contract, version="{version}"):
    origin: str
    delay: int | None
"""
WIDER = FIRST + "    note: str | None = None\n"
BROKEN = FIRST.replace("    delay: int | None\n", "")
SCHEMA = '{"title": "Flight", "type": "object", "properties": {"origin": {"type": "string"}}, "required": ["origin"]}'  # fmt: skip


async def declare(cluster: Served, mode: Mode = Mode.NONE) -> None:
    herd = HerdRecord(HerdName("sales"), contracts=ContractPolicy(mode=mode))
    await create_herd(cluster.barn, herd, By("operator:root", NOW_MS))


async def publish(cluster: Served, text: str, version: str, **more: Any) -> Any:
    bundle = await bring(cluster, "sales", {"contracts/flights.py": text.format(version=version)})
    said = {**AT, "bundle": bundle, "file": "contracts/flights.py", **more}
    return await cluster.ask(contracts.PUBLISH, ANN, **said)


async def test_versions_are_published_told_and_listed():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster)
        tried = await publish(cluster, FIRST, "1.0.0", dry_run=True)
        assert (tried.new, tried.dry_run) == (True, True)
        assert (await cluster.ask(contracts.LIST, VIC, herd="sales")).items == ()
        first = await publish(cluster, FIRST, "1.0.0", commit="3f2c")
        assert (first.new, first.previous, first.by, first.commit) == (True, None, ANN.subject, "3f2c")  # fmt: skip
        second = await publish(cluster, WIDER, "1.1.0")
        assert second.previous == "1.0.0"
        assert [one.path for one in second.changes] == ["note"]
        again = await publish(cluster, WIDER, "1.1.0")
        assert (again.new, again.revision) == (False, second.revision)
        (listed,) = (await cluster.ask(contracts.LIST, VIC, herd="sales")).items
        assert (listed.name, listed.version, listed.versions) == ("Flight", "1.1.0", ("1.0.0", "1.1.0"))  # fmt: skip
        shown = await cluster.ask(contracts.GET, VIC, **AT)
        assert [(one.path, one.nullable, one.required) for one in shown.schema] == [
            ("origin", False, True),
            ("delay", True, True),
            ("note", True, False),
        ]
        page = await cluster.ask(contracts.VERSIONS, VIC, limit=1, **AT)
        assert [one.version for one in page.items] == ["1.0.0"]
        old = await cluster.ask(contracts.GET_VERSION, VIC, version="1.0.0", **AT)
        assert len(old.schema) == 2
        with pytest.raises(NotFound) as missing:
            await cluster.ask(contracts.GET_VERSION, VIC, version="9.0.0", **AT)
        assert "1.1.0" in missing.value.hint


async def test_what_the_herd_does_not_take_is_refused():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster, Mode.FULL)
        await publish(cluster, FIRST, "1.0.0")
        with pytest.raises(Forbidden) as refused:
            await publish(cluster, BROKEN, "2.0.0")
        assert refused.value.code == "contract_incompatible"
        with pytest.raises(Conflict) as taken:
            await publish(cluster, WIDER, "1.0.0")
        assert taken.value.code == "version_taken"
        with pytest.raises(Invalid) as too_little:
            await publish(cluster, WIDER, "1.0.1")
        assert too_little.value.code == "version_not_enough"


async def test_two_versions_are_compared_by_what_the_herd_asks_for():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster)
        await publish(cluster, FIRST, "1.0.0")
        await publish(cluster, BROKEN, "2.0.0")
        await publish(cluster, WIDER, "3.0.0")
        shown = await cluster.ask(contracts.DIFF, VIC, **AT, **{"from": "1.0.0", "to": "2.0.0"})
        assert (shown.old, shown.new, shown.bump) == ("1.0.0", "2.0.0", "major")
        assert [one.path for one in shown.changes] == ["delay"]
        last = await cluster.ask(contracts.DIFF, VIC, **AT)
        assert (last.old, last.new) == ("2.0.0", "3.0.0")


async def test_a_document_is_sent_and_published():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster)
        made = await cluster.ask(contracts.PUBLISH, ANN, document=SCHEMA, form="json", **AT)
        assert [one.path for one in made.schema] == ["origin"]
        for document, form in (("{", "json"), ("a: [", "yaml"), (SCHEMA.replace("Flight", "Fleet"), "json")):  # fmt: skip
            with pytest.raises(Refused):
                await cluster.ask(contracts.PUBLISH, ANN, document=document, form=form, **AT)


async def test_a_request_says_a_bundle_or_a_document():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster)
        for said in ({}, {"document": "x", "bundle": "0" * 64, "file": "x"}, {"bundle": "0" * 64}):
            with pytest.raises(Invalid):
                await cluster.ask(contracts.PUBLISH, ANN, **said, **AT)


async def test_who_may_only_look_publishes_nothing():
    async with served(bindings=BINDINGS) as cluster:
        await declare(cluster)
        with pytest.raises(Forbidden):
            await cluster.ask(contracts.PUBLISH, VIC, document=SCHEMA, form="json", **AT)
