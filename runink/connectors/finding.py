"""From a source's path to the files that it means, in a stable order.

A glob gives its files sorted by path, so that a rerun reads them in the same order; names that begin with a dot (among them
what a sink writes aside) are never part of it.  A folder is read if it holds parts (`part-…`), as mode=append makes them.  What is not there is told with names that are near it.

A slice is shown no more than the folder above a glob's first magic part.  A link that leads out of it to nowhere, and a folder that may not be looked into, are
refused: to leave out what lies behind them would be to lose rows without a word.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from runink.connectors.inputs import Input, forbidden
from runink.connectors.remote_files import filesystem_of, told_remote
from runink.dag import STANDARD, Source
from runink.errors import Invalid, NotFound, Refused
from runink.stores import NO_STORES, Stores

FILES_MAX: Final = 100_000  # of a glob: more are a mistake, and their names alone fill the memory
NEAR_NAMES_MAX: Final = 3
PART: Final = "part-"  # what the names of files in a folder of parts begin with
UPLOAD_ID: Final = "?uploadId="  # behind a place on S3 where something is not published yet


def inputs_of(
    node: Source,
    *,
    root: Path,
    staged: tuple[str, ...],
    stdin_fd: int | None,
    stores: Stores = NO_STORES,
) -> tuple[Input, ...]:
    """Return what the source reads, at least one. Raises NotFound where nothing is there, Refused for what cannot be read."""
    if staged:
        return _staged(node, staged, stores)
    if node.path == STANDARD:
        if stdin_fd is None:
            raise Refused(
                f"{node.uri}: this run has no standard input",
                code="source_no_stdin",
                hint="a pipeline that reads - is run by runi run, with something piped into it",
            )
        return (Input("standard input", STANDARD, stdin_fd),)
    if "://" in node.path:
        return tuple(Input(uri, uri, stores=stores) for uri in _remote(node.path, stores))
    try:
        return tuple(Input(_shown(path), str(root / path)) for path in _local(node.path, root))
    except PermissionError as error:
        place = _shown(os.fsdecode(error.filename or node.path))
        raise forbidden(f"{node.path} needs {place}, which", error) from error


def _shown(path: str) -> str:
    """Return a path as text that can be written down: a file's name is any bytes, an origin stands in messages and in dead letters."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _staged(node: Source, staged: tuple[str, ...], stores: Stores) -> tuple[Input, ...]:
    """Return what a sink of this run has prepared, under the name that it will have."""
    if any(UPLOAD_ID in location for location in staged):
        raise Refused(
            f"{node.uri} is written by this run to S3, where it cannot be read before it is published",
            code="source_staged_upload",
            hint="let the scenario in front write a local file, or read it in a pipeline of its own",
        )
    whole = node.path if len(staged) == 1 else ""
    return tuple(Input(whole or location, location, stores=stores) for location in staged)


def _local(path: str, root: Path) -> list[str]:
    full = root / path
    if full.is_dir() and (parts := _parts(path, full)):
        return parts
    if full.exists() or not glob.has_magic(path):
        if not os.path.lexists(full):
            raise _missing(path, _near(path, root))
        if not full.exists():
            raise _leads_nowhere(path, full)
        return [path]
    files = _bounded(_files(path, root), path)
    _check_folders(path, root)
    if not files:
        raise _missing(path, "")
    return files


def _files(pattern: str, root: Path) -> Iterator[str]:
    for name in _glob(pattern, root):
        if (root / name).is_file():
            yield name
        else:
            _check_link(name, root / name, pattern, _shown_of(pattern, root))


def _glob(pattern: str, root: Path) -> Iterator[str]:
    # Path.glob takes no absolute pattern and would not leave out dot-files.
    return glob.iglob(pattern, root_dir=root, recursive=True)  # noqa: PTH207 - Path.glob follows other rules for names that begin with a dot


def _check_folders(pattern: str, root: Path) -> None:
    """Raise Refused where a folder that the pattern means cannot be looked into: the glob leaves such folders out."""
    shown = _shown_of(pattern, root)
    _check_readable(shown)
    names = pattern.split("/")
    for count in range(1, len(names)):
        above = "/".join(names[:count])
        for name in _glob(above, root) if glob.has_magic(above) else ():
            _check_link(name, root / name, pattern, shown)
            _check_readable(root / name)


def _check_readable(folder: Path) -> None:
    if folder.is_dir():
        os.scandir(folder).close()


def _shown_of(pattern: str, root: Path) -> Path:
    """Return the folder above the first magic part, which is all that a slice is shown of what the pattern means."""
    return next(above for above in (root / pattern).parents if not glob.has_magic(str(above)))


def _check_link(name: str, full: Path, pattern: str, shown: Path) -> None:
    """Raise Refused for a link that leads out of what is shown, and to nothing."""
    if not full.is_symlink() or full.exists():
        return
    place = Path(os.path.realpath(full))
    if place.is_relative_to(os.path.realpath(shown)):
        return
    raise Refused(
        f"{pattern} means {_shown(name)}, a link to {_shown(str(full.readlink()))}, which is not there"
        f" or not shown to this slice: of this source it is shown {shown}, and nothing outside of it",
        code="source_link",
        hint="put the file itself (or a hard link to it) in the link's place, take the link away, or name where it leads in a source of its own",
    )


def _leads_nowhere(path: str, full: Path) -> NotFound:
    return NotFound(
        f"{path} is a link to {_shown(str(full.readlink()))}, where nothing is",
        code="source_not_found",
        hint="have the link lead to the file, or name the file itself",
    )


def _parts(path: str, folder: Path) -> list[str]:
    """Return the parts that mode=append (and other programs) have put into a folder, none if it is another kind of folder."""
    return _bounded(_plain_parts(path, folder), path)


def _plain_parts(path: str, folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{path.rstrip('/')}/{entry.name}"
            if not entry.name.startswith(PART):
                continue
            if entry.is_file():
                yield name
            else:
                _check_link(name, folder / entry.name, path, folder)


def _remote(pattern: str, stores: Stores) -> list[str]:
    filesystem, key = filesystem_of(pattern, stores)
    try:
        filesystem.invalidate_cache()
        if not glob.has_magic(pattern):
            if filesystem.info(key)["type"] != "directory":
                return [pattern]
            key = f"{key.rstrip('/')}/{PART}*"
        found = filesystem.glob(key, detail=True)
    except Exception as error:
        raise told_remote(error, pattern) from error
    names = (
        name for name, info in found.items() if info["type"] == "file" and not _is_hidden(name)
    )
    files = _bounded(map(filesystem.unstrip_protocol, names), pattern)
    if not files:
        raise _missing(pattern, "")
    return files


def _is_hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def _bounded(names: Iterable[str], pattern: str) -> list[str]:
    files: list[str] = []
    for name in names:
        files.append(name)
        if len(files) > FILES_MAX:
            raise Invalid(
                f"{pattern} means more than {FILES_MAX:,} files",
                code="source_too_many_files",
                hint="narrow the pattern, or join small files first",
            )
    return sorted(files)


def _missing(path: str, near: str) -> NotFound:
    what = "no file matches" if glob.has_magic(path) else "there is no file"
    return NotFound(
        f"{what} {path}",
        code="source_not_found",
        hint=near or "paths are relative to the project's folder",
    )


def _near(path: str, root: Path) -> str:
    """Name what the folder holds that is like it, or the folder that is missing."""
    full = root / path
    if not full.parent.is_dir():
        return f"there is no folder {Path(path).parent} in the project"
    try:
        names = [entry.name for entry in os.scandir(full.parent)]
    except OSError:
        return ""
    near = [_shown(name) for name in difflib.get_close_matches(full.name, names, NEAR_NAMES_MAX)]
    return f"did you mean {' or '.join(near)}?" if near else ""
