"""What a machine boots: a kernel, a disk with all that seldom changes, and an archive with the project as it is now.

    Debian's packages, Python distributions   cached by their versions   .cache/vm/machine-KEY/   kernel, disk
    this project, and what is to be run       each time                  an archive that the machine copies onto its disk

The project, its virtual environment and all in it lie in the machine where they lie here, so that commands and tracebacks are the
same.  Modules are compiled here, those of Debian and of distributions when the disk is made: the machine would take many seconds.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import marshal
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from hashlib import sha256
from pathlib import Path, PurePath, PurePosixPath

from cpio_archive import Archive
from debian_packages import download, members, record_of, require, versions, with_libraries
from disk_image import Disk
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "vm"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
KERNEL = "linux-image-cloud-amd64"  # names the newest kernel for virtual machines
PACKAGES = (KERNEL, "busybox-static", f"{PYTHON}-minimal", f"lib{PYTHON}-stdlib")
DISTRIBUTIONS = ("pytest", "pytest-timeout", "pytest-trio")
KEPT = 2  # of a kind in the cache: up to some hundred MB each
NOT_SHIPPED = (
    "runink",
    "uv",
)  # the one is shipped as it is now, the other is 39 MB that need a network
RECIPE = ("debian_packages.py", "disk_image.py", "machine_image.py")
PROJECT = ("runink", "tests")
LEFT_OUT = tuple(
    PurePosixPath(path)
    for path in (
        "/boot",
        "/usr/lib/modules",
        "/usr/lib/x86_64-linux-gnu/gconv",
        "/usr/share",
        *(f"/usr/lib/{PYTHON}/{name}" for name in ("idlelib", "lib2to3", "pydoc_data")),
    )
)
BUSYBOX = PurePosixPath("/usr/bin/busybox")
IN_ARCHIVE = "/project"  # what the machine copies to its root
MODES = {"shadow": 0o600}
PROGRAMS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "unshare": "util-linux",
}
ETC = {
    "hostname": "machine\n",
    "hosts": "127.0.0.1 localhost machine\n",
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "shadow": "root:*:19000:0:99999:7:::\n",
}


@cache
def made(packages: tuple[str, ...], distributions: tuple[str, ...]) -> Path:
    """Return a folder with the kernel, a busybox and the disk of a machine with these packages and Python distributions beside what every machine has. Raises CannotMake."""
    require(PROGRAMS)
    names = with_libraries([*PACKAGES, *packages])
    found = [
        distribution
        for distribution in _with_requirements(["runink", *DISTRIBUTIONS, *distributions])
        if distribution.name not in NOT_SHIPPED
    ]
    key = sorted(f"{distribution.name} {distribution.version}" for distribution in found)
    filling = partial(_make_disk, names, found)
    return _cached("machine", [*versions(names), sys.version, sys.prefix, *key], filling)


def _make_disk(
    names: Sequence[str], distributions: Sequence[importlib.metadata.Distribution], folder: Path
) -> None:
    with tempfile.TemporaryDirectory() as downloads, Disk(folder / "disk") as disk:
        for old, new in (("bin", "bin"), ("sbin", "bin"), ("lib", "lib"), ("lib64", "lib64")):
            disk.link(PurePosixPath("/", old), f"usr/{new}")
        disk.folder(PurePosixPath("/mnt"))
        for name, text in ETC.items():
            disk.file(PurePosixPath("/etc", name), text.encode(), mode=MODES.get(name, 0o644))
        disk.link(PurePosixPath("/usr/bin/python3"), PYTHON)
        fetched = download(names, Path(downloads))
        for package in fetched:
            _add_package(disk, package, folder)
        records = "\n".join(map(record_of, fetched))
        disk.file(PurePosixPath("/var/lib/dpkg/status"), records.encode())
        for path in _files_of(distributions):
            content = path.read_bytes()
            disk.file(PurePosixPath(path), content, mode=path.stat().st_mode & 0o777)
            _add_compiled(disk, PurePosixPath(path), content)
    assert {path.name for path in folder.iterdir()} == {"kernel", "busybox", "disk"}


def _add_package(disk: Disk, package: Path, folder: Path) -> None:
    """Add what is in a package, and keep what a machine needs before it has its disk."""
    for member, content in members(package):
        path = _in_usr(PurePosixPath("/", member.name))
        if path.match("/boot/vmlinuz-*"):
            (folder / "kernel").write_bytes(content)
        if path == BUSYBOX:
            (folder / "busybox").write_bytes(content)
        if any(path.is_relative_to(left_out) for left_out in LEFT_OUT):
            continue
        if member.isdir():
            disk.folder(path, member.mode & 0o7777)
        elif member.issym():
            disk.link(path, member.linkname)
        else:
            disk.file(path, content, mode=member.mode & 0o7777)
            _add_compiled(disk, path, content)


def _in_usr(path: PurePosixPath) -> PurePosixPath:
    """Return where a file lies when /bin, /sbin and /lib are links; packages may say either."""
    parts = path.parts
    if parts[1:2] in (("bin",), ("sbin",), ("lib",), ("lib64",)):
        parts = ("/", "usr", *parts[1:])
    if parts[1:3] == ("usr", "sbin"):
        parts = ("/", "usr", "bin", *parts[3:])
    return PurePosixPath(*parts)


def _with_requirements(names: Sequence[str]) -> list[importlib.metadata.Distribution]:
    """Return these installed distributions and what they require, without extras."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:  # each name is looked at once
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            requirements = map(Requirement, found[name].requires or ())
            waiting += [
                requirement.name
                for requirement in requirements
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            ]
    return list(found.values())


def _files_of(
    distributions: Iterable[importlib.metadata.Distribution],
) -> Iterator[Path]:
    for distribution in distributions:
        for entry in distribution.files or ():
            path = Path(os.path.normpath(distribution.locate_file(entry)))
            if path.suffix != ".pyc" and path.is_file():
                yield path


def add_project(archive: Archive, busybox: Path, run: str) -> None:
    """Add the project as it is now, its virtual environment, the commands of `run`, a shell script, and what brings all that to the disk."""
    for folder in ("/dev", "/mnt"):
        archive.folder(PurePosixPath(folder))
    archive.file(PurePosixPath("/bin/busybox"), busybox.read_bytes(), mode=0o755)
    first = (HERE / "inside" / "init.sh").read_bytes()
    for path in ("/init", f"{IN_ARCHIVE}/machine/init"):
        archive.file(PurePosixPath(path), first, mode=0o755)
    archive.file(_copied("/machine/run"), run.encode())
    for name in ("python", "python3", PYTHON):
        archive.link(_copied(f"{sys.prefix}/bin/{name}"), f"/usr/bin/{PYTHON}")
    configuration = "home = /usr/bin\ninclude-system-site-packages = false\n"
    archive.file(_copied(f"{sys.prefix}/pyvenv.cfg"), configuration.encode())
    for path in _files_of([importlib.metadata.distribution("runink")]):
        archive.file(_copied(path), path.read_bytes(), mode=path.stat().st_mode & 0o777)
    for folder in PROJECT:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not path.match("*.pyc"):
                _add_of_project(archive, path)
    _add_of_project(archive, ROOT / "pyproject.toml")


def _copied(path: PurePath | str) -> PurePosixPath:
    """Return where a file lies in the archive that the machine copies to this path."""
    return PurePosixPath(f"{IN_ARCHIVE}{path}")


def _add_of_project(archive: Archive, path: Path) -> None:
    """Add a file, compiled, and with what pytest here has made of it: if that is older than the file, it is seen."""
    rewritten = path.parent.glob(f"__pycache__/{path.stem}.{sys.implementation.cache_tag}-pytest-*")
    for one in (path, *(rewritten if path.suffix == ".py" else ())):
        state = one.stat()
        mode, mtime = state.st_mode & 0o777, int(state.st_mtime)
        archive.file(_copied(one), one.read_bytes(), mode=mode, mtime=mtime)
    compiled = _compiled(PurePosixPath(path), path.read_bytes())
    if compiled:
        archive.file(_copied(_cache_of(path)), compiled)


def _add_compiled(disk: Disk, path: PurePosixPath, source: bytes) -> None:
    compiled = _compiled(path, source)
    if compiled:
        disk.file(_cache_of(path), compiled)


def _cache_of(path: PurePath) -> PurePosixPath:
    return PurePosixPath(importlib.util.cache_from_source(str(path)))


def _compiled(path: PurePosixPath, source: bytes) -> bytes:
    """Return a module as the interpreter would write it down, marked as one that is never compared with its source; nothing for what is none."""
    if path.suffix != ".py":
        return b""
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError:  # a template, or a module for another Python
        return b""
    unchecked = (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    return importlib.util.MAGIC_NUMBER + unchecked + marshal.dumps(code)


def _cached(name: str, versions_of: Sequence[str], fill: Callable[[Path], None]) -> Path:
    """Return a folder of the cache that `fill` has filled for these versions and this recipe, now or earlier.

    Who fills it is alone.  It gets its name when it is full, so a run that breaks off leaves nothing that counts.
    """
    recipe = b"".join((HERE / file).read_bytes() for file in RECIPE)
    key = sha256("\n".join(versions_of).encode() + recipe).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    final = CACHE / f"{name}-{key}"
    with (CACHE / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            filling = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=CACHE))
            fill(filling)
            filling.rename(final)
        final.touch()
        by_use = sorted(CACHE.glob(f"{name}-*"), key=lambda folder: folder.stat().st_mtime)
        for old in by_use[:-KEPT]:
            shutil.rmtree(old)
    return final
