"""What slices of the escape tests do besides trying: tell what they see, be somebody to be attacked, use up what they have. Each prints JSON."""

# ruff: noqa: T201, PTH101, PTH108, PTH109, PTH115, PTH123, PTH208 - a slice's output is its log, and it looks by the plainest means; /tmp is its own

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any, Final

IPC_CREAT: Final = 0o1000
IPC_RMID: Final = 0
SHM_BYTES: Final = 4096
ONE_BLOCK: Final = b"x" * 4096
LIBC = ctypes.CDLL(None, use_errno=True)
World = dict[str, Any]


def say(found: object) -> None:
    print(json.dumps(found), flush=True)


# Facts.


def facts(_world: World, control: int, descriptors: list[int]) -> None:
    with open("/proc/self/status") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    with open("/proc/self/cgroup") as groups, open("/proc/net/dev") as cards:
        cgroup = groups.read().splitlines()
        names = [line.split(":")[0].strip() for line in cards if ":" in line]
    say(
        {
            "ids": [*os.getresuid(), *os.getresgid()],
            "groups": os.getgroups(),
            "status": {name: value for name, value in lines.items() if name.startswith(("Cap", "NoNew", "Seccomp"))},
            "descriptors": kinds_of_descriptors(),
            "given": [control, *descriptors],
            "mounts": mounts(),
            "cwd": os.getcwd(),
            "root": sorted(os.listdir("/")),
            "etc": sorted(os.listdir("/etc")),
            "devices": devices(),
            "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
            "own": [os.getppid(), os.getpid(), os.getsid(0)],
            "host": socket.gethostname(),
            "limits": {name: resource.getrlimit(getattr(resource, name)) for name in ("RLIMIT_CORE", "RLIMIT_NICE", "RLIMIT_RTPRIO")},
            "cards": names,
            "cgroup": cgroup,
            "environment": sorted(os.environ),
        }
    )  # fmt: skip


def kinds_of_descriptors() -> dict[int, str]:
    found = {}
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}").split(":")[0]
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


def mounts() -> dict[str, dict[str, Any]]:
    """Return what is mounted, by its place: the path within its file system, its kind, its flags."""
    found = {}
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            words = line.split()
            end = words.index("-")
            found[words[4]] = {"of": words[3], "flags": words[5].split(","), "kind": words[end + 1], "shared": words[6:end]}  # fmt: skip
    return found


def devices() -> dict[str, str]:
    found = {}
    with os.scandir("/dev") as listing:
        for entry in listing:
            status = entry.stat(follow_symlinks=False)
            kind = stat.filemode(status.st_mode)[0]
            number = f" {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
            found[entry.name] = kind + (number if kind in "cb" else "")
    return found


# Somebody to be attacked.


def victim(world: World, control: int, _descriptors: list[int]) -> None:
    """Have secrets everywhere, say where, and wait for the end."""
    name = world["name"]
    for folder in ("/tmp", "/dev/shm"):
        with open(f"{folder}/{name}", "w") as file:
            file.write(name)
    memory = LIBC.shmget(world["key"], SHM_BYTES, IPC_CREAT | 0o666)
    if memory < 0:
        raise OSError(ctypes.get_errno(), "no shared memory")
    has_queue = LIBC.mq_open(f"/{name}".encode(), os.O_CREAT | os.O_RDWR, 0o666, None) >= 0
    secret = ctypes.create_string_buffer(name.encode())
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        named.bind(f"\0{name}")
        named.listen()
        # Its environment, as /proc tells it, is that of a program's start.
        child = os.spawnve(os.P_NOWAIT, shutil.which("sleep") or "", ["sleep", "600"], {"SECRET": name})  # fmt: skip
        say({"port": server.getsockname()[1], "address": ctypes.addressof(secret), "has_queue": has_queue})  # fmt: skip
        while os.read(control, 1):
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for folder in ("/tmp", "/dev/shm"):
        os.unlink(f"{folder}/{name}")
    LIBC.shmctl(memory, IPC_RMID, None)
    LIBC.mq_unlink(f"/{name}".encode())


def killer(_world: World, _control: int, _descriptors: list[int]) -> None:
    """Have a child, and kill everybody that can be killed."""
    child = os.fork()
    if not child:
        signal.pause()
    os.kill(-1, signal.SIGKILL)
    say({"child": os.waitpid(child, 0)[1]})


# What there is to be used up.


def hoarder(world: World, _control: int, _descriptors: list[int]) -> None:
    """Fill the memory file systems, and say how much went in and what was said in the end."""
    found = {}
    for folder in world["folders"]:
        size, path = 0, f"{folder}/filled"
        with open(path, "wb", buffering=0) as file:
            try:
                while size < world["bytes"]:
                    size += file.write(ONE_BLOCK)
            except OSError as error:
                found[folder] = [size, errno.errorcode[error.errno or 0]]
            else:
                found[folder] = [size, "done"]
        os.unlink(path)
    say(found)


def collector(world: World, _control: int, _descriptors: list[int]) -> None:
    """Make files until no more can be made, remove them, and say how many there were."""
    made = 0
    said = "done"
    try:
        while made < world["files"]:
            os.close(os.open(f"{world['folder']}/{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        said = errno.errorcode[error.errno or 0]
    for number in range(made):
        os.unlink(f"{world['folder']}/{number}")
    say([made, said])


# What may be executed.


def executor(world: World, _control: int, _descriptors: list[int]) -> None:
    """Start a program from everywhere that can be written, and say what it may do itself."""
    found = {}
    memory = os.memfd_create("program", 0)
    with open("/usr/bin/cat", "rb") as program:
        content = program.read()
    os.write(memory, content)
    found["memory"] = started(f"/proc/self/fd/{memory}")
    for folder in world["folders"]:
        path = f"{folder}/program"
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o700)
        found[folder] = started(path)
        os.unlink(path)
    say(found)


def started(path: str) -> dict[str, str] | str:
    """Return what a copy of `cat` at the path tells of itself, or why it did not start."""
    source, target = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.dup2(target, 1)
            os.execv(path, ["cat", "/proc/self/status"])
        except OSError as error:
            os.write(target, f"Error:\t{errno.errorcode[error.errno or 0]}\n".encode())
        finally:
            os._exit(0)
    os.close(target)
    with open(source) as told:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in told if ":\t" in line)
    os.waitpid(pid, 0)
    if "Error" in lines:
        return lines["Error"]
    return {name: lines[name] for name in ("CapBnd", "CapEff", "NoNewPrivs", "Seccomp")}


def caller(_world: World, _control: int, _descriptors: list[int]) -> None:
    """Make the system calls that the seal's tests make behind the filter alone."""
    import seal_probes

    say({name: seal_probes.outcome(probe) for name, probe in seal_probes.probes().items()})


def reader(world: World, _control: int, _descriptors: list[int]) -> None:
    with open(world["path"]) as file:
        say(file.read())


LIVES: Final[dict[str, Callable[[World, int, list[int]], None]]] = {
    "facts": facts,
    "victim": victim,
    "killer": killer,
    "hoarder": hoarder,
    "collector": collector,
    "executor": executor,
    "caller": caller,
    "reader": reader,
}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    LIVES[told["tries"]](told["world"], 0, [])
