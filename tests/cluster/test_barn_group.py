"""Three real members on one machine: who serves what, what a death, a pause, a full disk and a lost folder do, and who is let in."""

from __future__ import annotations

import shutil
import time
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest
from barn_group import WAIT_S, BarnGroup, barn_group, fill, small_disk, until, votes
from runink.actors.peers import PeerMessages, SnapshotChunk
from runink.barn.keyvalue import one_key
from runink.certificates.roles import CONTROL
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import MoveLeader, Read, Status
from runink.clients.membership import MembershipAdmin
from runink.errors import Forbidden, LinkLost, TimedOut, Unavailable
from runink.runtime.connections import Dialled
from runink.runtime.directory import Directory
from runink.storage.wal import SERVER_SEGMENT_BYTES
from runink.testing.founded import stranger
from runink.wire.tls import connecting_from

pytestmark = pytest.mark.anyio

SMALL_DISK_BYTES = 1 << 20


@pytest.fixture
def anyio_backend() -> str:
    """Processes are the same under both; asyncio sometimes reads from a Unix socket for somebody who was cancelled just then."""
    return "trio"


async def test_every_member_takes_writes_and_reads_what_any_has_written(tmp_path: Path):
    async with barn_group(tmp_path) as group:
        for writer in group.members:
            async with group.client(writer) as barn:
                await barn.put(f"/{writer}", writer)
            for reader in group.members:
                async with group.client(reader) as barn:
                    found = await barn.get(f"/{writer}", int)
                    assert found is not None
                    assert found.value == writer
        revision = (await group.status(1)).revision
        await group.equal(revision)
        assert [group.stop(member) for member in group.members] == [0, 0, 0]


async def test_after_kill_9_of_the_leader_the_others_go_on_and_nothing_acknowledged_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    async with barn_group(tmp_path) as group:
        acknowledged: dict[str, int] = {}
        failovers_s: list[float] = []

        async def write(barn: BarnClient, writer: int) -> None:
            number = 0
            while True:  # ends by being cancelled
                key = f"/t/{writer}/{number:06}"
                acknowledged[key] = await barn.put(key, number)
                number += 1

        async def kill_leaders() -> None:
            for _ in range(3):
                lead = await group.leader()
                group.kill(lead)
                began_s = time.monotonic()
                async with group.client(*(set(group.members) - {lead})) as other:
                    await other.put("/after", lead)
                failovers_s.append(time.monotonic() - began_s)
                group.start(lead)
                await group.ready()

        async with group.client(within_s=WAIT_S) as barn, anyio.create_task_group() as tasks:
            for writer in range(4):
                tasks.start_soon(write, barn, writer)
            await kill_leaders()
            tasks.cancel_scope.cancel()
        async with group.client() as barn:
            listed = await barn.range("/t/", int)
        found = {item.key: item.revision for item in listed.items}
        assert {key: found.get(key) for key in acknowledged} == acknowledged
        await group.equal(listed.revision)
        with capsys.disabled():
            told = ", ".join(f"{one:.2f} s" for one in failovers_s)
            print(f" [fail-over: {told}]", end="")  # noqa: T201 - a figure for whoever runs it


async def test_a_leader_that_was_frozen_serves_no_stale_read_when_it_wakes_up(tmp_path: Path):
    async with barn_group(tmp_path) as group:
        for turn in range(3):
            lead = await group.leader()
            async with group.connect(lead) as old:
                await BarnClient(old).put("/a", turn)
                group.freeze(lead)
                async with group.client(*(set(group.members) - {lead})) as barn:
                    revision = await barn.put("/a", turn + 100)
                answers: list[object] = []

                async def read(old: object, answers: list[object] = answers) -> None:
                    answers.append(await old.ask(Read((one_key("/a"),)), within=WAIT_S))

                async with anyio.create_task_group() as tasks:
                    for _ in range(20):  # they wait in the socket until it wakes up
                        tasks.start_soon(read, old)
                    await anyio.sleep(0.1)
                    group.thaw(lead)
                for pages in answers:
                    assert pages.pages[0].items[0].mod_revision == revision, pages
        await group.equal(revision)


async def test_members_restarted_one_after_the_other_under_load_lose_nothing_and_take_every_write(
    tmp_path: Path,
):
    async with barn_group(tmp_path) as group:
        written = 0

        async def write(barn: BarnClient, writer: int) -> None:
            nonlocal written
            while True:  # ends by being cancelled
                revision = await barn.put(f"/{writer}", written)
                with suppress(Unavailable):  # a read of a member that stops is not answered
                    found = await barn.get(f"/{writer}", int)
                    assert found is not None
                    assert found.revision == revision
                written += 1

        async with group.client(within_s=WAIT_S) as barn, anyio.create_task_group() as tasks:
            for writer in range(8):
                tasks.start_soon(write, barn, writer)
            for member in group.members:
                assert group.stop(member) == 0
                group.start(member)
                await group.ready(member)
                await group.leader()
            tasks.cancel_scope.cancel()
        assert written > 8
        await group.equal((await group.status(1)).revision)


@pytest.mark.parametrize("lead", [1, 3])
async def test_a_member_whose_disk_is_full_holds_nobody_up_and_catches_up_when_there_is_room(
    tmp_path: Path, lead: int
):
    full = 3
    with small_disk(tmp_path / f"m{full}", SMALL_DISK_BYTES) as enlarge:
        async with barn_group(tmp_path) as group, group.client(1, 2) as barn:
            await barn.ask(MoveLeader(lead))
            await until(partial(leads, group, lead), "handing over")
            fill(group.state(full) / "filler")
            for number in range(300):
                await barn.put(f"/{number}", b"x" * 4000)

            async def trouble() -> str:
                return (await group.status(full)).trouble

            assert "no space left" in await until(trouble, "word of the full disk")
            enlarge()
            await group.equal((await group.status(1)).revision)
            assert group.is_alive(full)


async def test_a_full_leader_refuses_writes_before_anything_happened_and_takes_them_again(
    tmp_path: Path,
):
    with small_disk(tmp_path / "m1", SMALL_DISK_BYTES) as enlarge:
        async with (
            barn_group(tmp_path) as group,
            group.client(1, within_s=5.0) as barn,
            group.client(within_s=WAIT_S) as others,
        ):
            await barn.ask(MoveLeader(1))
            await until(partial(leads, group, 1), "handing over")
            fill(group.state(1) / "filler")
            number = 0
            with pytest.raises(Unavailable, match="no space left"):  # noqa: PT012 - which one it is is open
                while True:
                    number += 1
                    await barn.put(f"/{number}", b"x" * 8000)
            # Who leads now may have written what does not fit there: it sends readers on to the others.
            assert await others.get(f"/{number}", bytes) is None
            assert await others.get(f"/{number - 1}", bytes) is not None
            enlarge()
            revision = await until(partial(barn.put, "/after", b"x" * 8000), "room")
            await group.equal(revision)


async def leads(group: BarnGroup, member: int) -> bool:
    return await group.leader() == member


async def test_a_member_whose_folder_was_lost_ends_and_another_one_takes_its_place_by_a_snapshot(
    tmp_path: Path,
):
    async with barn_group(tmp_path) as group:
        lead = await group.leader()
        lost, new = lead % 3 + 1, 4
        async with group.client(lead) as barn:
            for number in range(50):
                await barn.put(f"/{number}", b"x" * 10_000)
            group.kill(lost)
            shutil.rmtree(group.state(lost))
            assert group.start(lost, "--join").wait(timeout=WAIT_S) != 0
            assert "log_lost" in group.said(lost)  # it may have voted, and does not know
            admin = MembershipAdmin(barn)
            await admin.remove(lost)
            await admin.add(new, group.place(new))
            group.members = (*(set(group.members) - {lost}), new)
            group.start(new, "--join")
            revision = await barn.put("/after", 1)
            await group.equal(revision)
            assert (await group.status(new)).snapshot_index > 1
            await until(partial(votes, admin, new), "vote of the new member")

            async def vote() -> bool:
                known = [(await group.status(member)).voters for member in group.members]
                return all(new in voters for voters in known)

            # The others count by the old membership until they hear that the new one is committed.
            await until(vote, "word of the new voter")
        group.kill(lead)
        async with group.client(new) as barn:
            await barn.put("/later", 1)


async def test_watches_are_complete_and_without_doubles_across_deaths_of_their_members(
    tmp_path: Path,
):
    async with barn_group(tmp_path) as group:
        seen: dict[int, list[tuple[int, str]]] = {watcher: [] for watcher in range(4)}
        is_over = False

        async def write(barn: BarnClient) -> None:
            number = 0
            while not is_over:
                await barn.put(f"/w/{number % 7}", number)
                number += 1

        async def watch(barn: BarnClient, watcher: int) -> None:
            async with aclosing(barn.watch("/w/", after_revision=0)) as changes:
                async for watched in changes:
                    seen[watcher] += [(one.revision, one.key) for one in watched.changes]
                    if seen[watcher] and seen[watcher][-1][1] == "/w/last":
                        return

        async with group.client(within_s=WAIT_S) as barn, anyio.create_task_group() as watchers:
            for watcher in seen:
                watchers.start_soon(watch, barn, watcher)
            async with anyio.create_task_group() as writers:
                for _ in range(4):
                    writers.start_soon(write, barn)
                for _ in range(2):
                    lead = await group.leader()
                    group.kill(lead)
                    await group.leader(*(set(group.members) - {lead}))
                    group.start(lead)
                    await group.ready(lead)
                is_over = True
            last = await barn.put("/w/last", 0)
        async with group.client() as barn:
            assert seen[0][-1] == (last, "/w/last")
            assert [revision for revision, _ in seen[0]] == sorted({one for one, _ in seen[0]})
            assert len({tuple(told) for told in seen.values()}) == 1
            listed = await barn.range("/w/", object)
            newest = {key: revision for revision, key in seen[0]}
            assert {item.key: item.revision for item in listed.items} == newest
            assert sum(item.version for item in listed.items) == len(seen[0])


async def test_a_peer_without_the_secret_is_refused(tmp_path: Path):
    async with barn_group(tmp_path) as group:
        async with group.connect_tcp(1) as ref:
            assert (await ref.ask(Status(), within=WAIT_S)).member == 1
        for wrong in (b"", b"no such secret at all", group.secret.read_bytes()[:-1]):
            with pytest.raises(Forbidden) as refused:
                async with group.connect_tcp(1, credentials=wrong):
                    pass
            assert refused.value.code == "wrong_secret"


async def test_messages_of_another_cluster_change_nothing(tmp_path: Path):
    async with barn_group(tmp_path) as group:
        before = await group.status(1)
        async with group.connect_tcp(1) as ref:
            for cluster, data in (("other", b""), ("runink", b"\xc1"), ("runink", b"")):
                await ref.tell(PeerMessages(cluster, 2, data))
            assert (await ref.ask(Status(), within=WAIT_S)).term == before.term
        assert group.is_alive(1)
        async with group.client() as barn:
            await barn.put("/a", 1)


async def test_a_member_started_under_another_cluster_name_is_no_member(tmp_path: Path):
    async with barn_group(tmp_path, are_begun=False) as group:
        group.start(1)
        group.start(2)
        group.start(3, "--cluster", "other")
        await group.ready()
        await group.leader(1, 2)
        async with group.client(1, 2) as barn:
            await barn.put("/a", 1)
        assert (await group.status(3)).lead == 0
        async with group.connect(3) as ref:
            with pytest.raises(TimedOut):
                await ref.ask(Read((one_key("/a"),)), within=1.0)


async def test_beyond_loopback_nothing_goes_without_certificates(tmp_path: Path):
    async with barn_group(tmp_path, are_begun=False) as group:
        process = group.start(1, "--address", "1=0.0.0.0:7999")
        assert process.wait(timeout=WAIT_S) != 0
        assert "TLS" in group.said(1)


async def test_with_certificates_members_serve_and_strangers_are_refused(tmp_path: Path):
    async with barn_group(tmp_path, has_tls=True) as group:
        async with group.client() as barn:
            await barn.put("/a", 1)
        assert group.founded is not None
        async with group.connect_tcp(1) as ref:
            assert (await ref.ask(Status(), within=WAIT_S)).revision >= 1
            await ref.tell(PeerMessages("", 2, b""))
            with pytest.raises(Forbidden) as refused:
                await ref.ask(SnapshotChunk("", b""), within=WAIT_S)
            assert refused.value.code == "message_forbidden"
        theirs = stranger("client")[0].identity(group.founded.authority)
        for tls in (Dialled(connecting_from(theirs), CONTROL), None):
            with pytest.raises(LinkLost):
                async with group.connect_tcp(1, tls=tls) as ref:
                    await ref.ask(Status(), within=WAIT_S)
        with pytest.raises(Forbidden) as refused:
            async with group.connect_tcp(1, directory=Directory("member-2")):
                pass
        assert refused.value.code == "other_node"


async def test_a_member_with_another_authoritys_certificate_is_not_let_in(tmp_path: Path):
    async with barn_group(tmp_path, has_tls=True, are_begun=False) as group:
        node, bundle = stranger("member-3")
        identity = node.identity()
        trust = group.state(3) / "trust"
        for name, content in (("authority.pem", bundle), ("certificate.pem", identity.certificate), ("key.pem", identity.key)):  # fmt: skip
            (trust / name).write_bytes(content)
        for member in (1, 2, 3):
            group.start(member)
        await group.ready()
        await group.leader(1, 2)
        async with group.client(1, 2) as barn:
            await barn.put("/a", 1)
        assert (await group.status(3)).applied_index <= 1
        assert (await group.status(3)).lead == 0


def test_a_segment_of_a_servers_log_is_larger_than_the_small_disk():
    assert SERVER_SEGMENT_BYTES > SMALL_DISK_BYTES
