"""What a machine boots: a kernel, and its root file system as one file of archives behind each other.

    Debian's packages      cached by their versions   .cache/vm/debian-KEY/   kernel, archive
    Python distributions   cached by their versions   .cache/vm/python-KEY/   archive
    this project           each time                  runink/, tests/, pyproject.toml, and what its first process is to do

The project, its virtual environment and all in it lie in the machine where they lie here, so that commands and tracebacks are the
same.  Modules of Debian and of distributions are compiled when the archive is made: the machine would take seconds to do it.
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
from pathlib import Path, PurePosixPath

from cpio_archive import Archive
from debian_packages import download, members, require, versions, with_libraries
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
RECIPE = ("cpio_archive.py", "debian_packages.py", "machine_image.py")
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
ETC = {
    "hostname": "machine\n",
    "hosts": "127.0.0.1 localhost machine\n",
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
}


@cache
def kernel_and_debian(packages: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """Return the kernel and the archive of Debian's packages, those named beside what every machine has. Raises CannotMake."""
    require({"apt-get": "apt", "dpkg-deb": "dpkg", "qemu-system-x86_64": "qemu-system-x86"})
    names = with_libraries([*PACKAGES, *packages])
    folder = _cached("debian", versions(names), partial(_make_debian, names))
    return folder / "kernel", folder / "archive"


def _make_debian(names: Sequence[str], folder: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as downloads,
        (folder / "archive").open("wb") as target,
        Archive(target) as archive,
    ):
        for old, new in (("bin", "bin"), ("sbin", "bin"), ("lib", "lib"), ("lib64", "lib64")):
            archive.link(PurePosixPath("/", old), f"usr/{new}")
        for path in ("/mnt", "/machine", "/etc"):
            archive.folder(PurePosixPath(path))
        for name, text in ETC.items():
            archive.file(PurePosixPath("/etc", name), text.encode())
        archive.link(PurePosixPath("/usr/bin/python3"), PYTHON)
        for package in download(names, Path(downloads)):
            _add_package(archive, package, folder / "kernel")
    assert (folder / "kernel").exists(), "no package holds a kernel"


def _add_package(archive: Archive, package: Path, kernel: Path) -> None:
    for member, content in members(package):
        path = _in_usr(PurePosixPath("/", member.name))
        if path.match("/boot/vmlinuz-*"):
            kernel.write_bytes(content)
        if any(path.is_relative_to(left_out) for left_out in LEFT_OUT):
            continue
        if member.isdir():
            archive.folder(path, member.mode & 0o7777)
        elif member.issym():
            archive.link(path, member.linkname)
        else:
            archive.file(path, content, mode=member.mode & 0o7777)
            _add_compiled(archive, path, content)


def _in_usr(path: PurePosixPath) -> PurePosixPath:
    """Return where a file lies when /bin, /sbin and /lib are links; packages may say either."""
    parts = path.parts
    if parts[1:2] in (("bin",), ("sbin",), ("lib",), ("lib64",)):
        parts = ("/", "usr", *parts[1:])
    if parts[1:3] == ("usr", "sbin"):
        parts = ("/", "usr", "bin", *parts[3:])
    return PurePosixPath(*parts)


@cache
def python_distributions(names: tuple[str, ...] = ()) -> Path:
    """Return the archive of what tests in the machine import, the distributions named beside what every machine has."""
    found = [
        distribution
        for distribution in _with_requirements(["runink", *DISTRIBUTIONS, *names])
        if distribution.name not in NOT_SHIPPED
    ]
    key = sorted(f"{distribution.name} {distribution.version}" for distribution in found)
    filling = partial(_make_python, found)
    return _cached("python", [sys.version, sys.prefix, *key], filling) / "archive"


def _make_python(distributions: Sequence[importlib.metadata.Distribution], folder: Path) -> None:
    with (folder / "archive").open("wb") as target, Archive(target) as archive:
        for path in _files_of(distributions):
            content = path.read_bytes()
            archive.file(PurePosixPath(path), content, mode=path.stat().st_mode & 0o777)
            _add_compiled(archive, PurePosixPath(path), content)


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


def add_project(archive: Archive, run: str) -> None:
    """Add the project as it is now, its virtual environment, and the commands of `run`, a shell script."""
    python = f"/usr/bin/{PYTHON}"
    for name in ("python", "python3", PYTHON):
        archive.link(PurePosixPath(sys.prefix, "bin", name), python)
    configuration = "home = /usr/bin\ninclude-system-site-packages = false\n"
    archive.file(PurePosixPath(sys.prefix, "pyvenv.cfg"), configuration.encode())
    for path in _files_of([importlib.metadata.distribution("runink")]):
        archive.file(PurePosixPath(path), path.read_bytes(), mode=path.stat().st_mode & 0o777)
    for folder in PROJECT:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not path.match("*.pyc"):
                _add_of_project(archive, path)
    _add_of_project(archive, ROOT / "pyproject.toml")
    archive.file(PurePosixPath("/init"), (HERE / "inside" / "init.sh").read_bytes(), mode=0o755)
    archive.file(PurePosixPath("/machine/run"), run.encode())


def _add_of_project(archive: Archive, path: Path) -> None:
    """Add a file, with what an interpreter here has made of it: if that is older than the file, Python sees it."""
    compiled = (
        path.parent.glob(f"__pycache__/{path.stem}.{sys.implementation.cache_tag}*")
        if path.suffix == ".py"
        else ()
    )
    for one in (path, *compiled):
        state = one.stat()
        archive.file(
            PurePosixPath(one),
            one.read_bytes(),
            mode=state.st_mode & 0o777,
            mtime=int(state.st_mtime),
        )


def _add_compiled(archive: Archive, path: PurePosixPath, source: bytes) -> None:
    """Add a module as the interpreter would write it down, marked as one that is never compared with its source."""
    if path.suffix != ".py":
        return
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError:  # a template, or a module for another Python
        return
    unchecked = (1).to_bytes(4, "little") + importlib.util.source_hash(source)
    content = importlib.util.MAGIC_NUMBER + unchecked + marshal.dumps(code)
    archive.file(PurePosixPath(importlib.util.cache_from_source(str(path))), content)


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
