"""Debian packages as archives of files: which ones, in which version, and what is in them.  Nothing is installed.

apt's own lists say what there is, and apt checks what it downloads.  A machine without them is told the command that it needs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

APT_S = 120  # seconds for one command of apt, a download of 40 MB among them
# Libraries are taken with who needs them, and a kernel with the package that names the newest; other packages keep a system in order.
FOLLOWED = re.compile(r"(lib|zlib|linux-image-\d)")
DEPENDS = re.compile(r"^  (?:Pre)?Depends: (?P<name>[\w.+-]+)", re.MULTILINE)
ONLY_NEEDS = tuple(
    f"--no-{kind}"
    for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
)


# Where programs are looked for: root's are none of an ordinary user's.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class CannotMake(Exception):
    """The machine that runs the tests lacks something; the text holds the command that mends it."""


def require(programs: dict[str, str]) -> None:
    """Raise CannotMake unless these programs are there; their packages are the values."""
    missing = sorted(
        package for program, package in programs.items() if shutil.which(program, path=PATH) is None
    )
    if missing:
        raise CannotMake(f"missing here: run `apt-get install {' '.join(missing)}`")


def with_libraries(names: Sequence[str]) -> list[str]:
    """Return these packages and the libraries that they need. Raises CannotMake if apt does not know one."""
    listing = _apt("apt-cache", "depends", "--recurse", *ONLY_NEEDS, *names)
    needs = {
        name: DEPENDS.findall(lines)
        for name, lines in re.findall(r"^(\S+)\n((?: .*\n)*)", listing, re.MULTILINE)
    }
    unknown = [name for name in names if name not in needs]
    if unknown:
        raise CannotMake(f"apt knows no {' and no '.join(unknown)}: run `apt-get update`")
    found = list(names)
    for name in found:  # it grows as we go, by names that are not yet in it
        found += [
            need for need in needs.get(name, ()) if FOLLOWED.match(need) and need not in found
        ]
    return found


def versions(names: Sequence[str]) -> list[str]:
    """Return a line for each package that changes when the package does: its file's name, bytes and digest."""
    listing = _apt("apt-get", "download", "--print-uris", *names)
    return sorted(line.partition(" ")[2] for line in listing.splitlines() if line[:1] == "'")


def download(names: Sequence[str], folder: Path) -> list[Path]:
    """Fetch these packages into a folder; return their files."""
    _apt("apt-get", "download", "--quiet", *names, cwd=folder)
    return sorted(folder.glob("*.deb"))


def record_of(package: Path) -> str:
    """Return what dpkg would write down of a package that it has installed."""
    return f"{_apt('dpkg-deb', '--field', str(package))}Status: install ok installed\n"


def members(package: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Give what is in a package: its name, kind and mode, and the content of a file. Hard links have their content again."""
    unpacking = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    )
    assert unpacking.stdout is not None
    contents: dict[str, bytes] = {}
    with unpacking, tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive:
        for member in archive:
            if member.isreg():
                source = archive.extractfile(member)
                assert source is not None
                contents[member.name] = source.read()
            elif member.islnk():
                contents[member.name] = contents[member.linkname]
            yield member, contents.get(member.name, b"")
    if unpacking.returncode:
        raise CannotMake(f"dpkg-deb cannot unpack {package}: remove the file")


def _apt(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=APT_S
    )
    if done.returncode:
        raise CannotMake(
            f"{' '.join(command)} failed; run `apt-get update`, or see what it says: {done.stderr}"
        )
    return done.stdout
