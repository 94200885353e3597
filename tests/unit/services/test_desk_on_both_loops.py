"""The desk and its entrance run under both event loops: let in, asked, followed, cut off."""

from __future__ import annotations

import pytest
from runink.clients.api_requests import Call, Next
from runink.clients.herds import create_herd
from runink.errors import NotFound, Unavailable
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.operations.catalog.table import CATALOG
from runink.runtime.connections import connect_tcp
from runink.testing.served import NOW_MS, bound, person, served
from runink.testing.wire_door import Tokens, desk_parts, wire_door

pytestmark = pytest.mark.anyio
ANN = person("ann")
WITHIN_S = 60.0


async def test_who_is_let_in_asks_and_follows_until_the_token_is_revoked():
    tokens = Tokens({"ann-token": ANN})
    async with served(bindings=[bound("ann", "viewer", ANN.subject, herd="sales")]) as world:
        await create_herd(world.barn, HerdRecord(HerdName("sales")), By("operator:root", NOW_MS))
        parts = desk_parts(tokens, world.services, world.access, CATALOG)
        async with (
            wire_door(parts) as door,
            connect_tcp("127.0.0.1", door.port, credentials=b"ann-token") as peer,
        ):
            desk = peer.ref("api")
            page = await desk.ask(Call("herds.list"), within=WITHIN_S)
            assert [one["herd"] for one in page.document["items"]] == ["sales"]
            with pytest.raises(NotFound):
                await desk.ask(Call("herds.get", {"herd": "stock"}), within=WITHIN_S)
            opened = await desk.ask(Call("runs.watch", {"herd": "sales"}), within=WITHIN_S)
            tokens.known.clear()
            with pytest.raises(Unavailable):  # nothing happens, and the connection ends first
                await desk.ask(Next(opened.stream, 1), within=WITHIN_S)
            await peer.link.wait_over()
            assert peer.link.error is not None
            assert peer.link.error.code == "unauthenticated"
