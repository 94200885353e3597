"""Bundles: a project's code, named by its hash, so that a run goes on with the code that it began with.

A bundle holds the project's code files, not its data: by suffix (`CODE`), or executable and small.  Folders whose name begins
with a dot, virtual environments, caches, and what nodes keep in their state folders are left out.  Its hash is SHA-256 over `path NUL size NUL mode NUL bytes` of the files, sorted by path.
It is unpacked read-only at `.runink/bundles/HASH`, first aside, then by a rename; one that a power cut has not left whole is unpacked anew.  What a node fetches is synced before the rename: there nobody has
the files beside it to compare them with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runink.errors import Invalid
from runink.names import BundleHash
from runink.state_folders import kept_in
from runink.syncing import sync_place

CODE: Final = frozenset({".py", ".pyi", ".dsl", ".toml", ".sql", ".sh"})
NAMED: Final = frozenset({"requirements.lock"})
LEFT_OUT: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
FILES_MAX: Final = 10_000  # a project's own code; more means that something else was swept up
BYTES_MAX: Final = 64 << 20
PROGRAM_BYTES_MAX: Final = (
    8 << 20
)  # an executable step's own program; larger ones belong to the machine


@dataclass(frozen=True, slots=True)
class BundleFile:
    path: str
    content: bytes
    is_executable: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    hash: BundleHash
    files: tuple[BundleFile, ...]


def pack(project: Path) -> Bundle:
    """Read a project's code files. Raises Invalid (`bundle_too_large`) beyond FILES_MAX and BYTES_MAX."""
    files: list[BundleFile] = []
    size_bytes = 0
    for path, status in _code_files(project):
        size_bytes += status.st_size
        if len(files) >= FILES_MAX or size_bytes > BYTES_MAX:
            raise Invalid(
                f"{project} holds more code than a bundle may: over {FILES_MAX} files or {BYTES_MAX >> 20} MiB",
                code="bundle_too_large",
                hint="is this the folder of one project? a runink.toml marks where it begins",
            )
        is_executable = bool(status.st_mode & 0o100)
        file = BundleFile(
            path.relative_to(project).as_posix(), path.read_bytes(), is_executable=is_executable
        )
        files.append(file)
    files.sort(key=lambda file: file.path)
    return Bundle(hash_of(files), tuple(files))


def own_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what of a folder is the project's own, by name: its code may be among it. Raises OSError."""
    others = LEFT_OUT | kept_in(folder)
    with os.scandir(folder) as found:
        named = sorted(found, key=lambda entry: entry.name)
    return [
        entry
        for entry in named
        if not (entry.name.startswith(".") or entry.name in others or _is_environment(entry))
    ]


def _is_environment(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and Path(entry.path, "pyvenv.cfg").exists()


def _code_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in own_entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _code_files(Path(entry.path))
        elif _is_file(entry) and _is_code(entry):
            yield Path(entry.path), entry.stat()


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Say whether it is a file, or leads to one; a link that leads nowhere, or to itself, does not."""
    return entry.is_file(follow_symlinks=False) or Path(entry.path).is_file()


def _is_code(entry: os.DirEntry[str]) -> bool:
    if Path(entry.name).suffix in CODE or entry.name in NAMED:
        return True
    status = entry.stat()
    return bool(status.st_mode & 0o100) and status.st_size <= PROGRAM_BYTES_MAX


def hash_of(files: Iterable[BundleFile]) -> BundleHash:
    """Return the name of a bundle of these files, which are in the order of their paths."""
    digest = hashlib.sha256()
    for file in files:
        facts = f"\0{len(file.content)}\0{int(file.is_executable)}\0".encode()
        digest.update(os.fsencode(file.path) + facts)
        digest.update(file.content)
    return BundleHash(digest.hexdigest())


def unpack(bundle: Bundle, bundles: Path, *, is_synced: bool = False) -> Path:
    """Put the bundle's files into `bundles/HASH`, unless they are there, and return that folder; its time is that of its last use. If it `is_synced` a power cut leaves all of it or nothing."""
    target = bundles / bundle.hash
    if _is_whole(bundle, target):
        os.utime(target)  # who clears old ones away leaves it to the run that is about to begin
        return target
    shutil.rmtree(target, ignore_errors=True)
    aside = bundles / f".{bundle.hash}.{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    for file in bundle.files:
        path = aside / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o555 if file.is_executable else 0o444)
    aside.mkdir(parents=True, exist_ok=True)
    if is_synced:
        _sync(aside)
    try:
        aside.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(aside)  # another run of the same code was faster
    if is_synced:
        sync_place(bundles)
    return target


def _sync(folder: Path) -> None:
    """Have a folder, and all that is in it, on the disk."""
    for where, _, names in os.walk(folder):
        for name in names:
            sync_place(Path(where, name))
        sync_place(Path(where))


def _is_whole(bundle: Bundle, target: Path) -> bool:
    """Say whether all files are there in their size: nothing is synced, so a power cut may have left empty ones under the right name."""
    try:
        return target.is_dir() and all(
            (target / file.path).stat().st_size == len(file.content) for file in bundle.files
        )
    except FileNotFoundError:
        return False
