"""What every root of a node has, made once by the spawner in its own mount namespace and copied for each slice.

    /usr, and /bin, /lib, ... as the machine has them      its programs and libraries, read-only
    /etc                                                   a few files of the machine (SHOWN), and users and hosts of our own
    /dev                                                   null, zero, full, random, urandom; no terminal, no disk
    the runtime                                            Python, its packages and Runink, where they lie outside /usr, read-only

The pieces lie in a memory file system at `folder`, which nobody outside the spawner's mount namespace sees.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterable
from typing import Final

from runink.sandbox.mounts import READ_ONLY as READ_ONLY_ATTRIBUTES
from runink.sandbox.mounts import (
    SAFE,
    Tree,
    attach,
    copied,
    detached,
    made_for_slices,
    new_filesystem,
    set_attributes,
)
from runink.sandbox.syscalls import MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY

SYSTEM: Final = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
SHOWN: Final = (
    "alternatives", "ca-certificates", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "pki", "services", "ssl",
)  # fmt: skip
ONLINE: Final = ("/etc/hosts", "/etc/resolv.conf")  # the machine's, where a slice has its network
DEVICES: Final = ("null", "zero", "full", "random", "urandom")
DEVICE_ATTRIBUTES: Final = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY
DEVICE_LINKS: Final = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
FILES: Final = {
    "passwd": "root:x:0:0:root:/:/usr/sbin/nologin\nslice:x:1000:1000:slice:/tmp:/usr/sbin/nologin\n",
    "group": "root:x:0:\nslice:x:1000:\n",
    "hosts": "127.0.0.1 localhost slice\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
}


class Skeleton:
    """The pieces. Raises OSError where the kernel does not allow to make them."""

    @made_for_slices()
    def __init__(self, folder: str, *, runtime: Iterable[str]) -> None:
        self.folder = folder
        self._resolvers: dict[str, str] = {}
        attach(new_filesystem("tmpfs", SAFE, size="4m", mode="755"), folder)
        self.links = [[name, os.readlink(f"/{name}")] for name in SYSTEM if _is_link(f"/{name}")]  # noqa: PTH115 - the sandbox does without pathlib
        folders = [f"/{name}" for name in SYSTEM if _is_folder(f"/{name}")]
        shown = [*folders, *_outermost(runtime)]
        self._targets = [(path, _is_folder(path)) for path in (*shown, "/etc", "/dev")]
        for path in shown:
            self._show(path, READ_ONLY_ATTRIBUTES)
        self._make_etc()
        self._make_devices()

    def trees(self) -> list[Tree]:
        """Return copies of all pieces, the caller's to attach or close. Raises OSError."""
        return [Tree(path, copied(self.folder + path), holds) for path, holds in self._targets]

    def online(self) -> list[Tree]:
        """Return what a slice in the machine's network is shown beside that."""
        return [
            Tree(path, detached(path, READ_ONLY_ATTRIBUTES), holds=False)
            for path in ONLINE
            if os.path.exists(path)  # noqa: PTH110 - as above
        ]

    @made_for_slices()
    def resolving(self, herd: str, resolver: str) -> list[Tree]:
        """Return what a slice in its herd's network is shown beside that: where it looks names up."""
        path = f"{self.folder}/resolv.conf-{zlib.crc32(herd.encode()):08x}"
        if self._resolvers.get(herd) != resolver:
            _write(path, resolver)
            self._resolvers[herd] = resolver
        return [Tree("/etc/resolv.conf", detached(path, READ_ONLY_ATTRIBUTES), holds=False)]

    def _show(self, path: str, attributes: int) -> None:
        """Have a piece of the machine in our folder, at its own path."""
        place = self.folder + path
        tree = detached(path, attributes)
        if _is_folder(path):
            os.makedirs(place, exist_ok=True)  # noqa: PTH103 - as above
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120 - as above
            _write(place, "")
        attach(tree, place)

    def _make_etc(self) -> None:
        self._own_folder("/etc")
        for name, text in FILES.items():
            _write(f"{self.folder}/etc/{name}", text)
        for name in SHOWN:
            if os.path.exists(f"/etc/{name}"):  # noqa: PTH110 - as above
                self._show(f"/etc/{name}", READ_ONLY_ATTRIBUTES)
        self._finish("/etc")

    def _make_devices(self) -> None:
        self._own_folder("/dev")
        for name in DEVICES:
            self._show(f"/dev/{name}", DEVICE_ATTRIBUTES)
        for name, leads_to in DEVICE_LINKS:
            os.symlink(leads_to, f"{self.folder}/dev/{name}")  # noqa: PTH211 - as above
        for name in ("shm", "empty"):
            os.mkdir(f"{self.folder}/dev/{name}")  # noqa: PTH102 - as above
        self._finish("/dev")

    def _finish(self, path: str) -> None:
        """Let nobody change a folder of ours any more."""
        folder = os.open(self.folder + path, os.O_PATH | os.O_CLOEXEC)
        try:
            set_attributes(folder, READ_ONLY_ATTRIBUTES)
        finally:
            os.close(folder)

    def _own_folder(self, path: str) -> None:
        """Make a mount of its own for a folder of ours, so that it can be copied without its surroundings."""
        place = self.folder + path
        os.mkdir(place)  # noqa: PTH102 - as above
        attach(new_filesystem("tmpfs", SAFE, size="1m", mode="755"), place)


def runtime_folders(paths: Iterable[str]) -> list[str]:
    """Return the folders that our interpreter and packages live in, with these, where they lie outside /usr."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - as above
    wanted = [sys.prefix, sys.base_prefix, package, *paths]
    return [path for path in map(os.path.abspath, wanted) if not _is_beneath(path, "/usr")]


def _outermost(paths: Iterable[str]) -> list[str]:
    """Return those that lie in no other."""
    ordered = sorted(set(paths))
    return [
        path
        for path in ordered
        if not any(other != path and _is_beneath(path, other) for other in ordered)
    ]


def _is_beneath(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _is_link(path: str) -> bool:
    return os.path.islink(path)  # noqa: PTH114 - as above


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114 - as above


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - as above
        file.write(text)
