"""Slices of a real spawner: what they are given, what they see, and how their end is told."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import anyio
import pytest
from runink.errors import Conflict, Refused
from runink.sandbox.protocol import DATA_DESCRIPTORS_MAX, UNCOUNTED
from sandbox_world import (
    IN_EACH,
    IN_FORKED,
    OF_ONE,
    WHERE_SIGNALS_END,
    Way,
    all_of,
    code_in,
    is_alive,
    line_of,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
TREE = 4  # processes of the job `tree`, its own included; a cell has its first process besides
AT_ONCE, TURNS = 8, 8
NAPS = 300  # more than a slice that does nothing gives up its core


@IN_EACH
async def test_what_the_entry_returns_is_the_exit_code(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        for job, code in [("nothing", 0), ("exit 7", 7), ("exit 255", 255), ("leave", 1)]:
            exited, stdout, stderr = await world.ran(job)
            assert (exited.cause, exited.code, exited.signal, stdout) == ("exited", code, 0, "")
            assert (exited.attempt, exited.survivors) == (1, 0)
            assert exited.memory_bytes_max > 1 << 16
            assert exited.wall_s >= 0
            world.heard.clear()
        exited, _, stderr = await world.ran("leave it is said")
        assert (exited.code, stderr) == (1, "it is said\n")


@IN_EACH
async def test_an_exception_is_a_traceback_on_stderr_and_code_70(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        exited, stdout, stderr = await world.ran("fail on purpose")
    assert (exited.cause, exited.code) == ("exited", 70)
    assert stdout == ""
    assert stderr.startswith("Traceback")
    assert "raise ValueError(argument)" in stderr
    assert stderr.endswith("ValueError: on purpose\n")


@IN_EACH
async def test_the_end_of_each_of_many_that_are_launched_and_end_at_once_is_told(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        codes = []

        async def run(number: int) -> None:
            for turn in range(TURNS):
                exited, _, _ = await world.ran("exit 7", f"slice-{number}-{turn}")
                codes.append(exited.code)

        async with anyio.create_task_group() as group:
            for number in range(AT_ONCE):
                group.start_soon(run, number)
        assert codes == [7] * (AT_ONCE * TURNS)


@WHERE_SIGNALS_END
async def test_a_signal_that_ends_a_slice_is_told(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        exited, _, _ = await world.ran(f"end_itself {signal.SIGSEGV:d}")
        assert (exited.cause, exited.code, exited.signal) == ("signalled", -1, signal.SIGSEGV)
        launched = await world.launch("wait", "other")
        assert await line_of(launched.stdout) == "waiting"
        assert await world.spawner.signal("other", signal.SIGTERM)
        exited = await world.exited("other")
        assert (exited.cause, exited.signal) == ("signalled", signal.SIGTERM)
        assert not await world.spawner.signal("other", signal.SIGTERM)
        assert not await world.spawner.signal("nobody", signal.SIGTERM)
        launched.close()


@IN_EACH
async def test_output_is_kept_whole_and_apart(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        _, stdout, stderr = await world.ran("print")
    assert stdout == "to stdout\nwithout a line's end"
    assert stderr == "to stderr: \\udcff\n"


@IN_EACH
async def test_the_job_may_be_of_any_size(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        _, stdout, _ = await world.ran("size " + "x" * (20 << 20))
    assert stdout == f"{20 << 20}\n"


@IN_EACH
async def test_a_slice_has_its_descriptors_and_no_others(tmp_path, way):
    pipes = [os.pipe() for _ in range(3)]
    handed = [end for pipe in pipes for end in pipe]
    targets = [os.readlink(f"/proc/self/fd/{end}") for end in handed]  # noqa: PTH115 - of no file
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        async with world_in(tmp_path, way=way) as world:
            kept = await world.launch("wait", "before")
            _, stdout, _ = await world.ran("about", descriptors=handed)
            kept.close()
        about = json.loads(stdout)
        found = {int(number): target for number, target in about["descriptors"].items()}
        assert sorted(found) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        assert found[0] == "/dev/null"
        assert about["stdin"] == ""
        assert about["given"] == [3, 4, 5, 6, 7, 8, 9]
        assert about["inheritable"] == [0, 1, 2]
        assert found[1].startswith("pipe:")
        assert found[2].startswith("pipe:")
        assert found[3].startswith("socket:")
        assert [found[4 + number] for number in range(6)] == targets
    finally:
        for descriptor in [*handed, secret]:
            os.close(descriptor)


@IN_EACH
async def test_a_program_that_a_slice_starts_has_the_standard_three_only(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        exited, stdout, _ = await world.ran("started_program")
    assert exited.code == 0
    assert stdout.split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


@IN_EACH
async def test_a_slice_has_the_environment_of_its_launch_and_a_few_names_of_ours(
    tmp_path, monkeypatch, way
):
    monkeypatch.setenv("RUNINK_TEST_SECRET", "x")
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("LANG", "C.UTF-8")
    for name in ("LC_ALL", "LC_CTYPE", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    async with world_in(tmp_path, way=way) as world:
        _, stdout, _ = await world.ran("about", environment={"A": "b=c\n", "EMPTY": ""})
    ours = {"PATH": os.environ["PATH"], "TZ": "Europe/Berlin", "LANG": "C.UTF-8"}
    assert json.loads(stdout)["environment"] == {"A": "b=c\n", "EMPTY": ""} | ours


@IN_EACH
async def test_a_slice_begins_as_a_fresh_process_does(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        _, stdout, _ = await world.ran("about", cwd=str(tmp_path))
    about = json.loads(stdout)
    assert about["cwd"] == str(tmp_path)
    assert about["session"]
    assert about["name"] == "runi-slice"
    assert int(about["blocked"], 16) == 0
    assert int(about["caught"], 16) == 0
    pipe_and_file_size = (1 << signal.SIGPIPE - 1) | (1 << signal.SIGXFSZ - 1)
    named = (1 << 31) - 1  # the two above are the C library's own
    assert int(about["ignored"], 16) & named == pipe_and_file_size  # as Python itself starts
    assert not {"pyarrow", "polars", "msgspec", "anyio", "asyncio", "argparse"} & {
        *about["modules"]
    }


@IN_EACH
async def test_data_goes_from_slice_to_slice_without_the_agent(tmp_path, way):
    first, second, third = os.pipe(), os.pipe(), os.pipe()
    async with world_in(tmp_path, way=way) as world:
        one = await world.launch("copy", "one", descriptors=[first[0], second[1]])
        two = await world.launch("copy", "two", descriptors=[second[0], third[1]])
        for descriptor in (first[0], *second, third[1]):
            os.close(descriptor)
        os.write(first[1], b"through two slices")
        os.close(first[1])
        assert await all_of(third[0]) == "through two slices"
        os.close(third[0])
        assert (await world.exited("one")).code == (await world.exited("two")).code == 0
        one.close()
        two.close()


@IN_EACH
async def test_agent_and_slice_talk_over_the_control_socket(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        launched = await world.launch("echo")
        launched.control.send(b"hello\n")
        await anyio.wait_readable(launched.control)
        assert launched.control.recv(100) == b"hello\n"
        await world.exited("slice")
        launched.close()


@IN_EACH
async def test_garbage_on_the_control_socket_is_not_the_spawners_business(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        exited, stdout, _ = await world.ran("shout")
        assert (exited.code, stdout) == (0, "shouted\n")
        assert (await world.ran("exit 3", "next"))[0].code == 3


@IN_EACH
async def test_a_slice_that_floods_its_output_waits_for_a_reader_and_holds_up_nobody(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        flood = await world.launch(f"flood {8 << 20}", "flood")
        for number in range(5):
            assert (await world.ran("nothing", f"other/{number}"))[0].code == 0
        assert [it.slice for it in await taken(world)] == ["flood"]
        assert len(await all_of(flood.stdout)) == (8 << 20) // 100 * 100
        assert (await world.exited("flood")).code == 0
        flood.close()


async def taken(world):
    """Return the slices that the spawner lists, with the descriptors closed."""
    listed = await world.spawner.list()
    for launched in listed:
        launched.close()
    return listed


@IN_EACH
async def test_killing_takes_every_descendant_and_is_told_only_then(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        other = await world.launch("tree", "other")
        assert await line_of(other.stdout) == "grown"
        others = tree_of(other.pid)
        launched = await world.launch("tree")
        assert await line_of(launched.stdout) == "grown"
        pids = tree_of(launched.pid)
        assert len(pids) == len(others) == TREE + (way not in OF_ONE)
        assert await world.spawner.kill("slice")
        exited = await world.exited("slice")
        assert (exited.cause, exited.signal, exited.survivors) == ("killed", signal.SIGKILL, 0)
        assert not any(map(is_alive, pids))
        assert all(map(is_alive, others))
        assert await world.spawner.kill("slice"), "repeating it does no harm"
        launched.close()
        other.close()
    assert not any(map(is_alive, others))


@IN_EACH
async def test_what_an_ended_slice_left_behind_is_ended_too(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        launched = await world.launch("tree")
        assert await line_of(launched.stdout) == "grown"
        pids = tree_of(launched.pid)
        launched.control.send(b"x")
        exited = await world.exited("slice")
        assert (exited.cause, exited.code) == ("exited", 0)
        assert not any(map(is_alive, pids))
        launched.close()


@IN_EACH
async def test_context_switches_are_counted_with_those_of_what_the_slice_waited_for(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        few, _, _ = await world.ran("nap 0", "few")
        many, _, _ = await world.ran(f"nap {NAPS}", "many")
        assert 0 <= few.voluntary_switches < NAPS
        assert many.voluntary_switches >= 2 * NAPS, "its own, and its child's"
        assert min(few.involuntary_switches, many.involuntary_switches) >= 0


async def test_nobody_counts_context_switches_of_a_cell_that_was_ended_by_force(tmp_path):
    async with world_in(tmp_path) as world:
        launched = await world.launch("wait")
        assert await line_of(launched.stdout) == "waiting"
        await world.spawner.kill("slice")
        exited = await world.exited("slice")
        assert (exited.voluntary_switches, exited.involuntary_switches) == (UNCOUNTED, UNCOUNTED)
        launched.close()


@IN_EACH
async def test_a_slice_that_ignores_sigterm_is_ended_by_kill(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        launched = await world.launch("ignore_term")
        assert await line_of(launched.stdout) == "waiting"
        assert await world.spawner.signal("slice", signal.SIGTERM)
        assert is_alive(launched.pid)
        await world.spawner.kill("slice")
        assert (await world.exited("slice")).signal == signal.SIGKILL
        launched.close()


async def test_a_folder_that_is_not_there_refuses_a_plain_launch_and_leaves_nothing(tmp_path):
    async with world_in(tmp_path, way=Way.PLAIN) as world:
        with pytest.raises(Refused) as refused:
            await world.launch("nothing", cwd=str(tmp_path / "missing"))
        assert refused.value.code == "slice_not_prepared"
        assert "missing" in refused.value.text
        assert await world.spawner.list() == []
        assert (await world.ran("nothing"))[0].code == 0


@IN_EACH
async def test_a_name_is_free_again_when_it_was_released(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        launched = await world.launch("wait")
        with pytest.raises(Conflict) as conflict:
            await world.launch("nothing")
        assert conflict.value.code == "slice_exists"
        await world.spawner.kill("slice")
        await world.exited("slice")
        with pytest.raises(Conflict):
            await world.launch("nothing")
        assert await world.spawner.release("slice")
        assert not await world.spawner.release("slice")
        world.heard.clear()
        assert (await world.ran("nothing"))[0].code == 0
        launched.close()


@IN_EACH
async def test_released_before_its_end_a_slice_is_forgotten_at_its_end(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        launched = await world.launch("wait")
        assert await world.spawner.release("slice")
        assert len(await taken(world)) == 1
        await world.spawner.kill("slice")
        await world.exited("slice")
        assert await world.spawner.list() == []
        launched.close()


@IN_EACH
async def test_as_many_pipes_as_allowed_arrive_and_one_more_is_refused(tmp_path, way):
    ours, theirs = socket.socketpair()
    async with world_in(tmp_path, way=way) as world:
        with ours, theirs:
            many = [theirs.fileno()] * DATA_DESCRIPTORS_MAX
            _, stdout, _ = await world.ran("about", descriptors=many)
            assert len(json.loads(stdout)["given"]) == 1 + DATA_DESCRIPTORS_MAX
            with pytest.raises(Refused) as refused:
                await world.launch("nothing", descriptors=[*many, theirs.fileno()])
            assert refused.value.code == "descriptor_count"


@IN_FORKED
async def test_slices_draw_different_random_numbers(tmp_path, way):
    code = code_in(tmp_path)
    numpy = code / "numpy"
    numpy.mkdir()
    (numpy / "__init__.py").touch()
    # What matters of numpy's: a generator that was seeded when it was imported, and can be seeded anew.
    (numpy / "random.py").write_text(
        "from random import Random\n_own = Random()\nrandom, seed = _own.random, _own.seed\n"
    )
    path = (Path(__file__).parent, code)
    async with world_in(tmp_path, way=way, preload=("random", "numpy.random"), path=path) as world:
        drawn = [json.loads((await world.ran("random", f"{n}"))[1]) for n in range(3)]
    assert len({number for numbers in drawn for number in numbers}) == 6
