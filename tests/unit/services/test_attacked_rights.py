"""Ways around the rights of the API that somebody would try who knows how it is made; each is shut."""

from __future__ import annotations

from typing import Any

import pytest
from annotation_rows import ID, noted
from bundle_rows import HASH, brought
from runink.clients.herds import create_herd
from runink.errors import Forbidden, NotFound
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.identity.vocabulary import EVERYTHING, Resource, Verb
from runink.names import BindingName, HerdName, RoleName
from runink.operations.calls import Condition
from runink.operations.catalog import accounts, annotations, contracts, herds, issuers, pipelines
from runink.testing.served import NOW_MS, bound, person, served

pytestmark = pytest.mark.anyio
ANN, CHIEF = person("ann"), person("chief")
ANY = Condition(is_any=True)
SALES = {"herd": "sales"}
CORP = {"id": "corp", "issuer": "https://login.example.com", "client_id": "runink"}
EVIL = CORP | {"issuer": "https://evil.example.com"}


def given(*rules: Rule, base: str = "") -> dict[str, Any]:
    """Return roles and bindings by which Ann has these rules for all herds, beside a built-in role."""
    role = Role(RoleName("hers"), "", rules)
    subjects = (ANN.subject,)
    hers = Binding(BindingName("hers"), EVERYTHING, role.name, RoleOf.CLUSTER, subjects)
    return {
        "roles": [role],
        "bindings": [hers, *([bound("base", base, *subjects)] if base else [])],
    }


def hiding(resource: Resource, name: str) -> dict[str, Any]:
    reads = (Verb.GET, Verb.LIST, Verb.WATCH)
    return given(Rule(reads, (resource,), (name,), effect=Effect.DENY), base="author")


@pytest.mark.parametrize("subject", [CHIEF.subject, "group:corp:chiefs"])
async def test_who_may_change_providers_does_not_become_who_comes_from_them(subject: str):
    rules = given(Rule((EVERYTHING,), (Resource.ISSUERS,)))
    rules["bindings"].append(bound("chiefs", "cluster-admin", subject))
    async with served(**rules) as world:
        asked: dict[str, Any] = {"issuer": "corp", "says": EVIL, "condition": ANY}
        with pytest.raises(Forbidden) as refused:
            await world.ask(issuers.CREATE, ANN, says=EVIL)
        assert refused.value.code == "not_held"
        await world.ask(issuers.CREATE, says=CORP)
        with pytest.raises(Forbidden) as refused:
            await world.ask(issuers.UPDATE, ANN, **asked)
        assert refused.value.code == "not_held"
        other = {"id": "other", "issuer": "https://other.example.com", "client_id": "x"}
        assert (await world.ask(issuers.CREATE, ANN, says=other)).issuer == "other"


async def test_who_may_make_programs_of_some_names_makes_no_others():
    rules = given(Rule((Verb.CREATE,), (Resource.SERVICE_ACCOUNTS,), ("bot-*",)))
    async with served(**rules) as world:
        await create_herd(world.barn, HerdRecord(HerdName("sales")), By("operator:root", NOW_MS))
        await world.ask(accounts.CREATE, ANN, account="bot-1", **SALES)
        with pytest.raises(Forbidden):
            await world.ask(accounts.CREATE, ANN, account="deployer", **SALES)


async def test_who_may_make_herds_of_some_names_makes_no_others():
    async with served(**given(Rule((Verb.CREATE,), (Resource.HERDS,), ("team-*",)))) as world:
        await world.ask(herds.CREATE, ANN, says={"herd": {"id": "team-a"}})
        with pytest.raises(Forbidden):
            await world.ask(herds.CREATE, ANN, says={"herd": {"id": "payroll"}})


async def test_a_bundle_that_is_hidden_is_not_read_by_publishing_what_is_in_it():
    async with served(**hiding(Resource.BUNDLES, HASH)) as world:
        await create_herd(world.barn, HerdRecord(HerdName("sales")), By("operator:root", NOW_MS))
        await brought(world, "sales")
        asked: dict[str, Any] = {"bundle": HASH, "file": "x.dsl", "dry_run": True, **SALES}
        for operation, name in (
            (pipelines.PUBLISH, {"pipeline": "daily"}),
            (contracts.PUBLISH, {"contract": "Flight"}),
        ):
            with pytest.raises(NotFound) as refused:
                await world.ask(operation, ANN, **asked, **name)
            assert "has brought no bundle" in refused.value.text


async def test_a_note_tells_of_nothing_that_is_hidden():
    async with served(**hiding(Resource.PIPELINES, "of-sales")) as world:
        await noted(world, "sales")
        assert (await world.ask(annotations.LIST, ANN, **SALES)).items == ()
        asked: dict[str, Any] = {"annotation": ID, **SALES}
        for operation, more in (
            (annotations.GET, {}),
            (annotations.UPDATE, {"text": "x", "condition": ANY}),
        ):
            with pytest.raises(NotFound) as refused:
                await world.ask(operation, ANN, **asked, **more)
            assert refused.value.code == "no_such_annotation"
        assert len((await world.ask(annotations.LIST, **SALES)).items) == 1
