"""Rows that are read by a process of their own: whatever it says and however long it or the node takes, who asks is told in time."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import pytest
from runink.dag import Format, Sink
from runink.dsl.readings import Reading
from runink.errors import Invalid, NotFound, Unavailable
from runink.services import far_rows
from runink.services.far_rows import FarRows
from runink.services.rows_job import BLOCK_BYTES, Job

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
DATA = b'{"a": 1}\n' * 100_000
SEES_ALL = Reading({}, frozenset(), frozenset(), is_closed=False, is_dead_letter=False)
SINK = Sink("s", "s", "jsonl://o.jsonl", Format.JSONL, "o.jsonl")


def job(**more: Any) -> Job:
    said: dict[str, Any] = {"start": 0, "limit": 2, "bytes_max": 32 << 20} | more
    return Job(SINK, len(DATA), said["start"], said["limit"], said["bytes_max"], SEES_ALL)


async def there(offset: int) -> bytes:
    return DATA[offset : offset + BLOCK_BYTES]


async def test_rows_are_read_from_any_place_on_and_the_last_are_told() -> None:
    far = FarRows()
    found = await far.read(job(), there)
    assert (found.rows, found.is_all) == (({"a": 1},) * 2, False)
    last = await far.read(job(start=99_999), there)
    assert (last.rows, last.is_all) == (({"a": 1},), True)
    beyond = await far.read(job(start=100_000), there)
    assert (beyond.rows, beyond.is_all) == ((), True)


async def test_no_more_is_fetched_than_is_allowed() -> None:
    with pytest.raises(Invalid) as refused:
        await FarRows().read(job(start=99_999, bytes_max=BLOCK_BYTES), there)
    assert refused.value.code == "rows_too_far"


async def test_a_file_that_goes_while_it_is_read_is_told() -> None:
    async def gone(offset: int) -> bytes:
        raise NotFound(f"nothing is at {offset}", code="sample_gone")

    with pytest.raises(NotFound) as told:
        await FarRows().read(job(), gone)
    assert told.value.code == "sample_gone"


async def test_a_node_that_does_not_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(far_rows, "WITHIN_S", 2.0)

    async def silent(_offset: int) -> bytes:
        await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    with pytest.raises(Unavailable) as told:
        await FarRows().read(job(), silent)
    assert told.value.code == "node_away"


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ("b'nonsense' * 100", "rows_damaged"),
        ("bytes(4)", "rows_damaged"),
        ("b'\\xff' * 8", "rows_damaged"),
        ("b'\\0\\0\\0\\x04\\xff\\xff\\xff\\xff'", "rows_damaged"),
        ("b'\\0\\0\\0\\x05[1,2]'", "rows_damaged"),
    ],
)
async def test_whatever_the_process_says_is_rows_or_refused(says: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    program = f"import sys; sys.stdout.buffer.write({says}); sys.stdout.flush(); sys.stdin.read()"
    monkeypatch.setattr(far_rows, "COMMAND", (sys.executable, "-c", program))
    monkeypatch.setattr(far_rows, "WITHIN_S", 5.0)
    with pytest.raises(Invalid) as told:
        await FarRows().read(job(), there)
    assert told.value.code == code


async def test_a_process_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_rows, "COMMAND", (sys.executable, "-c", "import signal; signal.pause()"))  # fmt: skip
    monkeypatch.setattr(far_rows, "WITHIN_S", 1.0)
    with pytest.raises(Invalid) as told:
        await FarRows().read(job(), there)
    assert told.value.code == "rows_too_long"
