"""What an agent tells of slices while they run: how far they are, when they say so, and what their cgroups have counted, every SAMPLE_S.

It goes to the run controller, for those who follow a run or look at it, and to the node's metrics.  What finds no room there is dropped: the next one says more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import anyio

from runink.actors.attending import Attended, OwnCgroup
from runink.actors.offload import Offload
from runink.actors.outputs import mine
from runink.actors.slice_meters import CgroupFigures
from runink.clients.run_requests import RunRequest, SliceProgress, SliceUsed, Used
from runink.errors import Unavailable
from runink.jobs import Progress
from runink.runtime.ref import Ref
from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_layout import Layout, located
from runink.sandbox.cgroup_limits import Version
from runink.sandbox.cgroup_records import events_of, usage_of
from runink.sandbox.client import LaunchedSlice

SAMPLE_S: Final = 10.0  # ten small files a slice: a hundred slices cost a thousandth of a core
PROC: Final = "/proc"
IN_FORCE: Final = ("memory", "cpu", "pids", "io")


class Telling:
    """One for an agent. `attended` are its slices, as they are at any time."""

    def __init__(
        self,
        runs: Ref[RunRequest],
        attended: Mapping[str, Attended],
        *,
        now_ms: Callable[[], int],
        offload: Offload,
    ) -> None:
        self._runs = runs
        self._attended = attended
        self._now_ms = now_ms
        self._offload = offload

    def progress(self, attended: Attended, progress: Progress) -> None:
        one, nodes = attended.record, mine(progress.nodes, attended.own)
        attended.meter.progress(nodes)
        self._tell(SliceProgress(one.run, one.slice, nodes, one.attempt))

    async def keep(self) -> None:
        """Look what slices use, for as long as this task lives."""
        while True:
            await anyio.sleep(SAMPLE_S)
            running = [one for one in self._attended.values() if not one.over.is_set()]
            known = {one: cgroup for one in running if (cgroup := _cgroup(one)) is not None}
            if not known:
                continue
            found: list[CgroupFigures | None] = await self._offload(
                _figures_of_all, [*known.values()]
            )
            for one, figures in zip(known, found, strict=True):
                if figures is not None and not one.over.is_set():
                    one.meter.used(figures)
                    self._tell(_used(one, figures, self._now_ms()))

    def _tell(self, message: SliceProgress | SliceUsed) -> None:
        try:
            self._runs.tell_nowait(message)
        except Unavailable:  # no room, or nobody to tell
            return


def _cgroup(attended: Attended) -> OwnCgroup | None:
    """Return the cgroup of a slice that runs, which is asked for once: not at its launch, because most slices have ended before anybody looks."""
    if attended.cgroup is None and attended.launched is not None:
        attended.cgroup = cgroup_of(attended.launched)
    return attended.cgroup


def cgroup_of(launched: LaunchedSlice, *, proc: str = PROC) -> OwnCgroup | None:
    """Return the cgroup of a slice that runs; nothing where it has none of its own, or has ended already."""
    versions = {name: launched.sealed.get(f"cgroup.{name}", Version.NONE) for name in IN_FORCE}
    if set(versions.values()) == {Version.NONE}:
        return None
    pid = launched.pid
    if pid <= 0:
        return None
    try:
        memberships = files.read(f"{proc}/{pid}/cgroup")
        return OwnCgroup(pid, memberships, versions, launched.counted_before)
    except OSError:
        return None


def figures_of(cgroup: OwnCgroup, mounts: str, *, proc: str = PROC) -> CgroupFigures | None:
    """Return what a cgroup has counted for its slice, where /proc/self/mountinfo says this; nothing if that has ended meanwhile, or the kernel says what we do not understand."""
    try:
        found = Layout(tuple(located(mounts, cgroup.memberships)))
        for name, version in cgroup.versions.items():
            if Version(version) in _versions(found, name):
                found = found.with_limit(name, Version(version))
        figures = _since(_counted(found), cgroup.counted_before)
        # Only now: a cgroup may serve another slice as soon as this one has ended.
        is_its_own = files.read(f"{proc}/{cgroup.pid}/cgroup") == cgroup.memberships
    except (OSError, ValueError, KeyError):
        return None
    return figures if is_its_own else None


def _versions(found: Layout, limit: str) -> set[Version]:
    """Return by which versions a limit can be read where these hierarchies are mounted."""
    v1 = found.with_controller("blkio" if limit == "io" else limit)
    return ({Version.V1} if v1 else set()) | ({Version.V2} if found.unified else set())


def _counted(cgroup: Layout) -> CgroupFigures:
    events, usage = events_of(cgroup), usage_of(cgroup)
    pids = 0
    if cgroup.pids is not Version.NONE:
        pids = int(files.read(f"{cgroup.directory(cgroup.pids, 'pids')}/pids.current"))
    return CgroupFigures(
        cpu_s=(usage.cpu_user_s or 0.0) + (usage.cpu_system_s or 0.0),
        throttled_s=events.cpu_throttled_s,
        throttled_periods=events.cpu_periods_throttled,
        oom_kills=events.oom_kills,
        pids_refused=events.pids_refused,
        read_bytes=usage.read_bytes or 0,
        written_bytes=usage.written_bytes or 0,
        memory_bytes=usage.memory_bytes or 0,
        pids=pids,
    )


def _since(figures: CgroupFigures, before: str) -> CgroupFigures:
    """Return what was counted after that: the cgroup may have been another slice's."""
    if not before:
        return figures
    cpu_s, read_bytes, written_bytes = before.split()
    return figures._replace(
        cpu_s=figures.cpu_s - float(cpu_s),
        read_bytes=figures.read_bytes - int(read_bytes),
        written_bytes=figures.written_bytes - int(written_bytes),
    )


def _figures_of_all(cgroups: list[OwnCgroup]) -> list[CgroupFigures | None]:
    mounts = files.read(f"{PROC}/self/mountinfo")
    return [figures_of(one, mounts) for one in cgroups]


def _used(attended: Attended, figures: CgroupFigures, now_ms: int) -> SliceUsed:
    used = Used(
        at_ms=now_ms,
        cpu_s=figures.cpu_s,
        throttled_s=figures.throttled_s,
        memory_bytes=figures.memory_bytes,
        processes=figures.pids,
        read_bytes=figures.read_bytes,
        written_bytes=figures.written_bytes,
    )
    one = attended.record
    return SliceUsed(one.run, one.slice, one.attempt, used)
