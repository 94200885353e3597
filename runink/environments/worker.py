"""Makes one environment, in a process of its own: what is long, needs memory or may crash does not happen within the agent.

    python -I -S worker.py UV FOLDER CACHE TARGET BYTES_MAX

    FOLDER/requirements.txt   what to install, written by `store.py`
    FOLDER/environment/       is made here; TARGET is the path that it will have in the end

    1  an empty virtual environment       `uv venv`
    2  its packages                       `uv pip install`: with hashes, from wheels only, as hard links to the cache
    3  what they are                      `runink-environment.json`, from the packages' own lists of files
    4  compiled                           slices cannot write compiled files beside the modules
    5  read-only, and on the disk         a power cut must not leave half of it under its final name

What is printed is uv's output and our own words.  Standard input is a lifeline: when its other end is gone, so is this process, and with it uv.
It uses the standard library alone, and starts no interpreter that would see the packages: that would run code of theirs.
"""

from __future__ import annotations

import compileall
import csv
import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

MANIFEST = "runink-environment.json"
ENVIRONMENT = "environment"
REQUIREMENTS = "requirements.txt"
COMPILER_BYTES_MAX = 2 << 30  # of memory; a file that needs more stays uncompiled
EXIT_ORPHANED = 3
EXIT_VENV = 20
EXIT_INSTALL = 21
EXIT_TOO_LARGE = 22
EXIT_DISK_FULL = 23
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def main(words: list[str]) -> int:
    """Do the steps, and return the exit code."""
    uv, folder, cache, target, bytes_max = words
    environment = Path(folder, ENVIRONMENT)
    shared = ["--no-python-downloads", "--color", "never", "--cache-dir", cache]
    venv = [uv, "venv", "--quiet", "--relocatable", "--no-project", *shared]
    if _ended([*venv, "--python", sys.executable, str(environment)]):
        return EXIT_VENV
    install = [uv, "pip", "install", "--no-progress", *shared]
    install += ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    install += ["--link-mode", "hardlink", "--python", str(environment / "bin" / "python")]
    if _ended([*install, "--requirements", str(Path(folder, REQUIREMENTS))]):
        return EXIT_INSTALL
    try:
        return _finish(environment, target, int(bytes_max))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _say(f"error: {error.strerror}")
        return EXIT_DISK_FULL


def _finish(environment: Path, target: str, bytes_max: int) -> int:
    size = size_bytes(environment)
    if size > bytes_max:
        _say(f"error: the packages take {size >> 20} MiB, at most {bytes_max >> 20} MiB may be")
        return EXIT_TOO_LARGE
    packages = site_packages(environment)
    _write_manifest(environment / MANIFEST, described(packages))
    _say("compiling")
    resource.setrlimit(resource.RLIMIT_AS, (COMPILER_BYTES_MAX, COMPILER_BYTES_MAX))
    # Some packages carry files that are no Python of this version, in their tests for instance: these stay as they are.
    compileall.compile_dir(packages, quiet=2, stripdir=environment, prependdir=target)
    make_read_only(environment)
    _sync(environment)
    return 0


def site_packages(environment: Path) -> Path:
    """Return the folder of an environment that packages are in."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return environment / "lib" / version / "site-packages"


def described(packages: Path) -> list[dict[str, object]]:
    """Return name, version and top modules of each package in the folder."""
    found: list[dict[str, object]] = []
    for info in sorted(packages.glob("*.dist-info")):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        modules = sorted(_modules(info / "RECORD"))
        found.append({"name": name, "version": version, "modules": modules})
    return found


def _modules(record: Path) -> set[str]:
    with record.open(encoding="utf-8", newline="") as file:
        tops = {row[0].split("/")[0] for row in csv.reader(file) if row}
    # `six.py`, `_cffi_backend.cpython-311-x86_64-linux-gnu.so`, `idna`; but not `idna-3.1.dist-info`, `..`
    names = {top.split(".")[0] if top.endswith((".py", ".so")) else top for top in tops}
    return {name for name in names if name.isidentifier() and name != "__pycache__"}


def _write_manifest(path: Path, packages: list[dict[str, object]]) -> None:
    # A package may have put a file there, which is the cache's, too.
    path.unlink(missing_ok=True)
    path.write_text(json.dumps({"packages": packages}), encoding="utf-8")


def size_bytes(folder: Path) -> int:
    """Return what the files take. A file of several names counts once."""
    seen = set()
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            status = Path(above, name).lstat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def make_read_only(folder: Path) -> None:
    """Take the right to write from everything beneath the folder. The folder itself keeps it: else only root could rename it."""
    for above, folders, names in os.walk(folder):
        for path in (Path(above, name) for name in (*names, *folders)):
            if not path.is_symlink():
                path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def _ended(words: list[str]) -> int:
    """Run a program to its end and return its exit code. If this process dies, so does the program."""
    with subprocess.Popen(  # noqa: S603 - uv, with words of our own
        words,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - the other thread waits in a read, and holds no lock
    ) as program:
        return program.wait()


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _hold_lifeline() -> None:
    """End this process as soon as nobody is there who wants the environment."""
    while os.read(0, 1):
        pass
    os._exit(EXIT_ORPHANED)


if __name__ == "__main__":
    threading.Thread(target=_hold_lifeline, daemon=True).start()
    sys.exit(main(sys.argv[1:]))
