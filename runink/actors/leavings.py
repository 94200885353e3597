"""What slices leave on a worker node: of runs that went elsewhere and ended while the node was away, of runs that were forgotten, and what their herd keeps no longer. Cleared when the node is back, and every hour.

    runs/RUN/aside/SLICE.ATTEMPT   the paths at which the slice writes aside, a JSON list, written before it begins
    runs/RUN                       the rest: logs, rejected rows, checkpoints; goes when the run is forgotten
    runs/RUN/logs, runs/RUN/dead   go before it where the herd says so (`[retention] logs`, `dead_letters`)

A run's own end takes away what lies where it ends; here is what lies elsewhere.  What is in object stores is not: every machine reaches that.  The paths name run, slice and attempt, so
nothing of another attempt is ever taken away, also where several nodes share a disk.  What may go is decided in `runs/leavings.py`.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from runink.actors.herd_stores import drop_emptied, stored_in
from runink.actors.launching import Workplace
from runink.actors.offload import Offload, in_thread
from runink.actors.outputs import Own
from runink.barn.keys import RUNS
from runink.clients.barn import BarnClient
from runink.clients.herds import all_herds
from runink.connectors.targets import Target, copy_of
from runink.errors import Unavailable
from runink.herds.record import Retention
from runink.loops import Bell
from runink.names import HerdName, RunId, SliceId
from runink.runs.leavings import is_wanted
from runink.runs.records import RunRecord, SliceRecord
from runink.runs.retention import is_past

FOLDER: Final = "aside"  # in the run's folder
LOGS: Final = "logs"
DEAD: Final = "dead"
KEEP_S: Final = 3600.0  # between two looks
AGAIN_S: Final = 5.0  # until the next one where the Barn did not answer
CLEARED_MAX: Final = 10_000  # files and folders of one look; the next one has the rest
NOTE_BYTES_MAX: Final = 1 << 20  # of the paths of one slice
FORGOTTEN_S: Final = 24 * 3600.0  # a Barn that was set back to a copy may not know a run of today

_log = logging.getLogger(__name__)


class Cleared(NamedTuple):
    """How much one look has taken away."""

    files: int = 0
    folders: int = 0


class Leavings:
    """One for an agent. Where its cluster is away and a Barn lies in its state folder, too, runs of another cluster do as well, whose folders are left alone."""

    def __init__(
        self,
        barn: BarnClient,
        workplace: Workplace,
        *,
        now_ms: Callable[[], int],
        offload: Offload | None = None,
    ) -> None:
        self._barn = barn
        self._runs = workplace.state / "runs"
        self._keeps_others = workplace.is_away and (workplace.state / "barn").exists()
        self._now_ms = now_ms
        self._offload = offload or in_thread
        self._called = Bell()

    def look(self) -> None:
        """Have a look soon: the node was away."""
        self._called.ring()

    async def keep(self) -> None:
        """Look at once, whenever that is asked for, and every hour, for as long as this task lives."""
        while True:
            wait_s = KEEP_S
            try:
                await self.clear()
            except Unavailable:
                wait_s = AGAIN_S
            except OSError as error:
                # A folder of another user, a broken disk: runs go on, and the next look may find it mended.
                _log.warning("what was left aside is not cleared", extra={"problem": str(error)})
            await self._called.wait_within(wait_s)

    async def clear(self) -> None:
        """Take away what no run wants any more. Raises Unavailable, OSError."""
        there: list[Path] = await self._offload(partial(_run_folders, self._runs))
        if not there:
            return
        # The folders are read first: of a run that is in them then, there is a record by now.
        listing = await self._barn.range(RUNS.prefix(), RunRecord)
        known = {found.value.run: found.value for found in listing.items}
        before_s = 0.0 if self._keeps_others else time.time() - FORGOTTEN_S
        kept = {one.value.herd: one.value.retention for one in await all_herds(self._barn)}
        old = _too_old(known.values(), kept, self._now_ms())
        cleared: Cleared = await self._offload(partial(_clear, there, known, before_s, old))
        if any(cleared):
            _log.warning(
                "left aside cleared", extra={"files": cleared.files, "runs": cleared.folders}
            )


def note(run_folder: Path, record: SliceRecord, own: Own | None) -> None:
    """Keep in mind where a slice writes aside, before it does. Raises Unavailable (`no_scratch`)."""
    targets = () if own is None else own.targets.values()
    paths = [path for one in targets if one is not None for path in _asides(one)]
    if not paths:
        return
    folder = run_folder / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{record.slice}.{record.attempt}").write_text(json.dumps(paths))
    except OSError as error:
        raise Unavailable(
            f"{folder} cannot be written: {error.strerror}",
            code="no_scratch",
            hint="make room on the node's disk, or have the folder belong to who runs Runink",
        ) from error


def _asides(target: Target) -> Iterable[str]:
    """Yield where it lies aside, and where a copy of that may be, if the target is on another filesystem."""
    if target.aside:
        yield target.aside
        if not target.is_remote:
            copy = copy_of(Path(target.aside), Path(target.place))
            if str(copy) != target.aside:
                yield str(copy)


def _run_folders(runs: Path) -> list[Path]:
    """Return the runs' folders, those first that were used longest ago. Raises OSError."""
    if not runs.is_dir():
        return []
    found = sorted((path.lstat().st_mtime, path) for path in runs.iterdir() if path.is_dir())
    return [path for _, path in found]


def _too_old(
    runs: Iterable[RunRecord], kept: Mapping[HerdName, Retention], now_ms: int
) -> Mapping[RunId, tuple[str, ...]]:
    """Return which folders of runs their herds keep no longer."""
    found = {}
    for run in runs:
        said = kept.get(run.herd, Retention())
        ages = {LOGS: said.logs_ms, DEAD: said.dead_letters_ms}
        if names := tuple(name for name, kept_ms in ages.items() if is_past(run, kept_ms, now_ms)):
            found[run.run] = names
    return found


def _clear(
    there: list[Path],
    known: Mapping[RunId, RunRecord],
    before_s: float,
    old: Mapping[RunId, tuple[str, ...]],
) -> Cleared:
    """Clear each folder; what cannot be cleared in one keeps none of the others. Raises the first OSError behind all of them."""
    files = folders = 0
    problems: list[OSError] = []
    for path in there:
        run = RunId(path.name)
        try:
            if run not in known or known[run].state.is_over:
                files += _clear_asides(path, run, known)
            for name in old.get(run, ()):
                folders += _remove(path / name)
            if run not in known and path.lstat().st_mtime < before_s:
                shutil.rmtree(path, ignore_errors=True)
                folders += 1
        except OSError as error:
            problems.append(error)
        if files + folders >= CLEARED_MAX:
            break
    if problems:
        raise problems[0]
    return Cleared(files, folders)


def _remove(folder: Path) -> int:
    """Take a folder away; return 1 if it was there."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return 0
    return 1


def _clear_asides(path: Path, run: RunId, known: Mapping[RunId, RunRecord]) -> int:
    """Take away what a run's slices left aside and nobody wants; return how many files that were."""
    count = 0
    folder = path / FOLDER
    for noted in sorted(folder.iterdir()) if folder.is_dir() else ():
        name, _, _ = noted.name.rpartition(".")
        if is_wanted(run, SliceId(name), known):
            continue
        paths = _noted(noted)
        for aside in paths:
            with suppress(FileNotFoundError, NotADirectoryError):
                Path(aside).unlink()
                count += 1
        drop_emptied(stored_in((str(Path(aside).parent) for aside in paths), path.parents[1]))
        noted.unlink()
    with suppress(OSError):  # something is there yet, or there was nothing
        folder.rmdir()
    return count


def _noted(path: Path) -> list[str]:
    """Return the paths that were noted; none where a power cut has left no whole note."""
    with path.open("rb") as file:
        data = file.read(NOTE_BYTES_MAX)
    try:
        found = json.loads(data)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)]
