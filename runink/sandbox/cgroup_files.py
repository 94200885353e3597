r"""The files of a cgroup: read, written and understood.  Every error is an OSError whose text names the file.

    kind of file         example                            as the kernel writes it
    one number           memory.max, pids.max               "67108864\n"; "max\n" without a limit, in v1 "-1\n" or a number beyond any memory
    names and numbers    memory.events, cpu.stat            "oom 1\noom_kill 1\n"
    devices, v2          io.stat                            "254:0 rbytes=4096 wbytes=0 rios=1 wios=0\n"
    devices, v1          blkio.throttle.io_service_bytes    "254:0 Read 4096\n254:0 Write 0\n...Total 4096\n"
    processes            cgroup.procs                       "17\n18\n"; 0 is a process that our pid namespace has no number for

Processes are never sent a signal by the number 0: it would go to our own process group.
"""

from __future__ import annotations

import os
from typing import Final

READ_BYTES: Final = 1 << 16
NO_LIMIT: Final = 1 << 60  # v1 shows no limit as 2**63 less a page


def read(path: str) -> str:
    """Return what the file holds. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(descriptor, READ_BYTES):
            pieces.append(piece)
    except OSError as error:
        raise _named(error, path) from error
    finally:
        os.close(descriptor)
    return b"".join(pieces).decode()


def read_at_once(path: str) -> str:
    """Return what a file holds that the kernel writes in one piece: all but lists of processes. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, READ_BYTES).decode()
    except OSError as error:
        raise _named(error, path) from error
    finally:
        os.close(descriptor)


class Opened:
    """Files that stay open for who comes to them again; closed, they are opened anew when they are wanted."""

    def __init__(self) -> None:
        self._descriptors: dict[tuple[str, int], int] = {}

    def descriptor(self, path: str, flags: int) -> int:
        """Return a descriptor of the file, which stays ours to close. Raises OSError."""
        key = path, flags
        found = self._descriptors.get(key)
        if found is None:
            found = self._descriptors[key] = os.open(path, flags | os.O_CLOEXEC)
        return found

    def read(self, path: str) -> str:
        """Do what `read_at_once` does. Raises OSError."""
        try:
            return os.pread(self.descriptor(path, os.O_RDONLY), READ_BYTES, 0).decode()
        except OSError as error:
            raise _named(error, path) from error

    def write(self, path: str, text: str) -> None:
        """Do what `write` does. Raises OSError."""
        try:
            os.pwrite(self.descriptor(path, os.O_WRONLY), text.encode(), 0)
        except OSError as error:
            raise _named(error, path, text) from error

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


def read_if_any(path: str) -> str:
    """Return what the file holds; nothing if the kernel has no such file here. Raises OSError."""
    try:
        return read(path)
    except FileNotFoundError:
        return ""


def write(path: str, text: str) -> None:
    """Write the text in one call, as the kernel wants it. Raises OSError that names the file and the text."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise _named(error, path, text) from error
    finally:
        os.close(descriptor)


def _named(error: OSError, path: str, text: str = "") -> OSError:
    tried = f", writing {text!r}" if text else ""
    return OSError(error.errno, f"{error.strerror}{tried}", path)


def exists(path: str) -> bool:
    return os.access(path, os.F_OK)


def make(directory: str, *, may_exist: bool) -> bool:
    """Make the cgroup, and say whether it is new. Raises OSError."""
    try:
        os.mkdir(directory)  # noqa: PTH102 - pathlib is 2 MB that the spawner does not need
    except FileExistsError:
        if not may_exist:
            raise
        return False
    return True


def children(directory: str) -> list[str]:
    """Return the names of the cgroups in this one; none if it is not there."""
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def links(directory: str) -> list[str]:
    """Return the names of everything in a folder of /sys; none if it is not there."""
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries]
    except FileNotFoundError:
        return []


def number(text: str) -> int:
    """Return a limit as a number, 0 for none."""
    word = text.split(maxsplit=1)[0]
    if word in {"max", "-1"}:
        return 0
    found = int(word)
    return 0 if found >= NO_LIMIT else found


def numbers(text: str) -> dict[str, int]:
    """Return what stands behind each name."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def pids(text: str) -> list[int]:
    """Return the process ids that mean something to us."""
    return [pid for pid in map(int, text.split()) if pid > 0]


def device_bytes(text: str) -> tuple[int, int]:
    """Return how many bytes were read and written, over all devices, from io.stat or from its like in v1."""
    found = {"rbytes": 0, "wbytes": 0, "Read": 0, "Write": 0}
    for line in text.splitlines():
        words = line.split()[1:]
        # v1 writes one pair a line, with a space.
        pairs = (
            [words] if len(words) == 2 and "=" not in words[0] else [w.split("=") for w in words]
        )
        for pair in pairs:
            if len(pair) == 2 and pair[0] in found:
                found[pair[0]] += int(pair[1])
    return found["rbytes"] + found["Read"], found["wbytes"] + found["Write"]
