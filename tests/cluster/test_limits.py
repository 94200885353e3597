"""What a pipeline asks for is what its slices get, and what becomes of one that wants more. Each beside a run without the limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from debian import install
from runi_project import Project, Said

SOURCE = '@source("csv://data/x.csv")'
SINK = '@sink("csv://out/y.csv")'
MIB = 1 << 20
QUOTA = 0.2  # of a core
TRIES = 3
LOOK_S = 0.1
IN_WALLS = pytest.mark.parametrize("pipelines", ["cells", "bubblewrap"], indirect=True)

STEPS = """
import os, time

def child(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return pid

def wait():
    time.sleep(60)

@step(each="batch")
def hog(batch):
    def take():
        taken = [bytearray(b"x") * (1 << 20) for _ in range(200)]
    idle = [child(wait) for _ in range(3)]
    os.waitpid(child(take), 0)
    for pid in idle:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return batch

@step(each="batch")
def bomb(batch):
    idle = []
    try:
        for _ in range(100):
            idle.append(child(wait))
    finally:
        for pid in idle:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    return batch

@step(each="batch")
def burn(batch):
    until = time.monotonic() + 3
    while time.monotonic() < until:
        pass
    return batch

@step(each="batch")
def fill(batch):
    with open("/tmp/filled", "wb") as file:
        for _ in range(24):
            file.write(bytes(1 << 20))
    return batch

@step(each="batch")
def greedy(batch):
    # A library that has a limit of its own and says so.
    raise MemoryError

@step(each="stream")
def first(batches):
    held = bytearray(b"x") * (120 << 20)
    for batch in batches:
        yield batch
    until = time.monotonic() + 60
    while not os.path.exists("out/second") and time.monotonic() < until:
        time.sleep(0.02)

@step(each="batch")
def second(batch):
    held = bytearray(b"x") * (120 << 20)
    open("out/second", "w").close()
    return batch
"""


@pytest.fixture
def pipelines(project: Project, request: pytest.FixtureRequest) -> Project:
    install("bubblewrap")
    project.environment["RUNINK_ISOLATION"] = getattr(request, "param", "cells")
    project.write("data/x.csv", "a\n1\n2\n")
    project.step(STEPS)
    return project


def ran(project: Project, name: str, *limits: str) -> Said:
    file = project.pipeline("\n".join([SOURCE, f'@step("{name}")', *limits, SINK]))
    return project.run(file)


def slice_of(project: Project, name: str = "one") -> dict[str, Any]:
    return project.runi("slice", "get", "last", name, "-o", "json").document


@IN_WALLS
def test_all_of_a_slice_dies_when_one_of_its_processes_takes_too_much(pipelines: Project):
    failed = ran(pipelines, "hog", "@requires(memory=100Mi)")
    assert failed.error["code"] == "out_of_memory"
    assert "used 100 MiB of 100 MiB, limit from @requires in line 6" in failed.error["text"]
    assert pipelines.processes() == []
    found = slice_of(pipelines)
    assert (found["exit"]["cause"], found["attempt"]) == ("oom", 1)
    assert found["exit"]["oom_kills"] >= 1
    assert found["exit"]["memory_bytes_max"] == pytest.approx(100 * MIB, rel=0.01)
    assert ran(pipelines, "hog").code == 0
    assert slice_of(pipelines)["exit"]["memory_bytes_max"] > 200 * MIB


@IN_WALLS
def test_a_fork_bomb_ends_at_its_limit_and_is_told(pipelines: Project):
    failed = ran(pipelines, "bomb", "@requires(processes=64)")
    assert failed.error["code"] == "step_raised"
    assert "BlockingIOError" in failed.error["text"]
    (told,) = failed.error["limits"]
    assert told.endswith("64 at most, limit from @requires in line 6")
    found = slice_of(pipelines)
    assert found["exit"]["processes_refused"] >= 1
    assert ran(pipelines, "bomb").code == 0
    assert slice_of(pipelines)["exit"]["processes_refused"] == 0


def test_a_fifth_of_a_core_is_a_fifth_of_the_time(pipelines: Project):
    assert ran(pipelines, "burn", "@requires(cpu=200m)").code == 0
    held = slice_of(pipelines)
    assert share_of(held) <= 1.1 * QUOTA
    # It has had its fifth of each period in which it was held; in others there was less for it on a busy machine.
    throttled_s = held["exit"]["throttled_s"]
    assert held["exit"]["cpu_s"] >= 0.9 * throttled_s * QUOTA / (1 - QUOTA) > 0
    (told,) = held["limits_met"]
    assert told.endswith("for its 0.2 of a core, limit from @requires in line 6")

    def free() -> float:
        assert ran(pipelines, "burn").code == 0
        found = slice_of(pipelines)
        assert found["exit"]["throttled_s"] == 0
        return share_of(found)

    check_room(free, 2.2 * QUOTA)


def share_of(*slices: dict[str, Any]) -> float:
    """Return how much of a core slices have used together, while they ran."""
    exits = [one["exit"] for one in slices]
    return sum(one["cpu_s"] for one in exits) / max(one["wall_s"] for one in exits)


def check_room(share: Callable[[], float], wanted: float) -> None:
    """Check that slices have as much of a core as is wanted, if there is so much: where others use it nobody can say."""
    for _ in range(TRIES):
        was_free = has_a_core()
        found = share()
        if found > wanted:
            return
        assert not (was_free and has_a_core()), f"{found} of a core, and there was more"


def has_a_core() -> bool:
    """Say whether a process that wants a core has it, more or less."""
    began_s, used_s = time.monotonic(), time.thread_time()
    while time.monotonic() < began_s + LOOK_S:
        pass
    return time.thread_time() - used_s > 0.7 * LOOK_S


def test_a_slice_that_runs_out_of_time_says_how_much_of_it_it_waited(pipelines: Project):
    file = pipelines.pipeline(f'{SOURCE}\n@step("burn")\n@requires(cpu=100m)\n{SINK}')
    failed = pipelines.run(file, "--timeout", "2s")
    assert failed.error["code"] == "wall_time"
    (told,) = failed.error["limits"]
    assert told.endswith("for its 0.1 of a core, limit from @requires in line 6")


@IN_WALLS
def test_a_full_tmp_is_told_with_its_size(pipelines: Project):
    failed = ran(pipelines, "fill", "@requires(disk=16Mi)")
    assert failed.error["code"] == "scratch_full"
    assert failed.error["limits"] == ["its /tmp holds 16 MiB, limit from @requires in line 6"]
    assert "disk=" in failed.error["hint"]
    assert ran(pipelines, "fill").code == 0


def test_what_a_library_says_of_memory_is_told_with_the_limit(pipelines: Project):
    failed = ran(pipelines, "greedy", "@requires(memory=300Mi)")
    assert failed.error["code"] == "out_of_memory"
    (told,) = failed.error["limits"]
    assert told.endswith("of 300 MiB, limit from @requires in line 6")
    assert slice_of(pipelines)["attempt"] == 1  # there would be no more the next time
    assert "without a limit" in ran(pipelines, "greedy").error["limits"][0]


SORTED = (
    "SELECT count(h) AS n FROM (SELECT h, row_number() OVER (ORDER BY h) AS k FROM"
    " (SELECT hash(r) AS h FROM input, range(4000000) t(r))) WHERE k % 2 = 0"
)


def test_a_query_spills_before_it_is_ended(pipelines: Project):
    for limits in ((), ("@requires(memory=128Mi)",)):
        body = "\n".join([SOURCE, f'@step(sql="{SORTED}")', *limits, SINK])
        assert pipelines.run(pipelines.pipeline(body)).code == 0
        assert pipelines.read("out/y.csv").splitlines() == ["n", "4000000"]
        peak = slice_of(pipelines)["exit"]["memory_bytes_max"]
        assert (peak > 140 * MIB) == (not limits)  # it would take more if it might


TWO = f"""{SOURCE}
@step("first")
@requires(processes=100)
@sink("csv://out/first.csv")
@step("second")
@requires(processes=101)
@sink("csv://out/second.csv")
"""


@IN_WALLS
def test_the_slices_of_a_herd_share_its_memory(pipelines: Project):
    pipelines.write("herds/small.toml", '[herd]\nid = "small"\n[quotas]\nmemory = "200Mi"\n')
    pipelines.write("herds/large.toml", '[herd]\nid = "large"\n')
    failed = pipelines.run(pipelines.pipeline(TWO, herd="small"))
    assert failed.error["code"] == "out_of_memory"
    assert "herd small was at its 200 MiB on the node" in failed.error["text"]
    assert pipelines.processes() == []
    listed = pipelines.runi("slice", "list", "last", "-o", "json").document
    found = [slice_of(pipelines, one["slice"]) for one in listed]
    assert {one["herd_limits"]["memory_bytes"] for one in found} == {200 * MIB}
    assert pipelines.run(pipelines.pipeline(TWO, herd="large")).code == 0


BOTH = f"""{SOURCE}
@step("burn")
@sink("csv://out/first.csv")

  Scenario: two
{SOURCE}
@step("burn")
@sink("csv://out/second.csv")
"""


def test_the_slices_of_a_herd_share_its_cores(pipelines: Project):
    def share(herd: str) -> float:
        assert pipelines.run(pipelines.pipeline(BOTH, herd=herd)).code == 0
        return share_of(*(slice_of(pipelines, name) for name in ("one", "two")))

    pipelines.write("herds/small.toml", '[herd]\nid = "small"\n[quotas]\ncpu = "200m"\n')
    pipelines.write("herds/large.toml", '[herd]\nid = "large"\n')
    assert share("small") <= 1.15 * QUOTA
    check_room(partial(share, "large"), 1.7 * QUOTA)


def test_a_herds_limits_are_those_of_its_file_at_each_run(pipelines: Project):
    file = pipelines.pipeline(f'{SOURCE}\n@step("hog")\n{SINK}', herd="grows")
    with pipelines.up():
        for memory, code in [("150Mi", 1), ("1Gi", 0)]:
            quotas = f'[quotas]\nmemory = "{memory}"\n'
            pipelines.write("herds/grows.toml", f'[herd]\nid = "grows"\n{quotas}')
            assert pipelines.run(file).code == code
