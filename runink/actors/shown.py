"""What a slice is shown of the machine: the folders and files that its job names, and nothing beside them.

    job       read-only                                             writable
    chain     the bundle, packages, what sources read, what is      the folders that sinks write in, the scratch folder
              staged for them
    publish                                                         the folders of what is aside, and of where it goes
    compare   what is aside, golden files                           the folders of golden files that are rewritten

A source that is a glob has the folder above its first magic part; a link in it that leads out of that folder leads nowhere inside the slice, and is refused there
(`connectors.finding`).  A folder that is named by a link is there by both names.  A source that is not there has
the folder that it would be in, so that its message can name what is.  The agent opens each by its own right, and hands the descriptor over: a slice never sees what
its agent may not.  Folders that sinks write in are made here.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runink.connectors.local_files import make_folder, told
from runink.dag import STANDARD, Sink, Source
from runink.errors import Refused
from runink.jobs import (
    ASIDE_FOLDER,
    ChainJob,
    CompareJob,
    Prepared,
    PublishJob,
    SliceJob,
)
from runink.sandbox.client import Bind
from runink.sandbox.protocol import BINDS_MAX

OWN: Final = frozenset(
    {"", "dev", "proc", "sys"}
)  # of the root folder: what a slice has of its own, or not at all
LINKS_MAX: Final = 40  # as the kernel has it
Shown = dict[str, bool]  # absolute paths, and whether the slice may write there


def shown_to(job: SliceJob) -> Shown:
    """Return what the job needs. Folders that it writes in may not be there yet."""
    project = Path(job.project)
    match job:
        case ChainJob():
            return _to_chain(job, project)
        case PublishJob():
            sinks = (folder for sink in job.sinks for folder in _sink_folders(sink, project))
            return dict.fromkeys((*_places((*job.publish, *job.discard)), *sinks), True)
        case CompareJob():
            found = dict.fromkeys(_places(job.prepared), False)
            for golden in job.goldens:
                path = project / golden.path
                found |= {str(path.parent): True} if job.update else _existing(path)
            return found


def _to_chain(job: ChainJob, project: Path) -> Shown:
    found = {folder: False for folder in (job.bundle, job.environment) if folder}
    for node in job.nodes:
        if isinstance(node, Source) and node.id not in job.staged:
            found |= _source(node, project)
    staged = (path for paths in job.staged.values() for path in paths if "://" not in path)
    found |= dict.fromkeys((os.path.dirname(path) for path in staged), False)  # noqa: PTH120 - texts, as they stand in the job
    for node in job.nodes:
        if isinstance(node, Sink):
            found |= dict.fromkeys(_sink_folders(node, project), True)
    return found


def _source(node: Source, project: Path) -> Shown:
    if node.path == STANDARD or "://" in node.path:
        return {}
    path = project / node.path
    if glob.has_magic(node.path) and not _is_there(path):
        plain = next(above for above in path.parents if not glob.has_magic(str(above)))
        return _existing(plain)
    return _existing(path)


def _existing(path: Path) -> Shown:
    """Show what is there, else the folder that it would be in, else nothing: the slice says that it is not there."""
    found = next((str(one) for one in (path, path.parent) if _is_there(one)), None)
    if found is None or (found == "/" and path != Path("/")):
        return {}
    names = (found, os.path.realpath(found)) if os.path.isdir(found) else (found,)  # noqa: PTH112 - is false where it may not be known
    return dict.fromkeys(names, False)


def _is_there(path: Path) -> bool:
    """Return whether something is there, false where this process may not know."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises


def _sink_folders(sink: Sink, project: Path) -> Iterator[str]:
    """Yield where the sink's output and what lies aside for it are: by its name, by each link on the way, and by where that leads."""
    if sink.path == STANDARD:
        return
    if "://" in sink.path:
        if sink.dead_letter or not sink.path.startswith(("s3://", "s3a://")):
            yield str(project / ASIDE_FOLDER)
        return
    path = project / sink.path
    for _ in range(LINKS_MAX):
        yield str(path.parent)
        if not os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises where it may not be known
            break
        path = Path(os.path.normpath(Path(os.path.realpath(path.parent)) / path.readlink()))
    yield os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - as `connectors.targets` names it


def _places(prepared: Iterable[Prepared]) -> Iterator[str]:
    for one in prepared:
        for path in (one.aside, one.target):
            if one.kind == "file" and "://" not in path:
                yield os.path.dirname(path)  # noqa: PTH120 - texts, as they stand in the job


def make_writable(shown: Shown) -> None:
    """Make the folders that are to be written in and are not there yet. Raises Refused or Unavailable, as a sink would."""
    for path, is_writable in shown.items():
        if is_writable:
            try:
                make_folder(Path(path))
            except OSError as error:
                raise told(error, path) from error


def _check_showable(shown: Shown) -> None:
    for path in map(os.path.normpath, shown):
        if path.split("/")[1] in OWN:
            raise Refused(
                f"{path} cannot be shown to a slice, which has a root, devices and a /proc of its own",
                code="place_not_shown",
                hint="read from and write to files in another folder; - is standard input and output",
            )


@contextmanager
def binds_of(shown: Shown, *, is_plain: bool = False) -> Iterator[list[Bind]]:
    """Open what is shown, for as long as the block. What is not there any more is left out. Raises Refused (`too_many_places`, `place_not_shown`).

    A plain slice sees everything as it is.
    """
    if not is_plain:
        _check_showable(shown)
    if len(shown) > BINDS_MAX:
        raise Refused(
            f"a slice reads and writes in {len(shown)} places, at most {BINDS_MAX} can be shown to it",
            code="too_many_places",
            hint="put files into fewer folders, or split the steps over slices with @step(isolate=true)",
        )
    binds: list[Bind] = []
    try:
        for path, is_writable in shown.items():
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            binds.append(Bind(os.path.normpath(path), descriptor, is_writable))
        yield binds
    finally:
        for bind in binds:
            os.close(bind.descriptor)
