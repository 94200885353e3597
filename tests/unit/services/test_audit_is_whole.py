"""No operation that changes something is left out of the audit: each of the catalog is asked, and its entry is looked for."""

from __future__ import annotations

import json

import pytest
from access_rows import ROWS
from runink.barn.keys import AUDIT, OF_CLUSTER
from runink.governance.audit import AuditEntry, Outcome
from runink.operations.declarations import HERD, Method, path_names
from runink.testing.served import OPERATOR, Served
from two_herds import BY_NAME, OWN, InMemory, fields_for, world_of

pytestmark = pytest.mark.anyio
CHANGING = [
    name for name, one in BY_NAME.items() if one.method is not Method.GET and not one.is_sign_in
]
ID_MAX = 26  # what is no longer is an id
SECRETS = ("secret", "token", "access_token", "password")


@pytest.fixture
def anyio_backend() -> str:
    """What is written down has nothing to do with the loop."""
    return "asyncio"


async def entries_of(world: Served, operation: str) -> list[AuditEntry]:
    found = []
    for place, herd in ((OWN, OWN), (OF_CLUSTER, "")):
        listing = await world.barn.range(AUDIT.prefix(place), AuditEntry)
        found += [one.value for one in listing.items]
        assert all(one.value.herd == herd for one in listing.items)
    return [one for one in found if one.operation == operation]


@pytest.mark.parametrize("name", CHANGING)
async def test_whatever_changes_something_is_written_down(name: str):
    operation, row = BY_NAME[name], ROWS[name]
    is_of_herd = HERD in path_names(operation.path)
    herd = OWN if is_of_herd else ""
    who = None if operation.is_public else OPERATOR
    async with world_of(operation) as made:
        world, fields = made.served, made.fields
        known = {one.id for one in await entries_of(world, name)}
        asked = fields_for(world, fields, herd) | ({HERD: herd} if is_of_herd else {})
        told = await InMemory().ask(world, operation, who, asked, row.content)
        (entry,) = [one for one in await entries_of(world, name) if one.id not in known]
        refused = Outcome.REFUSED if who is not None else Outcome.DENIED
        assert entry.outcome is (refused if told.code else Outcome.DONE)
        assert entry.code == told.code
        assert entry.who == (who.subject if who is not None else "")
        answer = json.loads(told.text) if told.text.startswith("{") else {}
        secrets = [answer[key] for key in SECRETS if isinstance(answer.get(key), str)]
        assert not [one for one in secrets if len(one) > ID_MAX and one in str(entry)]
        assert all(entry.what[part] == str(asked[part]) for part in path_names(operation.path))


def test_nothing_but_to_sign_in_is_left_out():
    assert [one.name for one in BY_NAME.values() if one.is_sign_in] == ["tokens.issue"]
