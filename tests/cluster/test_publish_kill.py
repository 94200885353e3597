"""A process killed with -9 at every step of writing, preparing and publishing: its targets are old or new, never torn, and nothing stays behind.

The test starts a driver, and the driver forks a child for each place to die: behind or in the middle of each call that changes a disk.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from runink.connectors.publishing import discard, leftovers, publish
from runink.connectors.sinks import open_sink
from runink.dag import Format, Mode, Sink
from runink.jobs import Prepared, Ticket
from runink.names import RunId, SliceId
from runink.pipes.batch import Batch

TICKET = Ticket(RunId("01K9ZZZZZZ0000000000000000"), SliceId("bronze"), 1)
CALLS = ("open", "write", "fsync", "mkdir", "replace", "link", "unlink")
HOWS = ("half", "after")  # behind one call is in front of the next
POINTS_MAX = 400  # a story has about 60 calls that count
OLD = b"old\n"
STORY_S = 280  # a quiet machine takes a few seconds


def plant(place: int, how: str) -> None:
    """From now on, die at the call of that number."""
    count = 0

    def planted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count != place:
                return call(*arguments, **named)
            try:
                if how == "after":
                    call(*arguments, **named)
                elif name == "write":
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
            return None

        return called

    for name in CALLS:
        setattr(os, name, planted(name, getattr(os, name)))


def sinks(mode: Mode) -> tuple[Sink, ...]:
    return (
        Sink("one", "s", "csv://out/a.csv", Format.CSV, "out/a.csv", mode=mode),
        Sink("two", "s", "jsonl://new/b.jsonl.gz", Format.JSONL, "new/b.jsonl.gz", mode=mode),
    )


def write_all(root: Path, mode: Mode) -> list[Prepared]:
    batch = Batch(pa.record_batch({"a": [1, 2, 3]}), "memory", 0)
    writers = [open_sink(node, root=root, ticket=TICKET, stdout_fd=None) for node in sinks(mode)]
    for _ in range(2):
        for writer in writers:
            writer.write(batch)
    return [writer.prepare() for writer in writers]


def in_child(story: Callable[[], None]) -> bool:
    """Run it in a process of its own; say whether it came to its end. Raises if it failed by itself."""
    child = os.fork()
    if child == 0:
        try:
            story()
        except BaseException:  # noqa: BLE001 - a forked child must not return into the test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return not os.WIFSIGNALED(status)


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def visible(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(root).items() if "/." not in name}


def fresh(folder: Path, mode: Mode) -> Path:
    folder.mkdir()
    if mode is Mode.OVERWRITE:
        (folder / "out").mkdir()
        (folder / "out" / "a.csv").write_bytes(OLD)
    return folder


def killed_while_writing(base: Path, mode: Mode, done: dict[str, bytes]) -> int:
    """Die at each call up to the last prepare; what is left must go away, by ticket or by report, and the run can be repeated."""
    for place in range(1, POINTS_MAX):
        for how in HOWS:
            root = fresh(base / f"write-{place}-{how}", mode)
            before = visible(root)

            def story(root: Path = root, place: int = place, how: str = how) -> None:
                plant(place, how)
                write_all(root, mode)

            ended = in_child(story)
            assert visible(root) == before, (place, how)
            for node in sinks(mode):
                leftovers(node, root=root, ticket=TICKET)
            assert files(root) == before, (place, how)
            if ended:
                return place
            publish_all(root, mode)
            assert files(root) == done, (place, how)
    raise AssertionError("a story without an end")


def publish_all(root: Path, mode: Mode) -> None:
    def story() -> None:
        for prepared in write_all(root, mode):
            publish(prepared)

    assert in_child(story)


def killed_while_publishing(base: Path, mode: Mode, done: dict[str, bytes]) -> int:
    """Die at each call of the publishes; rolling forward ends it, however often."""
    for place in range(1, POINTS_MAX):
        for how in HOWS:
            root = fresh(base / f"publish-{place}-{how}", mode)
            record = base / f"prepared-{place}-{how}"

            def prepare(root: Path = root, record: Path = record) -> None:
                record.write_bytes(msgspec.json.encode(write_all(root, mode)))

            assert in_child(prepare)
            found = msgspec.json.decode(record.read_bytes(), type=list[Prepared])
            before = visible(root)

            def story(found: list[Prepared] = found, place: int = place, how: str = how) -> None:
                plant(place, how)
                for prepared in found:
                    publish(prepared)

            ended = in_child(story)
            for name, data in visible(root).items():
                assert data in (before.get(name), done[name]), (place, how, name)
            for prepared in (*found, *found):
                publish(prepared)
            assert files(root) == done, (place, how)
            if ended:
                return place
    raise AssertionError("a story without an end")


def killed_while_discarding(base: Path, mode: Mode) -> int:
    for place in range(1, POINTS_MAX):
        for how in HOWS:
            root = fresh(base / f"discard-{place}-{how}", mode)
            before = visible(root)
            record = base / f"discarded-{place}-{how}"

            def prepare(root: Path = root, record: Path = record) -> None:
                record.write_bytes(msgspec.json.encode(write_all(root, mode)))

            assert in_child(prepare)
            found = msgspec.json.decode(record.read_bytes(), type=list[Prepared])

            def story(found: list[Prepared] = found, place: int = place, how: str = how) -> None:
                plant(place, how)
                for prepared in found:
                    discard(prepared)

            ended = in_child(story)
            for prepared in found:
                discard(prepared)
            assert files(root) == before, (place, how)
            if ended:
                return place
    raise AssertionError("a story without an end")


def drive(base: Path, mode: Mode) -> None:
    root = fresh(base / "done", mode)
    publish_all(root, mode)
    done = files(root)
    assert len(done) == 2
    points = (
        killed_while_writing(base, mode, done),
        killed_while_publishing(base, mode, done),
        killed_while_discarding(base, mode),
    )
    sys.stdout.write(" ".join(map(str, points)))


@pytest.mark.parametrize("mode", list(Mode))
def test_killed_anywhere_targets_are_old_or_new_and_nothing_stays(
    tmp_path: Path, mode: Mode
) -> None:
    command = [sys.executable, __file__, str(tmp_path), mode.value]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=STORY_S, check=False)
    assert ended.returncode == 0, ended.stderr
    writing, publishing, discarding = map(int, ended.stdout.split())
    assert writing > 15
    assert publishing > 8
    assert discarding > 2


if __name__ == "__main__":
    drive(Path(sys.argv[1]), Mode(sys.argv[2]))
