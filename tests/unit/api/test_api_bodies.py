"""Bodies: bytes as they come, their sizes, and the room that there is for all of them."""

from __future__ import annotations

import asyncio
import io

import pytest
from anyio.lowlevel import checkpoint
from api_world import ANNA, SOON_S, world
from runink.api.limits import Limits
from runink.operations.declarations import Operation

pytestmark = pytest.mark.anyio
ATTACH = "/herds/flights/notes/first/attachment"
BYTES = ANNA | {"Content-Type": "application/octet-stream"}
NOTES = "/herds/flights/notes"


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff{", b"x" * (2 << 20)], ids=["none", "some", "most"]
)
async def test_bytes_are_taken_as_they_come_up_to_what_their_operation_says(content: bytes) -> None:
    async with world() as api:
        api.notebook.put("flights", "first", "x")
        answer = await api.ask("PUT", ATTACH, BYTES, data=io.BytesIO(content))
        assert answer.status == 204
        assert api.notebook.attached["flights", "first"] == content


async def test_more_bytes_than_that_and_another_type_are_refused() -> None:
    async with world() as api:
        api.notebook.put("flights", "first", "x")
        larger = await api.ask("PUT", ATTACH, BYTES, data=io.BytesIO(bytes((2 << 20) + 1)))
        assert (larger.status, larger.json["code"]) == (413, "body_too_large")
        for kind in (
            "application/json",
            "application/octet-streams",
            "application/octet-stream; a=b",
        ):
            other = await api.ask("PUT", ATTACH, BYTES | {"Content-Type": kind}, data=b"{}")
            assert (other.status, other.json["code"]) == (415, "unsupported_media_type")
            assert other.headers["Accept"] == "application/octet-stream"
        assert not api.notebook.attached


async def test_bodies_have_room_together_and_give_it_back() -> None:
    go = asyncio.Event()

    async def wait(operation: Operation) -> None:
        del operation
        await go.wait()

    async with world(limits=Limits(body_bytes_max=1000, bodies_bytes_max=1500)) as api:
        api.notebook.turn = wait
        text = {"text": "x" * 900}
        first = asyncio.ensure_future(api.ask("POST", NOTES, json=text))
        async with asyncio.timeout(SOON_S):
            while not api.notebook.calls:
                await checkpoint()
        second = await api.ask("POST", NOTES, json=text)
        assert (second.status, second.json["code"]) == (503, "overloaded")
        go.set()
        assert (await first).status == 201
        assert (await api.ask("POST", NOTES, json=text)).status == 201
