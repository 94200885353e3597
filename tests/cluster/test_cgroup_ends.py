"""How groups of the real kernel end: their processes in every way, their directories, what a dead spawner has left; and who may have some at all.

Needs root and nothing beside pytest.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from cgroup_world import (
    ARRANGEMENTS,
    HERE,
    MIB,
    WAIT_S,
    Fork,
    Tell,
    a_base,
    a_name,
    are_gone_soon,
    descriptors,
    forks,
    idle,
    is_empty_soon,
    is_gone,
    stubborn,
    swarm,
    v2_controllers,
)
from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_group import kill_by
from runink.sandbox.cgroup_layout import give_controllers, move_all
from runink.sandbox.cgroup_probe import PROBE, detect_in
from runink.sandbox.cgroups import (
    UNLIMITED,
    Group,
    Join,
    Kill,
    Layout,
    Limits,
    detect,
    leave,
    leftovers,
)

NOBODY = 65534


@pytest.fixture(params=ARRANGEMENTS)
def base(request: pytest.FixtureRequest) -> Iterator[Group]:
    yield from a_base(ARRANGEMENTS[request.param])


@pytest.fixture
def fork() -> Iterator[Fork]:
    yield from forks()


@pytest.mark.parametrize("way", [way for way in Kill if way is not Kill.NONE])
def test_a_tree_that_ignores_sigterm_is_ended_in_every_way(base, fork, way):
    one = base.make_slice("one", Limits(pids=100))
    child = fork(stubborn(20), joins=one)
    pids = child.told()
    assert len(pids) == 21
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    assert not any(map(is_gone, pids))
    has_way = way is not Kill.KERNEL or one.layout.unified is not None
    if not has_way:
        kill_by(way, one.layout)
        assert not any(map(is_gone, pids))
        return
    kill_by(way, one.layout)
    assert is_empty_soon(one)
    assert are_gone_soon(pids)
    assert child.ended() == -signal.SIGKILL


@pytest.mark.parametrize("way", [way for way in Kill if way is not Kill.NONE])
def test_processes_that_fork_and_end_all_the_time_are_ended_too(base, fork, way):
    one = base.make_slice("one", Limits(pids=50))
    child = fork(swarm(5), joins=one)
    child.told()
    assert child.ended() == 0
    assert one.is_populated, "the swarm goes on without the one that began it"
    one.layout = one.layout._replace(kill=way)
    assert one.kill(within_s=WAIT_S)
    assert one.in_force().pids == 50
    assert one.remove()


def test_ending_a_herd_ends_its_slices_and_nobody_else(base, fork):
    herd, other = base.make_herd("herd", UNLIMITED), base.make_herd("other", UNLIMITED)
    ours = [fork(stubborn(2), joins=herd.make_slice(f"s{n}", UNLIMITED)).told() for n in range(3)]
    neighbour = fork(idle, joins=other.make_slice("s0", UNLIMITED)).told()
    assert herd.is_populated
    assert herd.kill(within_s=WAIT_S)
    assert not herd.is_populated
    assert are_gone_soon([pid for pids in ours for pid in pids])
    assert not is_gone(neighbour)


def test_who_does_not_wait_is_told_that_somebody_is_left(base, fork):
    one = base.make_slice("one", UNLIMITED)
    assert one.kill(within_s=0)
    fork(stubborn(30), joins=one).told()
    assert not one.remove(), "a group with processes stays"
    is_done = one.kill(within_s=0)
    assert is_done or one.kill(within_s=WAIT_S)
    assert one.remove()


def test_a_process_is_born_into_its_group(base, fork):
    one = base.make_slice("one", UNLIMITED)
    if one.layout.join is not Join.CLONE:
        assert one.descriptor == -1
        return
    assert not os.get_inheritable(one.descriptor)
    child = fork(idle, born_in=one)
    child.told()
    assert one.is_populated
    assert one.kill(within_s=WAIT_S)
    assert child.ended() == -signal.SIGKILL
    outsider = fork(idle)
    with pytest.raises(OSError, match="another group"):
        one.join(outsider.pid, is_cloned=True)


def test_a_group_says_what_cannot_be_done_and_where(base, fork):
    one = base.make_slice("one", UNLIMITED)
    child = fork(lambda _: None)
    child.ended()
    if not one.layout.hierarchies:
        return
    with pytest.raises(ProcessLookupError, match=r"/one/cgroup\.procs"):
        one.join(child.pid)
    with pytest.raises(FileExistsError, match="/one"):
        base.make_slice("one", UNLIMITED)
    for name in ("", ".", "..", "a/b", "a.b", "é", "a" * 201):
        with pytest.raises(OSError, match="not a name") as refused:
            base.make_slice(name, UNLIMITED)
        assert refused.value.errno == errno.EINVAL


def test_nothing_is_left_of_a_group_that_could_not_be_made(base):
    before = descriptors()
    for weight in (0, 20_000):  # below and above what v2 takes; v1 takes both
        broken = Limits(cpu_weight=weight, pids=-5)
        with pytest.raises(OSError, match=r"cpu\.weight|pids\.max"):
            base.make_slice("one", broken)
    assert not any(files.exists(f"{here.directory}/one") for here in base.layout.hierarchies)
    assert descriptors() == before


def test_nothing_is_left_of_groups_that_were_used(base, fork):
    before = descriptors()
    for number in range(5):
        herd = base.make_herd("herd", Limits(cpu_m=1000))
        one = herd.make_slice(f"s{number}", Limits(cpu_m=1000, memory_bytes=64 * MIB, pids=20))
        watch = one.watch_oom()
        child = fork(stubborn(3), joins=one)
        child.told()
        assert not herd.remove()
        assert one.kill(within_s=WAIT_S)
        child.end()
        assert one.usage().cpu_user_s is not None
        assert watch is not None
        watch.close()
        assert one.remove()
        assert herd.remove()
        assert not base.groups
    left = [files.children(here.directory) for here in base.layout.hierarchies]
    assert {name for names in left for name in names} <= {PROBE}
    assert descriptors() == before


def test_what_a_killed_spawner_has_left_is_ended_and_removed(base, fork):
    herd = base.make_herd("herd", Limits(memory_bytes=256 * MIB))
    children = [fork(stubborn(2), joins=herd.make_slice(f"s{n}", UNLIMITED)) for n in range(2)]
    pids = [pid for child in children for pid in child.told()]
    kept = base.make_herd("kept", UNLIMITED)
    del base.groups["herd"]
    found = leftovers(base, within_s=WAIT_S)
    assert found.removed == ("herd",)
    assert found.staying == ()
    assert are_gone_soon(pids)
    assert all(files.exists(here.directory) for here in kept.layout.hierarchies)
    assert not any(files.exists(here.directory) for here in herd.layout.hierarchies)
    assert leftovers(base, within_s=WAIT_S).removed == ()


def test_a_second_look_finds_the_same(base):
    name = base.name
    here = [one.up() for one in base.layout.hierarchies]
    base.make_herd("herd", UNLIMITED)
    assert detect_in(here, name) == base.layout._replace(hierarchies=base.layout.hierarchies)


def told_by_nobody(name: str) -> Callable[[Tell], None]:
    def body(tell: Tell) -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        layout = detect(name)
        places = [one.directory for one in layout.hierarchies]
        base = Group(layout)
        herd = base.make_herd("herd", Limits(memory_bytes=64 * MIB, pids=30))
        one = herd.make_slice("one", Limits(cpu_m=100))
        pid = os.fork()
        if pid == 0:
            signal.pause()
        one.join(pid)
        is_ended = one.kill(within_s=WAIT_S)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        usage = one.usage()
        gone = [one.remove(), herd.remove(), leave(base)]
        tell({"layout": layout.told(), "places": places, "ended": is_ended, "gone": gone})
        tell([usage.memory_bytes, files.read("/proc/self/cgroup")])

    return body


def test_an_ordinary_user_gets_nothing_and_no_error(fork):
    child = fork(told_by_nobody(a_name()))
    told = child.told()
    assert told["layout"] == Layout().told()
    assert set(told["layout"].values()) == {"none"}
    assert told["places"] == []
    assert told["gone"] == [True, True, True]
    assert child.told()[0] is None


def test_a_user_with_a_delegated_group_gets_what_it_has(fork):
    """What systemd does with Delegate=yes: the group and its own files belong to the user, who is in it, not alone."""
    v2 = next((one for one in HERE if one.is_v2), None)
    assert v2 is not None, "this kernel has no v2"
    home = v2.down(a_name())
    files.make(home.directory, may_exist=False)
    offered = [one for one in v2_controllers(home) if one in {"memory", "cpu", "pids", "io"}]
    for name in ("", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"):
        os.chown(f"{home.directory}{name}", NOBODY, NOBODY)
    in_home = Group(Layout((home,)))
    other = fork(idle, joins=in_home)
    other.told()
    child = fork(told_by_nobody("base"), joins=in_home)
    told, (memory_bytes, memberships) = child.told(), child.told()
    child.ended()
    leaf = "/base.leaf" if offered else ""
    for text in (memberships, files.read(f"/proc/{other.pid}/cgroup")):
        assert f"0::{home.path}{leaf}\n" in text
    layout = told["layout"]
    assert {one for one in ("memory", "cpu", "pids", "io") if layout[one] == "v2"} == set(offered)
    assert (layout["join"], layout["kill"]) == ("clone", "cgroup.kill")
    assert told["ended"]
    assert (memory_bytes is not None) == ("memory" in offered)
    other.end()
    assert tree.remove([f"{home.directory}/base.leaf", home.directory])


def test_all_processes_of_a_group_move_together(fork):
    v2 = next(one for one in HERE if one.is_v2)
    home = v2.down(a_name())
    files.make(home.directory, may_exist=False)
    children = [fork(idle, joins=Group(Layout((home,)))) for _ in range(3)]
    move_all(home.directory, f"{home.directory}/leaf")
    assert files.read(f"{home.directory}/cgroup.procs") == ""
    moved = files.pids(files.read(f"{home.directory}/leaf/cgroup.procs"))
    assert sorted(moved) == sorted(child.pid for child in children)
    for child in children:
        child.end()
    assert tree.remove([f"{home.directory}/leaf", home.directory])


def test_controllers_are_given_one_by_one_when_they_are_refused_together():
    v2 = next(one for one in HERE if one.is_v2)
    home = v2.down(a_name())
    files.make(home.directory, may_exist=False)
    offered = v2_controllers(home)
    give_controllers(home, [*offered, "nonsense"], leaf="")
    assert files.read(f"{home.directory}/cgroup.subtree_control").split() == offered
    assert tree.remove([home.directory])
