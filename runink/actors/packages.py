"""The agent's part in packages that a project brings along: they are there before a gang's slices are launched.

    no lock, or the gang has no code of the project nothing is done
    a lock that cannot be                           the gang fails, before anything is downloaded
    its environment is there                        a use of it begins (a fraction of a millisecond)
    it is not                                       it is made; meanwhile the slices, and so the run, say what they wait for
    a slice's placement is taken back meanwhile     the making ends, TakenBack is raised: the gang is launched whole or not at all

What uv prints is written into the log of the gang's first slice.  The use is handed to the slices as a descriptor, so it lasts as long as they do.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio
from msgspec.structs import replace as changed

from runink.actors.bundles import Bundles
from runink.actors.launching import Launching, Workplace, nodes_of
from runink.actors.slice_records import SliceRecords
from runink.clients.barn import BarnClient
from runink.dag import Dag, Executable, Function, Step
from runink.environments.collecting import Policy, collect
from runink.environments.lock import Lock, read_lock
from runink.environments.packages import collisions, conflicts, installed, refused
from runink.environments.store import FOLDER, Environments, Listener, Use
from runink.errors import Refused, RuninkError, Unavailable
from runink.loops import Flag
from runink.names import BundleHash
from runink.observe.slice_logs import SliceLog, Stream, log_path
from runink.runs.records import RunRecord, SliceRecord, SliceState
from runink.sandbox.protocol import PRELOADABLE

LOCKS_MAX: Final = 20  # of some hundred kilobytes each; a node has a few projects at a time
COLLECT_S: Final = 3600.0  # between two looks at what nobody uses any more


_log = logging.getLogger(__name__)


class TakenBack(Refused):
    """The gang is not wanted any more."""

    default_code = "taken_back"


@dataclass(frozen=True, slots=True)
class GangPackages:
    """What a gang is launched with. It is given up at the end of the block; slices that have it by then keep it."""

    use: Use | None = None

    @property
    def environment(self) -> str:
        return str(self.use.folder) if self.use else ""

    @property
    def leases(self) -> tuple[int, ...]:
        return (self.use.descriptor,) if self.use else ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.use:
            self.use.close()


class Packages:
    """One for an agent."""

    def __init__(
        self,
        barn: BarnClient,
        workplace: Workplace,
        records: SliceRecords,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._workplace = workplace
        self._bundles = Bundles(barn, workplace.bundles)
        self._records = records
        self._now_ms = now_ms
        self._folder = workplace.state / FOLDER
        self._environments = Environments(self._folder)
        self._preloaded = _preloaded()
        self._locks: dict[BundleHash, Lock | None] = {}  # the last used one last

    async def ready(
        self, dag: Dag, run: RunRecord, records: list[SliceRecord], launching: Launching
    ) -> GangPackages:
        """Return the packages of a gang's slices, when its bundle is there too. Raises TakenBack, Invalid for a lock that cannot be, and what `Environments.ready` does."""
        await self._bundles.ready(run.bundle)
        if not _runs_own_code(dag, records):
            return GangPackages()
        lock = self._lock_of(run)
        if lock is None:
            return GangPackages()
        preloaded = self._preloaded
        if found := collisions(lock, preloaded):
            raise refused(found, lock)
        use = await self._ready(lock, records, launching)
        loaded = {module for one in use.packages if one.name in preloaded for module in one.modules}
        if found := conflicts(use.packages, loaded, preloaded):
            use.close()
            raise refused(found, lock)
        return GangPackages(use)

    async def collect(self) -> None:
        """Take away what nobody uses any more, now and then, for as long as this task lives."""
        while True:
            await anyio.sleep(COLLECT_S)
            try:
                await self._bundles.collect()
                if self._folder.is_dir():
                    await anyio.to_thread.run_sync(partial(collect, self._folder, Policy()))
            except (OSError, Unavailable) as error:
                # A folder of another user, a broken disk, no Barn: runs go on, and the next look may find it mended.
                _log.warning("what nobody uses is not collected", extra={"problem": str(error)})

    def _lock_of(self, run: RunRecord) -> Lock | None:
        """Return the lock of a run's bundle: to read a long one takes longer than a launch, and a bundle never changes."""
        lock = (
            self._locks.pop(run.bundle)
            if run.bundle in self._locks
            else read_lock(self._workplace.bundle(run))
        )
        self._locks[run.bundle] = lock
        if len(self._locks) > LOCKS_MAX:
            del self._locks[next(iter(self._locks))]
        return lock

    async def _ready(self, lock: Lock, records: list[SliceRecord], launching: Launching) -> Use:
        first = records[0]
        log = SliceLog(log_path(self._workplace.run_folder(first.run), first.slice, first.attempt))

        def heard(line: str) -> None:
            log.write(Stream.RUNINK, [line], at_ms=self._now_ms())

        listener = Listener(partial(self._tell_waiting, records), heard)
        try:
            use = await _unless(launching.taken_back, self._environments.ready(lock, listener))
        finally:
            log.close()
        if use is None:
            raise TakenBack("the run was cancelled while its packages were installed")
        return use

    def _tell_waiting(self, records: Iterable[SliceRecord], reason: str) -> None:
        for record in records:
            waiting = changed(record, state=SliceState.LAUNCHING, waits_for=reason)
            self._records.write(changed(waiting, launched_ms=self._now_ms()))


def _runs_own_code(dag: Dag, records: Iterable[SliceRecord]) -> bool:
    """Say whether anything of a gang is code of the project: a function, or a program."""
    return any(
        isinstance(node, Step) and isinstance(node.action, Function | Executable)
        for node in nodes_of(dag, records)
    )


def _preloaded() -> dict[str, str]:
    """Return the versions of what any slice of this node may find loaded."""
    return {name: version for name, version in installed(sys.path).items() if name in PRELOADABLE}


async def _unless(event: Flag, making: Awaitable[Use]) -> Use | None:
    """Return the use, or nothing if the event comes first and ends the making. Raises what the making does."""
    uses: list[Use] = []
    errors: list[RuninkError] = []

    async def make() -> None:
        try:
            uses.append(await making)
        except RuninkError as error:
            errors.append(error)  # out of a task group it would come as a group
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(make)
            await event.wait()
            group.cancel_scope.cancel()
    except BaseException:
        for use in uses:  # we are cancelled in the moment in which it is there
            use.close()
        raise
    if errors:
        raise errors[0]
    return uses[0] if uses else None
