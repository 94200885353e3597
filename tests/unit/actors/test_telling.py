"""What is told of slices that run: their cgroups' figures, in each version of the kernel's files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import anyio
import pytest
import trio.testing
from runink.actors.attending import Attended
from runink.actors.node_metrics import NodeMetrics
from runink.actors.offload import in_thread
from runink.actors.slice_meters import CgroupFigures
from runink.actors.telling import SAMPLE_S, Telling, cgroup_of, figures_of
from runink.dag import Resources
from runink.errors import LinkLost, Overloaded, Unavailable
from runink.jobs import Progress
from runink.names import HerdName, RunId, SliceId
from runink.runs.records import SliceRecord, SliceState
from runink.sandbox.cgroup_spares import Counted
from runink.sandbox.cgroups import Usage
from runink.sandbox.client import LaunchedSlice
from runink.testing.disk import in_loop

V2 = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 3\nthrottled_usec 250000\n",
    "memory.events": "oom 1\noom_kill 1\n",
    "memory.current": "4096\n",
    "memory.peak": "8192\n",
    "pids.events": "max 2\n",
    "pids.current": "5\n",
    "io.stat": "254:0 rbytes=100 wbytes=200 rios=1 wios=0\n",
}
V1 = {
    "memory": {
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        "memory.usage_in_bytes": "4096\n",
        "memory.max_usage_in_bytes": "8192\n",
    },
    "cpu": {"cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 250000000\n"},
    "cpuacct": {
        "cpuacct.usage": "1500000000\n",
        "cpuacct.usage_user": "1000000000\n",
        "cpuacct.usage_sys": "500000000\n",
    },
    "pids": {"pids.events": "max 2\n", "pids.current": "5\n"},
    "blkio": {
        "blkio.throttle.io_service_bytes_recursive": "254:0 Read 100\n254:0 Write 200\nTotal 300\n"
    },
}
FIGURES = CgroupFigures(1.5, 0.25, 3, 1, 2, 100, 200, 4096, 5)


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def found(
    root: Path,
    mounts: str,
    memberships: str,
    version: str,
    *,
    before: str = "",
    ended: bool = False,
) -> CgroupFigures | None:
    """Return what is known of a slice on a machine whose /proc says this."""
    (root / "proc/7").mkdir(parents=True)
    (root / "proc/7/cgroup").write_text(memberships)
    sealed = {f"cgroup.{name}": version for name in ("memory", "cpu", "pids", "io")}
    cgroup = cgroup_of(Launched7(sealed, before), proc=str(root / "proc"))  # type: ignore[arg-type] # all that is looked at
    assert cgroup is not None
    if ended:
        (root / "proc/7/cgroup").unlink()
    return figures_of(cgroup, mounts, proc=str(root / "proc"))


class Launched7:
    pid = 7

    def __init__(self, sealed: dict[str, str], counted_before: str) -> None:
        self.sealed = sealed
        self.counted_before = counted_before


def test_the_files_of_v2_are_understood(tmp_path: Path) -> None:
    write(tmp_path / "cgroup/runink/h/s", V2)
    mounts = f"1 2 0:3 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    assert found(tmp_path, mounts, "0::/runink/h/s\n", "v2") == FIGURES


def test_what_a_cgroup_has_counted_for_others_before_is_not_the_slices(tmp_path: Path) -> None:
    write(tmp_path / "cgroup/runink/h/s", V2)
    mounts = f"1 2 0:3 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    used = Usage(cpu_user_s=0.5, cpu_system_s=0.25, read_bytes=60, written_bytes=50)
    before = Counted(usage=used).told()
    figures = found(tmp_path, mounts, "0::/runink/h/s\n", "v2", before=before)
    assert figures == FIGURES._replace(cpu_s=0.75, read_bytes=40, written_bytes=150)


def test_the_figures_of_a_cgroup_that_may_be_another_slice_s_by_now_are_nobody_s(
    tmp_path: Path,
) -> None:
    write(tmp_path / "cgroup/runink/h/s", V2)
    mounts = f"1 2 0:3 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    assert found(tmp_path, mounts, "0::/runink/h/s\n", "v2", ended=True) is None


def test_the_files_of_v1_are_understood(tmp_path: Path) -> None:
    mounts, memberships = "", ""
    for number, (name, files) in enumerate(V1.items(), start=2):
        write(tmp_path / name / "runink/h/s", files)
        mounts += f"1 2 0:{number} / {tmp_path}/{name} rw - cgroup cgroup rw,{name}\n"
        memberships += f"{number}:{name}:/runink/h/s\n"
    assert found(tmp_path, mounts, memberships, "v1") == FIGURES


def test_a_cgroup_that_is_gone_says_nothing(tmp_path: Path) -> None:
    mounts = f"1 2 0:3 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    assert found(tmp_path, mounts, "0::/runink/h/s\n", "v2") is None


def test_a_cgroup_that_is_mounted_nowhere_has_counted_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, "", "0::/runink/h/s\n", "v2") == CgroupFigures()


@pytest.mark.parametrize("version", ["none", "v2"])
def test_a_slice_without_a_cgroup_of_its_own_has_no_figures(tmp_path: Path, version: str) -> None:
    """With limits nowhere its group is that of others; with a process that has ended there is none to be found."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launched = LaunchedSlice("s", 1, {"cgroup.memory": version}, ours, 0, 1, os.pidfd_open(os.getpid()))  # fmt: skip
        assert cgroup_of(launched, proc=str(tmp_path)) is None
        os.close(launched.pidfd)


@pytest.mark.trio
async def test_a_cgroup_is_looked_up_when_a_slice_is_first_sampled_and_never_behind_its_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Most slices end before; and behind its end a slice's descriptors are closed, so their numbers may be another's."""
    attended = {name: attended_slice(name) for name in ("runs", "has ended")}
    attended["has ended"].over.set()
    telling = Telling(Away(), attended, now_ms=lambda: 1, offload=in_loop)  # type: ignore[arg-type] # all that is asked of it
    async with anyio.create_task_group() as group:
        group.start_soon(telling.keep)
        await anyio.sleep(SAMPLE_S / 2)
        assert attended["runs"].cgroup is None
        await anyio.sleep(SAMPLE_S)
        group.cancel_scope.cancel()
    for one in attended.values():
        assert one.launched is not None
        one.launched.close()
    memberships = Path("/proc/self/cgroup").read_text()  # noqa: ASYNC240 - the kernel's own
    assert attended["runs"].cgroup == (os.getpid(), memberships, IN_FORCE_V2, "")
    assert attended["has ended"].cgroup is None


IN_FORCE_V2 = dict.fromkeys(("memory", "cpu", "pids", "io"), "v2")


def attended_slice(name: str) -> Attended:
    """Return a slice whose process is this one."""
    record = SliceRecord(
        SliceId("a"), RunId("0" * 26), HerdName("h"), "a", SliceState.RUNNING, Resources()
    )
    theirs, ours = socket.socketpair()
    theirs.close()
    sealed = {f"cgroup.{name}": version for name, version in IN_FORCE_V2.items()}
    pipes = (os.open(os.devnull, os.O_RDONLY) for _ in range(2))
    launched = LaunchedSlice(name, 1, sealed, ours, *pipes, os.pidfd_open(os.getpid()))
    meter = NodeMetrics().slices.adopted(record, "p")
    return Attended(record, name, meter, None, launched=launched)


class Away:
    """A run controller that nobody reaches."""

    def tell_nowait(self, message: object) -> None:
        raise LinkLost("nobody is connected")


@pytest.mark.parametrize("error", [Overloaded("no room"), LinkLost("nobody is connected")])
def test_what_nobody_takes_at_the_moment_is_dropped(error: Unavailable) -> None:
    """The control plane may be away for seconds: slices go on, and what they say is no failure of theirs."""

    class Away:
        def tell_nowait(self, message: object) -> None:
            raise error

    metrics = NodeMetrics()
    record = SliceRecord(
        SliceId("a"), RunId("0" * 26), HerdName("h"), "a", SliceState.RUNNING, Resources()
    )
    attended = Attended(record, "a", metrics.slices.adopted(record, "p"), None)
    telling = Telling(Away(), {}, now_ms=lambda: 1, offload=in_thread)  # type: ignore[arg-type] # all that is asked of it
    telling.progress(attended, Progress(()))
