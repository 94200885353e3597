"""Laws of mailboxes, against a plain list: order, room, the line of those who wait, and the end."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st
from runink.errors import Overloaded, Unavailable
from runink.runtime.envelope import Envelope
from runink.runtime.mailbox import Mailbox

steps = st.lists(st.sampled_from(["put", "try", "get", "leave", "close"]), max_size=40)


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


async def play(script: list[str], messages_max: int) -> None:
    mailbox = Mailbox[int]("box", messages_max)
    there: list[int] = []  # those with room first, then the line
    scopes: dict[int, anyio.CancelScope] = {}
    refused: list[int] = []
    closed = False

    async def put(number: int) -> None:
        with anyio.CancelScope() as scopes[number]:
            try:
                await mailbox.put(Envelope(number))
            except Unavailable:
                refused.append(number)

    async with anyio.create_task_group() as group:
        for number, step in enumerate(script):
            match step:
                case "put":
                    group.start_soon(put, number)
                    await settle()
                    if not closed:
                        there.append(number)
                    assert (number in refused) == closed
                case "try":
                    try:
                        mailbox.put_nowait(Envelope(number))
                        assert not closed
                        assert len(there) < messages_max
                        there.append(number)
                    except Overloaded:
                        assert len(there) >= messages_max
                    except Unavailable:
                        assert closed
                case "get" if there:
                    got = await mailbox.get()
                    assert got is not None
                    assert got.message == there.pop(0)
                    await settle()
                case "leave" if len(there) > messages_max:
                    scopes[there.pop()].cancel()
                    await settle()
                case "close":
                    mailbox.close()
                    await settle()
                    closed = True
                    assert set(there[messages_max:]) <= set(refused)
                    del there[messages_max:]
                case _:
                    continue
            assert len(mailbox) == len(there)
        assert [left.message for left in mailbox.leftovers()] == there[:messages_max]
    assert await mailbox.get() is None


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        await coroutine

    anyio.run(main, backend="trio")


@given(steps, st.integers(1, 3))
def test_a_mailbox_is_a_bounded_line(script: list[str], messages_max: int):
    run(play(script, messages_max))
