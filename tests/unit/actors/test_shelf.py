"""What a node keeps of runs is read by people elsewhere: through a member that it is connected to, in parts, and nothing else of the machine."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from runink.actors.offload import in_thread
from runink.actors.shelf import FileDesk, Shelf
from runink.clients.node_files import (
    ANSWER_BYTES_MAX,
    FILES,
    FILES_MAX,
    SHELF,
    FilePart,
    FileParts,
    Kept,
    ReadFiles,
    Wanted,
)
from runink.errors import Invalid, LinkLost
from runink.names import NodeId, RunId
from runink.runtime.connections import connect_unix, serve_unix
from runink.runtime.directory import Directory
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, Supervisor, supervise

pytestmark = pytest.mark.anyio
NODE, RUN = NodeId("w1"), RunId("01ABC")
WITHIN_S = 5.0


def asked(*files: Wanted, kept: Kept = Kept.LOGS, run: str = RUN, wait_s: float = 0.0) -> ReadFiles:
    return ReadFiles(NODE, RunId(run), kept, files, wait_s)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / RUN / "logs"
    folder.mkdir(parents=True)
    return folder


async def no_letters(_: ReadFiles) -> FileParts:
    return FileParts((), is_all=True)


async def shelf_in(supervisor: Supervisor, tmp_path: Path) -> LocalRef[ReadFiles]:
    make = lambda: Shelf(tmp_path / "runs", no_letters, offload=in_thread)  # noqa: E731 - one line
    return await supervisor.start(ChildSpec(SHELF, make))


async def test_what_comes_behind_what_was_seen_is_read(tmp_path: Path, logs: Path) -> None:
    (logs / "a.1.jsonl").write_bytes(b"one\ntwo\n")
    (logs / "b.1.jsonl").write_bytes(b"three\n")
    async with supervise() as supervisor:
        shelf = await shelf_in(supervisor, tmp_path)
        files = (Wanted("a.1.jsonl", 4), Wanted("b.1.jsonl", 6), Wanted("c.1.jsonl"))
        found = await shelf.ask(asked(*files), within=WITHIN_S)
        assert found == FileParts((FilePart("a.1.jsonl", 4, b"two\n"),), is_all=True)


async def test_a_large_file_comes_in_parts_that_are_all_of_it(tmp_path: Path, logs: Path) -> None:
    whole = bytes(range(256)) * (5 * ANSWER_BYTES_MAX // 512)
    (logs / "a.1.jsonl").write_bytes(whole)
    (logs / "b.1.jsonl").write_bytes(b"after")
    async with supervise() as supervisor:
        shelf = await shelf_in(supervisor, tmp_path)
        seen = {"a.1.jsonl": b"", "b.1.jsonl": b""}
        is_all, answers = False, 0
        while not is_all:
            files = [Wanted(name, len(data)) for name, data in seen.items()]
            found = await shelf.ask(asked(*files), within=WITHIN_S)
            assert sum(len(part.data) for part in found.parts) <= ANSWER_BYTES_MAX
            for part in found.parts:
                assert part.offset == len(seen[part.name])
                seen[part.name] += part.data
            is_all, answers = found.is_all, answers + 1
        assert seen == {"a.1.jsonl": whole, "b.1.jsonl": b"after"}
        assert answers == 3


async def test_who_waits_is_answered_when_something_comes(tmp_path: Path, logs: Path) -> None:
    async with supervise() as supervisor, anyio.create_task_group() as group:
        shelf = await shelf_in(supervisor, tmp_path)

        async def wait() -> None:
            request = asked(Wanted("a.1.jsonl"), wait_s=WITHIN_S)
            found = await shelf.ask(request, within=2 * WITHIN_S)
            assert [part.data for part in found.parts] == [b"news\n"]

        group.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        (logs / "a.1.jsonl").write_bytes(b"news\n")


async def test_nothing_but_plain_files_in_a_run_s_own_folders_is_read(
    tmp_path: Path, logs: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (logs / "link").symlink_to(secret)
    (logs / "folder").mkdir()
    async with supervise() as supervisor:
        shelf = await shelf_in(supervisor, tmp_path)
        for name in ("link", "folder"):
            found = await shelf.ask(asked(Wanted(name)), within=WITHIN_S)
            assert found == FileParts((), is_all=True)
        for name in ("../../../secret", "..", "", "a\0b", str(secret)):
            with pytest.raises(Invalid):
                await shelf.ask(asked(Wanted(name)), within=WITHIN_S)
        with pytest.raises(Invalid):
            await shelf.ask(asked(Wanted("a"), run=".."), within=WITHIN_S)
        with pytest.raises(Invalid):
            await shelf.ask(asked(Wanted("a", -1)), within=WITHIN_S)
        with pytest.raises(Invalid):
            await shelf.ask(asked(*[Wanted("a")] * (FILES_MAX + 1)), within=WITHIN_S)


async def test_a_member_asks_a_node_by_the_connection_that_the_node_made(
    tmp_path: Path, logs: Path
) -> None:
    (logs / "a.1.jsonl").write_bytes(b"one\n")
    member, node = Directory("member-1"), Directory(NODE)
    async with supervise() as of_node, supervise() as of_member:
        node.serve(await shelf_in(of_node, tmp_path), ReadFiles)
        desk = await of_member.start(ChildSpec(FILES, lambda: FileDesk(member.ref)))
        member.serve(desk, ReadFiles)
        request = asked(Wanted("a.1.jsonl"))
        async with serve_unix(tmp_path / "m.sock", member):
            with pytest.raises(LinkLost, match="no connection to w1"):
                await desk.ask(request, within=WITHIN_S)
            async with connect_unix(tmp_path / "m.sock", directory=node) as peer:
                while True:
                    try:
                        found = await peer.ref(FILES).ask(request, within=WITHIN_S)
                    except LinkLost:
                        await anyio.lowlevel.checkpoint()  # the member has just let it in
                    else:
                        break
                assert [part.data for part in found.parts] == [b"one\n"]
            with anyio.fail_after(WITHIN_S):
                while True:
                    try:
                        await desk.ask(request, within=WITHIN_S)
                    except LinkLost:
                        break
                    await anyio.lowlevel.checkpoint()
