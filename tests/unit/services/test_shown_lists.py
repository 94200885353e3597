"""A list shows what the caller may read: a rule that speaks of some names only hides these, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from access_row import Row
from access_rows import ROWS
from runink.clients.herds import create_herd
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, RoleName
from runink.operations.answers import Kind
from runink.operations.declarations import Operation
from runink.testing.served import NOW_MS, bound, person, served
from two_herds import BY_NAME, OWN

pytestmark = pytest.mark.anyio
ANN = person("ann")
READS = (Verb.GET, Verb.LIST, Verb.WATCH)
# What is prepared for reading one of a kind is there for its list, too.
LISTS = {
    "pipelines.list": ("pipelines.get", "pipeline"),
    "contracts.list": ("contracts.get", "name"),
    "schedules.list": ("schedules.get", "pipeline"),
    "bundles.list": ("bundles.get", "bundle"),
    "annotations.list": ("annotations.get", "annotation"),
    "nodes.list": ("nodes.get", "node"),
}


def hiding(resource: Resource, name: str, herd: str) -> tuple[Role, Binding]:
    """Return a role that hides one name from Ann, and its binding."""
    rule = Rule(READS, (resource,), (name,), effect=Effect.DENY)
    role_of = RoleOf.HERD if herd == OWN else RoleOf.CLUSTER
    role = Role(RoleName("blind"), herd if herd == OWN else "", (rule,))
    return role, Binding(BindingName("blind"), herd, role.name, role_of, (ANN.subject,))


async def shown(operation: Operation, row: Row, hidden: tuple[Any, ...]) -> Any:
    bindings = [bound("ann", "viewer", ANN.subject), *hidden[1:]]
    async with served(roles=hidden[:1], bindings=bindings) as world:
        await create_herd(world.barn, HerdRecord(HerdName(OWN)), By("operator:root", NOW_MS))
        of_herd = "{herd}" in operation.path
        assert row.prepare is not None
        await row.prepare(world, OWN if of_herd else "")
        found = await world.ask(operation, ANN, **({"herd": OWN} if of_herd else {}))
        return found.items


@pytest.mark.parametrize("name", LISTS)
async def test_what_a_rule_hides_by_its_name_is_in_no_list(name: str) -> None:
    operation, (reading, part) = BY_NAME[name], LISTS[name]
    assert operation.kind is Kind.PAGE
    assert operation.resource is not None
    items = await shown(operation, ROWS[reading], ())
    assert items
    herd = OWN if "{herd}" in operation.path else "*"
    hidden = getattr(items[0], part)
    rest = await shown(operation, ROWS[reading], hiding(operation.resource, hidden, herd))
    assert hidden not in {getattr(one, part) for one in rest}
