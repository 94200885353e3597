"""What a real spawner refuses, and that nothing it is sent costs it a slice, a descriptor or its life."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from leak_world import cells_of, told_of_ends
from runink.errors import Overloaded, Refused
from runink.sandbox import door
from runink.sandbox.arguments import INTERPRETER_OPTIONS
from runink.sandbox.cgroup_spares import OPEN_MAX, serving_max
from runink.sandbox.client import ForkServerLost, ForkServerReady, SliceWanted
from runink.sandbox.codec import MESSAGE_BYTES_MAX
from runink.sandbox.desk import KEPT_FREE, KEPT_PER_SLICE
from runink.sandbox.kernel import address_of, sealed
from runink.sandbox.packets import WAITING_PACKETS_MAX, close_all, receive
from runink.sandbox.protocol import VERSION
from runink.sandbox.starting import running_spawner
from sandbox_world import (
    IN_EACH,
    IN_FORKED,
    WAIT_S,
    Way,
    code_in,
    descriptors_of,
    kinds_of,
    line_of,
    place_in,
    shown,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio

HELLO = {"kind": "hello", "version": VERSION, "agent": "stranger"}
LAUNCH = {"kind": "launch"} | SliceWanted("s", 1, "herd", b"", "/").message()._asdict()


class Stranger:
    """Writes packets of its own making."""

    def __init__(self, folder):
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(WAIT_S)
        with address_of(str(place_in(folder).socket)) as address:
            self.link.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()

    def say(self, message, descriptors=(), **fields):
        """Send a message and return the answer: its kind, or the code of the refusal; "" at the end."""
        if isinstance(message, dict):
            envelope = {"request": 1, "descriptors": len(descriptors)}
            message = json.dumps(envelope | message | fields).encode()
        socket.send_fds(self.link, [message], descriptors)
        return self.heard()

    def heard(self):
        while (packet := receive(self.link)) is not None:
            close_all(packet.descriptors)
            answer = json.loads(packet.body)
            if answer["kind"] != "fork_server_ready":  # that comes when it comes, unasked
                return answer.get("code") or answer["kind"]
        return ""


NOT_MESSAGES = {
    "not JSON": b"hello",
    "not UTF-8": b"\xff\xfe{}",
    "no object": b"[]",
    "nothing in it": b"{}",
    "too nested": b"[" * 50_000,
    "a key twice": b'{"kind":"list","request":1,"request":2,"descriptors":0}',
    "not a number": b'{"kind":"list","request":NaN,"descriptors":0}',
    "no such kind": b'{"kind":"exec","request":1,"descriptors":0}',
    "a field too many": b'{"kind":"list","request":1,"descriptors":0,"also":1}',
    "a field missing": b'{"kind":"kill","request":1,"descriptors":0}',
    "request 0": b'{"kind":"list","request":0,"descriptors":0}',
    "a truth for a number": b'{"kind":"list","request":true,"descriptors":0}',
    "descriptors that did not come": b'{"kind":"list","request":1,"descriptors":3}',
    "larger than a packet": b" " * (MESSAGE_BYTES_MAX + 1),
}


@pytest.mark.parametrize("message", NOT_MESSAGES.values(), ids=NOT_MESSAGES.keys())
async def test_what_is_no_message_is_refused_and_its_sender_shown_out(tmp_path, message):
    async with world_in(tmp_path) as world:
        launched = await world.launch("wait")
        with Stranger(tmp_path) as stranger:
            assert stranger.say(message) in ("invalid_message", "too_big", "descriptor_count")
            assert stranger.heard() == ""
        assert (await world.ran("nothing", "next"))[0].code == 0
        launched.close()


async def test_before_hello_nothing_is_done(tmp_path):
    async with world_in(tmp_path) as world:
        launched = await world.launch("wait")
        for message in ({"kind": "shutdown"}, {"kind": "kill", "slice": "slice"}, {"kind": "list"}):
            with Stranger(tmp_path) as stranger:
                assert stranger.say(message) == "hello_first"
                assert stranger.heard() == ""
        with Stranger(tmp_path) as stranger:
            assert stranger.say(HELLO, version=VERSION + 1) == "version"
            assert stranger.heard() == ""
        (listed,) = await world.spawner.list()
        listed.close()
        launched.close()


async def test_the_agents_own_mistakes_are_answered_and_cost_it_nothing(tmp_path):
    job = sealed(b"nothing")
    loose = os.memfd_create("loose")
    pipe = os.pipe()
    async with running_spawner(place_in(tmp_path), agent="test") as spawner:
        with Stranger(tmp_path) as agent:
            assert agent.say(HELLO) == "welcome"
            refused = [
                agent.say(LAUNCH),
                agent.say(LAUNCH, [loose]),
                agent.say(LAUNCH, [pipe[0]]),
                agent.say(LAUNCH, [job], cwd="relative"),
                agent.say(LAUNCH, [job], environment={"A=B": "c"}),
                agent.say(LAUNCH, [job], environment={"A": "\0"}),
                agent.say(LAUNCH, [job], environment={"A": 1}),
                agent.say(LAUNCH, [job], slice=""),
                agent.say(LAUNCH, [job], slice="\udcff"),
                agent.say(LAUNCH, [job], wall_time_s=-1),
                agent.say(LAUNCH, [job], memory_bytes=-1),
                agent.say(LAUNCH, [job], herd=""),
                agent.say(LAUNCH, [job], pipes=1),
                agent.say(LAUNCH, [job], binds=[["/", "ro"]]),
                agent.say(LAUNCH, [job, pipe[0]], binds=[["/", "all"]]),
                agent.say(LAUNCH, [job, pipe[0]], binds=[["/../", "ro"]]),
                agent.say(LAUNCH, [job], network="herd"),
                agent.say(LAUNCH | {"descriptors": 2}, [job]),
                agent.say(LAUNCH, [job] * 242),
                agent.say({"kind": "kill", "slice": "s"}),
                agent.say({"kind": "signal", "slice": "s", "signal": 9}),
                agent.say({"kind": "signal", "slice": "s", "signal": 65}),
                agent.say({"kind": "release", "slice": "s"}),
                agent.say({"kind": "preload", "modules": ["os"]}),
                agent.say({"kind": "preload", "modules": ["polars; x"]}),
                agent.say({"kind": "list"}, [job]),
            ]
            assert refused == [
                "descriptor_count",
                "job_not_sealed",
                "job_not_sealed",
                "invalid_message",
                "invalid_message",
                "invalid_message",
                "invalid_message",
                "invalid_message",
                "invalid_message",
                "invalid_message",
                "invalid_message",
                "invalid_message",
                "descriptor_count",
                "descriptor_count",
                "invalid_message",
                "invalid_message",
                "network_unavailable",
                "descriptor_count",
                "descriptor_count",
                "no_slice",
                "no_slice",
                "invalid_message",
                "no_slice",
                "not_preloadable",
                "not_preloadable",
                "descriptor_count",
            ]
            # What it has been told of the fork server meanwhile may come before the answer.
            told = {agent.say(LAUNCH, [job])}
            while "launched" not in told:
                told.add(agent.heard())
        await spawner.wait_ended()
    close_all([job, loose, *pipe])
    async with world_in(tmp_path) as world:
        (listed,) = await world.spawner.list()
        assert listed.slice == "s"
        listed.close()
        assert (await world.ran("nothing"))[0].code == 0


async def test_strangers_are_few_and_make_room_for_an_agent(tmp_path):
    async with world_in(tmp_path) as world:
        strangers = [Stranger(tmp_path) for _ in range(door.STRANGERS_MAX)]
        assert await world.spawner.list() == []
        with Stranger(tmp_path) as one_more:
            assert one_more.heard() == ""
        strangers.pop().link.close()
        assert await world.spawner.list() == []
        with Stranger(tmp_path) as newcomer:
            assert newcomer.say({"kind": "list"}) == "hello_first"
        for stranger in strangers:
            stranger.link.close()


async def test_an_agent_that_stops_reading_is_parted_from(tmp_path):
    async with running_spawner(place_in(tmp_path), agent="test") as spawner:
        with Stranger(tmp_path) as agent:
            assert agent.say(HELLO) == "welcome"
            await spawner.wait_ended()
            asking = json.dumps({"kind": "list", "request": 1, "descriptors": 0}).encode()
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                all(agent.link.send(asking) for _ in range(10 * WAITING_PACKETS_MAX))
    async with world_in(tmp_path) as world:
        assert (await world.ran("nothing"))[0].code == 0


def left_by(world, servers, folder):
    """Return what launches could leave behind: descriptors of each process, by kind, its children, mounts, files."""
    processes = (world.spawner.pid, *servers, os.getpid())
    return {
        "descriptors": [kinds_of(pid) for pid in processes],
        "processes": [tree_of(pid) for pid in processes],
        "mounts": [Path(f"/proc/{pid}/mountinfo").read_text().splitlines() for pid in processes],
        "files": sorted(path.name for path in (folder / "spawner").iterdir()),
    }


async def without_cgroups(world, folder):
    """Wait until no cgroup of a cell is there any more: for a moment it could have served again."""
    with anyio.fail_after(WAIT_S):
        while cells_of(place_in(folder)):
            await world.spawner.list()


@IN_EACH
async def test_two_hundred_launches_leave_nothing_behind(tmp_path, way):
    pipe = os.pipe()
    async with world_in(tmp_path, way=way) as world:
        servers = [] if way is Way.BUBBLEWRAP else [await world.fork_server()]
        with shown(tmp_path, is_writable=True) as binds:
            given = {"descriptors": pipe, "binds": binds}
            await world.ran("nothing", "first", **given)
            await without_cgroups(world, tmp_path)
            await told_of_ends(world)
            before = left_by(world, servers, tmp_path)

            async def run(number):
                launched = await world.launch("nothing", str(number), **given)
                launched.close()
                await world.exited(str(number))
                assert await world.spawner.release(str(number))

            for batch in range(4):
                async with anyio.create_task_group() as group:
                    for number in range(50):
                        group.start_soon(run, batch * 50 + number)
            assert await world.spawner.list() == []
            await without_cgroups(world, tmp_path)
            with anyio.move_on_after(WAIT_S):  # what is under way yet ends
                while left_by(world, servers, tmp_path) != before:
                    await world.spawner.list()
            after = left_by(world, servers, tmp_path)
        assert after == before
        kept = ["log", "socket"] if way is Way.PLAIN else ["log", "socket", "socket.root"]
        assert after["files"] == kept
        assert after["processes"][0] == [world.spawner.pid, *servers]
    close_all(pipe)


@IN_FORKED
async def test_preloaded_modules_are_there_in_slices_and_after_a_restart(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        first = await world.fork_server()
        assert "pyarrow" not in json.loads((await world.ran("about", "0"))[1])["modules"]
        await world.spawner.preload(["pyarrow", "pyarrow.compute", "duckdb.not_there"])
        ready = await world.event(ForkServerReady, 1)
        assert ready.modules == ["pyarrow", "pyarrow.compute"]
        assert ready.failed == ["duckdb.not_there"]
        assert "pyarrow.compute" in json.loads((await world.ran("about", "1"))[1])["modules"]
        await world.spawner.preload(["pyarrow"])  # nothing to do, and answered
        os.kill(first, signal.SIGKILL)
        await world.event(ForkServerLost)
        assert "pyarrow.compute" in json.loads((await world.ran("about", "2"))[1])["modules"]
        with pytest.raises(Refused) as refused:
            await world.spawner.preload(["os"])
        assert refused.value.code == "not_preloadable"
        with pytest.raises(Refused) as refused:
            await world.spawner.preload([f"pyarrow.m{number}" for number in range(64)])
        assert refused.value.code == "too_many_modules"


@IN_FORKED
async def test_what_the_entry_imports_starts_no_thread_in_the_fork_server(tmp_path, way):
    entry = "import pyarrow.compute\ndef main(job, control, descriptors): return 6\n"
    code = code_in(tmp_path)
    (code / "arrow_entry.py").write_text(entry)
    async with world_in(tmp_path, way=way, entry="arrow_entry:main", path=(code,)) as world:
        assert (await world.event(ForkServerReady)).threads == 0
        assert (await world.ran("anything"))[0].code == 6


@IN_FORKED
async def test_polars_imported_before_and_first_used_after_the_fork_works_each_time(tmp_path, way):
    """What Polars forbids is a fork after its first use: its threads would be missing in the child."""
    count = 30_000
    async with world_in(tmp_path, way=way, preload=("polars", "pyarrow.compute")) as world:
        ready = await world.event(ForkServerReady)
        assert ready.modules == ["polars", "pyarrow.compute"]
        assert ready.threads <= 1, "polars' cleaner of spilled files at most"
        for batch in range(5):
            names = [f"{batch}/{number}" for number in range(4)]
            launched = [await world.launch(f"query {count}", name) for name in names]
            for name, one in zip(names, launched, strict=True):
                line = await line_of(one.stdout)
                assert json.loads(line) == [sum(range(0, count, 2))] * 2
                assert (await world.exited(name)).code == 0
                one.close()


@IN_FORKED
async def test_more_slices_than_the_spawner_has_descriptors_for_are_refused(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        limit = KEPT_FREE + 2 * KEPT_PER_SLICE
        limit += serving_max(limit) * OPEN_MAX
        resource.prlimit(world.spawner.pid, resource.RLIMIT_NOFILE, (limit, limit))
        kept = [await world.launch("wait", str(number)) for number in range(3)]
        with pytest.raises(Overloaded) as overloaded:
            await world.launch("nothing", "one more")
        assert overloaded.value.code == "too_many_slices"
        for one in kept:
            one.close()


@IN_EACH
async def test_a_slice_costs_the_spawner_no_more_descriptors_than_it_reckons_with(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        kept = [await world.launch("wait", "first", memory_bytes=1 << 28)]
        before = len(descriptors_of(world.spawner.pid))
        for number in range(5):
            kept.append(await world.launch("wait", str(number), memory_bytes=1 << 28))  # noqa: PERF401 - one after the other
        assert len(descriptors_of(world.spawner.pid)) - before <= 5 * KEPT_PER_SLICE
        for one in kept:
            one.close()


def test_the_spawner_loads_nothing_but_a_little_of_the_standard_library():
    """It lives as long as the node, and the fork server hands on to each slice whatever it has loaded."""
    program = "import runink.sandbox.{0}, sys; print(*sys.modules)"
    for module in ("spawner", "fork_server"):
        words = [sys.executable, *INTERPRETER_OPTIONS, "-c", program.format(module)]
        loaded = set(subprocess.check_output(words, text=True).split())
        strangers = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
        # Those that an editable install, or the system's Python, brings in by itself, in whatever program.
        installers = {"__main__", "_virtualenv", "_distutils_hack", "sitecustomize"}
        assert {name for name in strangers if "editable" not in name} - installers == {"runink"}
        dear = {
            "asyncio",
            "argparse",
            "pathlib",
            "subprocess",
            "threading",
            "typing_extensions",
            "logging",
            "inspect",
        }
        assert not dear & loaded


def test_the_client_loads_no_data_library():
    program = "import runink.sandbox.starting, sys; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", program], text=True).split())
    assert not {"pyarrow", "polars", "duckdb", "numpy", "runink.sandbox.fork_server"} & loaded


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--socket is missing"),
        (["--socket"], "pairs"),
        (["--sock", "x"], "pairs"),
        (["--socket", "a", "--socket", "b"], "pairs"),
    ],
)
def test_wrong_options_are_told(words, said):
    command = [sys.executable, *INTERPRETER_OPTIONS, "-m", "runink.sandbox.spawner", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
