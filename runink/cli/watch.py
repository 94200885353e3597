"""`runi watch`: compiles pipelines whenever a file that they stand on is saved, and tests or runs them; what is wrong is shown, and it goes on.

Files are looked at by their time and size, INTERVAL_S apart: that sees whatever way an editor saves, on any filesystem, and costs a stat a file.  A change counts
when a further look finds nothing new, so that what is saved together is taken together.  Each turn is a process of its own: whatever a
project's code does to it, the watch goes on, and a turn that a newer save has overtaken is interrupted as Ctrl-C would.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL
from typing import Final

import anyio
import click
from anyio.abc import Process

from runink.bundles import CODE, NAMED, own_entries
from runink.cli.options import param_option, parameters_of, project_here
from runink.cli.pipeline_files import pipeline_files, pipelines_below
from runink.errors import Refused
from runink.projects import find_root

INTERVAL_S: Final = 0.25  # between two looks: a person does not notice, and 10,000 files cost a twentieth of a processor
FILES_MAX: Final = 10_000
SHOWN_MAX: Final = 3  # of files that have changed
GOLDEN_FOLDER: Final = "golden"
END_S: Final = (
    30.0  # an interrupted run clears its output away; what takes longer is ended by force
)
Looks = dict[Path, tuple[int, int, int]]


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, metavar="[FILE.dsl]...")
@click.option("--test", "tests", is_flag=True, help="Test them at each save, too.")
@click.option("--run", "runs", is_flag=True, help="Run them at each save, too.")
@param_option
def watch(files: tuple[Path, ...], params: tuple[str, ...], *, tests: bool, runs: bool) -> None:
    """Compile pipelines at each save of them, their contracts, steps, herds or goldens. Ctrl-C ends it.

    A folder stands for every .dsl below it; without a file: all of features/.
    """
    if tests and runs:
        raise click.UsageError("--test and --run: leave one of the two away")
    parameters_of(params)  # a mistake in them is told at once, not at each save
    root = _root_of(files[0]) if files else project_here()
    verb = "test" if tests else "run" if runs else "compile"
    words = [word for pair in params for word in ("--param", pair)]
    anyio.run(_watched, _Watch(root, files, verb, tuple(words)))


def _root_of(named: Path) -> Path:
    return find_root(named / "x.dsl" if named.is_dir() else named)


@dataclass(slots=True)
class _Watch:
    """What is watched, what is called at each save, and the turn that is under way: what ends it, and what says that it has ended."""

    root: Path
    files: tuple[Path, ...]
    verb: str
    words: tuple[str, ...]
    turn: anyio.CancelScope | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)

    def pipelines(self) -> list[Path]:
        """Return the files to compile: those that were named, or what there is now."""
        named = list(pipeline_files(self.files))
        return named or pipelines_below(self.root / "features")

    async def stop(self) -> None:
        """End the turn that is under way, if one is."""
        if self.turn is not None:
            self.turn.cancel()
            await self.ended.wait()


async def _watched(watch: _Watch) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signal, group.cancel_scope)
        looks = look(watch.root, watch.files)
        click.echo(f"watching {len(looks):,} files of {watch.root}; Ctrl-C ends it")
        group.start_soon(_turn, watch)
        while True:  # ends by a signal
            await anyio.sleep(INTERVAL_S)
            now = look(watch.root, watch.files)
            if now == looks:
                continue
            now = await _settled(watch, now)
            changed = changes(looks, now)
            looks = now
            if not changed:
                continue  # it was saved, and then saved back
            await watch.stop()
            _tell(watch.root, changed)
            group.start_soon(_turn, watch)


async def _settled(watch: _Watch, looks: Looks) -> Looks:
    """Wait until nothing more is saved."""
    while True:  # ends when whoever saves has saved
        await anyio.sleep(INTERVAL_S)
        now = look(watch.root, watch.files)
        if now == looks:
            return now
        looks = now


def look(root: Path, files: Sequence[Path] = ()) -> Looks:
    """Return what a change is told by, of each file that pipelines stand on: code, and all in golden/. Raises Refused for more than FILES_MAX."""
    found: Looks = {}
    for path in (*_watched_files(root), *(file.absolute() for file in files)):
        try:
            status = path.stat()
        except OSError:
            continue  # gone since, or a link that leads nowhere
        found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        if len(found) > FILES_MAX:
            raise Refused(
                f"{root} has more than {FILES_MAX:,} files of code",
                code="too_many_files",
                hint="is this the folder of one project? a runink.toml marks where it begins",
            )
    return found


def _watched_files(folder: Path, *, is_golden: bool = False) -> Iterator[Path]:
    try:
        entries = own_entries(folder)
    except OSError:
        return  # gone since, or not for us
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            inside = is_golden or entry.name == GOLDEN_FOLDER
            yield from _watched_files(path, is_golden=inside)
        elif is_golden or path.suffix in CODE or entry.name in NAMED:
            yield path


def changes(before: Mapping[Path, object], after: Mapping[Path, object]) -> list[Path]:
    """Return what is new, gone or different, in order."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def _tell(root: Path, changed: list[Path]) -> None:
    names = [
        str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in changed
    ]
    more = f" and {len(names) - SHOWN_MAX:,} more" if len(names) > SHOWN_MAX else ""
    now = datetime.now().astimezone()
    click.echo(f"\n--- {now:%H:%M:%S} {', '.join(names[:SHOWN_MAX])}{more} changed")


# A turn.


async def _turn(watch: _Watch) -> None:
    """Compile, test or run what there is, until that is done or a newer turn is to come."""
    pipelines = watch.pipelines()
    if not pipelines:
        click.echo(f"there is no .dsl file in {watch.root / 'features'} yet")
        return
    together = [pipelines] if watch.verb == "test" else [[one] for one in pipelines]
    watch.ended = anyio.Event()
    try:
        with anyio.CancelScope() as watch.turn:
            for some in together:
                await _called([watch.verb, *map(str, some), *watch.words])
    finally:
        watch.turn = None
        watch.ended.set()


async def _called(words: list[str]) -> None:
    """Start a command and wait for its end; if we are not to wait any more, interrupt it."""
    # A session of its own: Ctrl-C is for us, and we hand it on once.
    child = await anyio.open_process(
        [sys.executable, "-m", "runink.cli.main", *words],
        stdin=DEVNULL,
        stdout=None,
        stderr=None,
        start_new_session=True,
    )
    try:
        await child.wait()
    finally:
        if child.returncode is None:
            with anyio.CancelScope(shield=True):
                await _interrupted(child)


async def _interrupted(child: Process) -> None:
    """Interrupt a command and wait for it; by force in the end."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            child.send_signal(number)
        with anyio.move_on_after(END_S):
            await child.wait()
            return


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            click.echo("\nno longer watching")
            scope.cancel()
            return
