"""From a source's path to the files that it means, in a stable order.

A glob gives its files sorted by path, so that a rerun reads them in the same order; names that begin with a dot (among them
what a sink writes aside) are never part of it.  A folder is read if it holds parts (`part-…`), as mode=append makes them.  What is not there is told with names that are near it.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from runink.connectors.inputs import STDIN, Input
from runink.connectors.remote_files import filesystem_of, told_remote
from runink.dag import Source
from runink.errors import Invalid, NotFound, Refused

FILES_MAX: Final = 100_000  # of a glob: more are a mistake, and their names alone fill the memory
NEAR_NAMES_MAX: Final = 3
PART: Final = "part-"  # what the names of files in a folder of parts begin with
UPLOAD_ID: Final = "?uploadId="  # behind a place on S3 where something is not published yet


def inputs_of(
    node: Source, *, root: Path, staged: tuple[str, ...], stdin_fd: int | None
) -> tuple[Input, ...]:
    """Return what the source reads, at least one. Raises NotFound where nothing is there, Refused for what cannot be read."""
    if staged:
        return _staged(node, staged)
    if node.path == STDIN:
        if stdin_fd is None:
            raise Refused(
                f"{node.uri}: this run has no standard input",
                code="source_no_stdin",
                hint="a pipeline that reads - is run by runi run, with something piped into it",
            )
        return (Input("standard input", STDIN, stdin_fd),)
    if "://" in node.path:
        return tuple(Input(uri, uri) for uri in _remote(node.path))
    return tuple(Input(_shown(path), str(root / path)) for path in _local(node.path, root))


def _shown(path: str) -> str:
    """Return a path as text that can be written down: a file's name is any bytes, an origin stands in messages and in dead letters."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _staged(node: Source, staged: tuple[str, ...]) -> tuple[Input, ...]:
    """Return what a sink of this run has prepared, under the name that it will have."""
    if any(UPLOAD_ID in location for location in staged):
        raise Refused(
            f"{node.uri} is written by this run to S3, where it cannot be read before it is published",
            code="source_staged_upload",
            hint="let the scenario in front write a local file, or read it in a pipeline of its own",
        )
    whole = node.path if len(staged) == 1 else ""
    return tuple(Input(whole or location, location) for location in staged)


def _local(path: str, root: Path) -> list[str]:
    full = root / path
    if full.is_dir() and (parts := _parts(path, full)):
        return parts
    if full.exists() or not glob.has_magic(path):
        if not os.path.lexists(full):
            raise _missing(path, _near(path, root))
        return [path]
    # Path.glob takes no absolute pattern and would not leave out dot-files.
    found = glob.iglob(path, root_dir=root, recursive=True)  # noqa: PTH207 - Path.glob follows other rules for names that begin with a dot
    files = _bounded((name for name in found if (root / name).is_file()), path)
    if not files:
        raise _missing(path, "")
    return files


def _parts(path: str, folder: Path) -> list[str]:
    """Return the parts that mode=append (and other programs) have put into a folder, none if it is another kind of folder."""
    names = (entry.name for entry in os.scandir(folder) if entry.is_file())
    return _bounded((f"{path.rstrip('/')}/{name}" for name in names if name.startswith(PART)), path)


def _remote(pattern: str) -> list[str]:
    filesystem, key = filesystem_of(pattern)
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
