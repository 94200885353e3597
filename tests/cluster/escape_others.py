"""What is tried at others: at their files, memory, sockets and processes. `world` says where their secrets are (`escape_lives.victim`)."""

# ruff: noqa: PTH123, PTH208 - a slice tries by the plainest means

from __future__ import annotations

import ctypes
import os
import resource
import socket
from typing import Final

from escape_means import LIBC, Probe, World, checked, connected, opened, read

PTRACE_SEIZE: Final = 0x4206
# By the architecture.
PROCESS_VM_READV, PTRACE = {"x86_64": (310, 101), "aarch64": (270, 117)}[os.uname().machine]


def victims_file(folder: str) -> Probe:
    return lambda world: read(f"{folder}/{world['name']}")


def victims_shared_memory(world: World) -> None:
    checked(LIBC.shmget(world["key"], 0, 0))


def victims_queue(world: World) -> None:
    checked(LIBC.mq_open(f"/{world['name']}".encode(), os.O_RDONLY))


def victims_environment(world: World) -> object:
    """Look for the name in the environment of every process that is to be seen, but for those that show nothing."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if f"SECRET={world['name']}".encode() in file.read():
                    return None
        except OSError:
            continue
    return "empty"


def victims_memory(world: World) -> object:
    buffer = ctypes.create_string_buffer(len(world["name"]))
    vectors = [
        (ctypes.c_size_t * 2)(address, len(world["name"]))
        for address in (ctypes.addressof(buffer), world["address"])
    ]
    call = (PROCESS_VM_READV, world["pid"], vectors[0], ctypes.c_ulong(1), vectors[1], ctypes.c_ulong(1), ctypes.c_ulong(0))  # fmt: skip
    checked(LIBC.syscall(*call))
    return None if buffer.raw.decode() == world["name"] else "empty"


def victims_tcp(world: World) -> None:
    socket.create_connection(("127.0.0.1", world["port"]), timeout=5).close()


def attached(world: World) -> None:
    """Become its tracer; that ends with us."""
    number, nothing = ctypes.c_long(PTRACE_SEIZE), ctypes.c_long(0)
    checked(LIBC.syscall(PTRACE, number, ctypes.c_long(world["pid"]), nothing, nothing))


OTHERS: Final[dict[str, Probe]] = {
    "file in /tmp": victims_file("/tmp"),
    "file in /dev/shm": victims_file("/dev/shm"),
    "shared memory": victims_shared_memory,
    "message queue": victims_queue,
    "abstract socket": lambda world: connected(f"\0{world['name']}"),
    "server on loopback": victims_tcp,
    "environment": victims_environment,
    "memory": victims_memory,
    "memory by /proc": lambda world: opened(f"/proc/{world['pid']}/mem", os.O_RDONLY),
    "descriptors": lambda world: os.listdir(f"/proc/{world['pid']}/fd"),
    "root": lambda world: os.listdir(f"/proc/{world['pid']}/root/"),
    "namespace": lambda world: opened(f"/proc/{world['pid']}/ns/net", os.O_RDONLY),
    "name": lambda world: read(f"/proc/{world['pid']}/comm"),
    "signal": lambda world: os.kill(world["pid"], 0),
    "handle": lambda world: os.close(os.pidfd_open(world["pid"])),
    "tracing": attached,
    "priority": lambda world: os.setpriority(os.PRIO_PROCESS, world["pid"], 0),
    "processors": lambda world: os.sched_setaffinity(world["pid"], os.sched_getaffinity(0)),
    "limits": lambda world: resource.prlimit(world["pid"], resource.RLIMIT_NOFILE) and None,
}

# A slice's own first process, which is of the same user.
FIRST: Final[dict[str, Probe]] = {
    **{
        f"its {name}": lambda world, name=name: opened(f"/proc/{world['first']}/{name}", os.O_RDONLY)
        for name in ("environ", "mem", "maps", "ns/mnt")
    },
    "its descriptors": lambda world: os.listdir(f"/proc/{world['first']}/fd") and None,
    "its root": lambda world: os.listdir(f"/proc/{world['first']}/root/") and None,
}  # fmt: skip
