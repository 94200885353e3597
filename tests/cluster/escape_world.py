"""What the escape tests reach for, and how they try it: in slices, without isolation, and in bubblewrap."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ordinary_user import OrdinaryUser
from sandbox_world import HAS_RANGES, World, children_of, line_of

HERE: Final = Path(__file__).parent
CONTROL_S: Final = 60
XATTR_CHOWN: Final = bytes.fromhex(
    "0100000201000000000000000000000000000000"
)  # CAP_CHOWN, permitted and effective
AS_ROOT: Final = () if HAS_RANGES else ("--map-root-user",)
NEW_NAMESPACES: Final = ("unshare", *AS_ROOT, "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder to be written, one to be read, and what lies beside them."""

    folder: Path
    shown: Path
    secret: Path

    def world(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "shown": str(self.shown),
            "secret": str(self.secret),
            "handle": handle_of(self.secret),
            "disk": disk(),
        }


@contextmanager
def ground() -> Iterator[Ground]:
    """Make all of it where every user gets to: what cannot be reached is closed by the slice, not by the modes of the folders above."""
    base = Path(tempfile.mkdtemp(prefix="runink-escapes-", dir="/var/tmp"))
    base.chmod(0o755)
    made = Ground(base / "folder", base / "shown", base / "secret")
    try:
        made.secret.write_text("a secret of the host")
        for folder in (made.folder, made.shown):
            folder.mkdir()
            folder.chmod(0o777)
        for path in (made.shown / "file", made.shown / "spare", made.folder / "own"):
            path.write_text("content")
            path.chmod(0o666)
        os.mkfifo(made.shown / "pipe", 0o666)
        (made.folder / "link").symlink_to(made.secret)
        for name in ("setuid", "capable"):
            shutil.copy("/usr/bin/cat", made.folder / name)
        (made.folder / "setuid").chmod(0o4755)
        if HAS_RANGES:  # nobody but root can make these
            os.mknod(made.folder / "disk", stat.S_IFBLK | 0o666, disk())
            os.mknod(made.folder / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
            os.setxattr(made.folder / "capable", "security.capability", XATTR_CHOWN)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(made.shown / "socket"))
            (made.shown / "socket").chmod(0o666)
            server.listen()
            # Somebody who holds the pipe open, as its reader would.
            reader = os.open(made.shown / "pipe", os.O_RDONLY | os.O_NONBLOCK)
            yield made
            os.close(reader)
    finally:
        shutil.rmtree(base)


def disk() -> int:
    """Return the number of a disk that the machine has."""
    words = Path("/proc/partitions").read_text().split()[4:]
    return os.makedev(int(words[0]), int(words[1]))


def handle_of(path: Path) -> tuple[int, str]:
    """Return a file's handle: its kind and its bytes."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(8 + 128)
    ctypes.memmove(buffer, (ctypes.c_uint * 1)(128), 4)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, os.fsencode(path), buffer, ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), f"no handle of {path}")
    size, kind = (ctypes.c_uint * 2).from_buffer(buffer)
    return kind, buffer.raw[8 : 8 + size].hex()


def job(tries: str, world: dict[str, Any]) -> str:
    return json.dumps({"tries": tries, "world": world})


async def in_slice(world: World, tries: str, ground: dict[str, Any], **changes: Any) -> Any:
    """Have a slice do it; return what it said."""
    exited, stdout, stderr = await world.ran(job(tries, ground), f"{tries} {len(world.heard)}", **changes)  # fmt: skip
    assert (exited.code, stderr) == (0, ""), (tries, exited, stderr)
    return json.loads(stdout)


def program(tries: str, world: dict[str, Any]) -> list[str]:
    return [sys.executable, str(HERE / "escape_probes.py"), job(tries, world)]


def without(tries: str, world: dict[str, Any], *, before: tuple[str, ...] = ()) -> Any:
    """Do it as a plain process of root; `before` are a program and its options that start it."""
    done = subprocess.run(
        [*before, *program(tries, world)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CONTROL_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def in_bubblewrap(made: Ground, user: OrdinaryUser) -> tuple[str, ...]:
    """Return how bubblewrap is asked for about the same by an ordinary user, who is its usual one."""
    words = ["bwrap", "--unshare-all", "--new-session", "--die-with-parent"]
    words += ["--tmpfs", "/tmp"]  # first: what it is shown may lie beneath it
    for path in ("/usr", "/etc", sys.prefix, str(HERE), str(HERE.parents[1] / "runink")):
        words += ["--ro-bind", path, path]
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            words += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]  # noqa: PTH115 - as it is written
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += ["--bind", str(made.folder), str(made.folder)]
    words += ["--ro-bind", str(made.shown), str(made.shown)]
    return tuple(user.command(words))


@contextmanager
def victim_without(name: str, key: int) -> Iterator[dict[str, Any]]:
    """Have somebody to be attacked that is a plain process of this machine."""
    process = subprocess.Popen(
        program("victim", {"name": name, "key": key}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield {"name": name, "key": key, "pid": process.pid, **told}
    finally:
        process.stdin.close()
        assert process.wait(CONTROL_S) == 0
        process.stdout.close()


async def victim_in(
    world: World, name: str, key: int, herd: str, **changes: Any
) -> tuple[Any, dict[str, Any]]:
    """Have somebody to be attacked that is a slice; return it, and where its secrets are."""
    slice_ = await world.launch(
        job("victim", {"name": name, "key": key}), name, herd=herd, **changes
    )
    told = json.loads(await line_of(slice_.stdout))
    (worker,) = children_of(slice_.pid)
    return slice_, {"name": name, "key": key, "pid": worker, **told}
