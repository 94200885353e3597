"""Publishing and clearing: their order, what a failure tells, and what is sure not to have happened."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_world import TICKET, World, sink
from runink.dag import Resources
from runink.errors import Conflict, WireError
from runink.jobs import Done, Failed, Prepared, PublishJob, Ticket
from runink.names import HerdName, NodeId, SliceId
from runink.runs.failures import is_refusal
from runink.runs.records import SliceRecord, SliceState, Task
from runink.steps.chain import Cancelled
from runink.steps.publish import run_publish


def prepared(name: str) -> Prepared:
    return Prepared(
        name, f"csv://{name}", "file", f"/p/.{name}", f"/p/{name}", "overwrite", 1, 1, ""
    )


def job(publish: str = "", discard: str = "", **more: Any) -> PublishJob:
    """A job whose outputs have one letter each."""
    return PublishJob(
        TICKET, "/p", tuple(map(prepared, publish)), tuple(map(prepared, discard)), **more
    )


def failing_at(name: str, error: BaseException) -> Callable[..., None]:
    def call(one: Any, **_: Any) -> None:
        if (one.sink if isinstance(one, Prepared) else one.id) == name:
            raise error

    return call


def refused(report: Done | Failed) -> bool:
    """Whether the run controller fails the run whole on this report."""
    record = SliceRecord(
        SliceId("@publish"), TICKET.run, HerdName("h"), "@publish", SliceState.FAILED, Resources(),
        Task.PUBLISH, node=NodeId("n"), report=report,
    )  # fmt: skip
    return is_refusal(record)


class Noting(World):
    """A world that notes in one list what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def publish(self, prepared: Prepared) -> None:
        self.noted.append(f"publish {prepared.sink}")

    def discard(self, prepared: Prepared) -> None:
        self.noted.append(f"discard {prepared.sink}")

    def leftovers(self, node: Any, *, root: Path, ticket: Ticket) -> None:
        self.noted.append(f"clear {node.id} {ticket.attempt} in {root}")


def test_output_is_published_in_its_order_before_other_output_is_taken_away() -> None:
    world = Noting()
    tickets = (TICKET, Ticket(TICKET.run, TICKET.slice, 2))
    done = run_publish(job("ba", "c", sinks=(sink("d"), sink("e")), tickets=tickets), doors=world)
    assert done == Done(prepared=(prepared("b"), prepared("a")))
    assert world.noted == [
        "publish b",
        "publish a",
        "discard c",
        "clear d 1 in /p",
        "clear d 2 in /p",
        "clear e 1 in /p",
        "clear e 2 in /p",
    ]


def test_a_job_with_nothing_to_do_is_done() -> None:
    assert run_publish(job(), doors=Noting()) == Done()


def test_a_failure_tells_what_is_visible_already_and_takes_nothing_away() -> None:
    world = Noting()
    world.publish = failing_at("b", PermissionError(13, "Permission denied", "out/b"))
    failed = run_publish(job("abc", "d"), doors=world)
    assert isinstance(failed, Failed)
    assert failed.step == "b"
    assert failed.error == WireError(
        "Refused", "io_failed", "b: [Errno 13] Permission denied: 'out/b'"
    )
    assert failed.prepared == (prepared("a"),)
    assert world.noted == []
    assert not refused(failed)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.ENOSPC, "No space left on device"),
        Conflict("out/a is there already", code="sink_exists"),
    ],
)
def test_what_is_refused_before_anything_is_visible_fails_the_run_whole(error) -> None:
    world = Noting()
    world.publish = failing_at("a", error)
    assert refused(run_publish(job("ab"), doors=world))


@pytest.mark.parametrize(
    "error",
    [
        OSError("AWS Error NETWORK_CONNECTION during CompleteMultipartUpload"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError("timed out"),
        OSError(errno.EIO, "Input/output error"),
        RuntimeError("a library of somebody's"),
        MemoryError(),
        Cancelled("SIGTERM"),
        KeyboardInterrupt(),
    ],
)
def test_what_may_have_happened_is_no_refusal(error) -> None:
    world = Noting()
    world.publish = failing_at("a", error)
    failed = run_publish(job("ab", "c"), doors=world)
    assert isinstance(failed, Failed)
    assert failed.error.kind == "OutcomeUnknown"
    assert not refused(failed)
    assert world.noted == []


def test_clearing_goes_on_past_what_will_not_go_and_tells_the_first() -> None:
    world = Noting()
    world.discard = failing_at("a", PermissionError(13, "Permission denied", "out/.a"))
    left = Noting.leftovers
    asked: list[str] = []

    def leftovers(node: Any, **more: Any) -> None:
        asked.append(node.id)
        if node.id == "d":
            raise OSError(errno.EIO, "Input/output error")
        left(world, node, **more)

    world.leftovers = leftovers
    failed = run_publish(
        job("p", "a", sinks=(sink("d"), sink("e")), tickets=(TICKET,)), doors=world
    )
    assert isinstance(failed, Failed)
    assert failed.step == "a"
    assert asked == ["d", "e"]
    assert world.noted == ["publish p", "clear e 1 in /p"]
    assert failed.prepared == (prepared("p"),)


def test_publishing_again_after_a_failure_publishes_all_of_it_again() -> None:
    """What is visible is known to the doors, not to the job: a slice that was killed has told nobody."""
    world = Noting()
    whole = job("ab")
    world.publish = failing_at("b", ConnectionResetError())
    assert isinstance(run_publish(whole, doors=world), Failed)
    del world.publish
    assert isinstance(run_publish(whole, doors=world), Done)
    assert world.noted == ["publish a", "publish b"]
