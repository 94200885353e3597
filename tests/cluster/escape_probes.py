"""What a slice tries in order to get out: as the entry of a slice, or as a program (`python escape_probes.py JOB`), which shows that the probe itself works.

The job is JSON: `tries` names a table of probes below, `world` says what there is to be reached.  Each probe runs in a process of its own.  The
outcomes are written as JSON: "done", "empty" (it is there and says nothing), or the name of the errno.
"""

# ruff: noqa: T201, PTH101, PTH104, PTH108, PTH110, PTH116, PTH123, PTH208, PTH211 - a slice tries by the plainest means; its output is its log

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import pty
import resource
import signal
import socket
import stat
import subprocess
import sys
import termios
from typing import Any, Final

from escape_means import LIBC, Probe, World, checked, connected, opened, read
from escape_others import FIRST, OTHERS

IOPRIO_REALTIME: Final = 1 << 13
# By the architecture.
IOPRIO_SET, OPEN_BY_HANDLE_AT = {"x86_64": (251, 304), "aarch64": (30, 265)}[os.uname().machine]


def unnamed(folder: str) -> None:
    """Make a file there that has no name, so that nothing stays."""
    opened(folder, os.O_TMPFILE | os.O_WRONLY)


# Files.


def by_the_folders_parent(world: World) -> object:
    folder = os.open(world["folder"], os.O_RDONLY)
    return os.close(os.open("../secret", os.O_RDONLY, dir_fd=folder))


def opened_again(world: World) -> None:
    """Open for writing what was opened for reading."""
    found = os.open(f"{world['shown']}/file", os.O_RDONLY)
    opened(f"/proc/self/fd/{found}")


def by_handle(world: World) -> None:
    kind, content = world["handle"]
    buffer = ctypes.create_string_buffer(bytes.fromhex(content))
    header = ctypes.create_string_buffer(8 + len(buffer.raw))
    ctypes.memmove(header, (ctypes.c_uint * 2)(len(buffer.raw) - 1, kind), 8)
    ctypes.memmove(ctypes.addressof(header) + 8, buffer, len(buffer.raw))
    folder = os.open(world["folder"], os.O_RDONLY)
    os.close(checked(LIBC.syscall(OPEN_BY_HANDLE_AT, folder, header, os.O_RDONLY)))


def linked(world: World) -> None:
    """Have a name of our own for a file that is only shown."""
    os.link(f"{world['shown']}/file", f"{world['folder']}/linked")
    os.unlink(f"{world['folder']}/linked")


def moved(world: World) -> None:
    os.rename(f"{world['shown']}/spare", f"{world['folder']}/moved")
    os.rename(f"{world['folder']}/moved", f"{world['shown']}/spare")


def labelled(world: World) -> None:
    os.setxattr(f"{world['shown']}/file", "user.label", b"x")
    os.removexattr(f"{world['shown']}/file", "user.label")


def left(way: str) -> Probe:
    """Leave a program that runs with the rights of whom the folder belongs to, in one of the ways to give a mode."""

    def probe(world: World) -> object:
        path = f"{world['folder']}/left-{os.getpid()}".encode()
        mode = 0o4755
        if way in ("chmod", "fchmod", "fchmodat2"):
            opened(path.decode(), os.O_CREAT | os.O_WRONLY)
        try:
            match way:
                case "open":
                    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, mode))
                case "openat2":
                    how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, mode, 0)
                    os.close(checked(LIBC.syscall(437, -100, path, how, ctypes.c_long(24))))
                case "chmod":
                    os.chmod(path, mode)
                case "fchmod":
                    os.fchmod(os.open(path, os.O_RDONLY), mode)
                case "fchmodat2":
                    checked(LIBC.syscall(452, -100, path, mode, 0))
                case "mknod":
                    os.mknod(path, stat.S_IFREG | mode)
            return None if os.stat(path).st_mode & stat.S_ISUID else "empty"
        finally:
            if os.path.exists(path):
                os.unlink(path)

    return probe


def planted(world: World) -> None:
    """Leave a link that leads whoever goes this way next to somewhere else."""
    link_in(world["folder"])


def link_in(folder: str) -> None:
    path = f"{folder}/planted-{os.getpid()}"
    os.symlink("/root", path)
    os.unlink(path)


def node(kind: int, device: int) -> None:
    path = f"/tmp/node-{os.getpid()}"
    os.mknod(path, kind | 0o600, device)
    os.unlink(path)


FILES: Final[dict[str, Probe]] = {
    **{
        f"make a file in {path}": lambda _, path=path: unnamed(path)
        for path in ("/", "/usr", "/usr/bin", "/etc", "/var/tmp", "/root")
    },
    "write /etc/passwd": lambda _: opened("/etc/passwd"),
    "write a program": lambda _: opened("/usr/bin/env", os.O_RDWR),
    "write a sysctl": lambda _: opened("/proc/sys/kernel/core_pattern"),
    "write a namespace's sysctl": lambda _: opened("/proc/sys/kernel/shmmax"),
    "read the host's passwords": lambda _: read("/etc/shadow"),
    "list /sys": lambda _: os.listdir("/sys"),
    "list cgroups": lambda _: os.listdir("/sys/fs/cgroup"),
    "list /root": lambda _: os.listdir("/root"),
    "read the secret": lambda world: read(world["secret"]),
    "read the secret by a link": lambda world: read(f"{world['folder']}/link"),
    "read the secret by ..": lambda world: read(f"{world['folder']}/../secret"),
    "read the secret by the folder's parent": by_the_folders_parent,
    "read the secret by /proc/self/root": lambda world: read(f"/proc/self/root{world['secret']}"),
    "read the secret by its parent's root": lambda world: read(f"/proc/{os.getppid()}/root{world['secret']}"),
    "read the secret by its handle": by_handle,
    "link what is shown": linked,
    "move what is shown": moved,
    "write what is shown": lambda world: opened(f"{world['shown']}/file"),
    "make a file in what is shown": lambda world: unnamed(world["shown"]),
    "write what is shown by its descriptor": opened_again,
    "cut what is shown": lambda world: os.truncate(f"{world['shown']}/file", 7),
    "change the mode of what is shown": lambda world: os.chmod(f"{world['shown']}/file", 0o644),
    "change the times of what is shown": lambda world: os.utime(f"{world['shown']}/file"),
    "label what is shown": labelled,
    "write into a pipe that is shown": lambda world: opened(f"{world['shown']}/pipe", os.O_WRONLY | os.O_NONBLOCK),
    "open memory that lies in a folder": lambda world: opened(f"{world['folder']}/zero", os.O_RDONLY),
    "make a disk": lambda world: node(stat.S_IFBLK, world["disk"]),
    "make a device": lambda _: node(stat.S_IFCHR, os.makedev(1, 5)),
    **{
        f"leave a set-user-id program by {way}": left(way)
        for way in ("open", "openat2", "chmod", "fchmod", "fchmodat2", "mknod")
    },
    "leave a link": planted,
    "give a file away": lambda world: os.chown(f"{world['folder']}/own", 12, 12),
}  # fmt: skip

# What is open on purpose.
OPEN: Final[dict[str, Probe]] = {
    "connect to a socket that is shown": lambda world: connected(f"{world['shown']}/socket"),
    "make a link in /tmp": lambda _: link_in("/tmp"),
    "list what is shown": lambda world: os.listdir(world["shown"]) and None,
    "make a file in a folder of its own": lambda world: unnamed(world["folder"]),
}  # fmt: skip

# Both, where one of them lies beneath the other.
LINKS: Final[dict[str, Probe]] = {
    "leave a link": planted,
    "make a link in /tmp": lambda _: link_in("/tmp"),
}

# What only a look past the mount could refuse: some machines keep even root from their disks.
DISK: Final[dict[str, Probe]] = {
    "open": lambda world: opened(f"{world['folder']}/disk", os.O_RDONLY)
}

# What /proc and /dev of the host tell, where the host has it.
TELLING: Final = (
    "/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/key-users", "/proc/modules",
    "/proc/timer_list", "/proc/cmdline", "/dev/mem", "/dev/kmsg", "/dev/port",
)  # fmt: skip
MACHINE: Final[dict[str, Probe]] = {
    **{f"read {path}": lambda _, path=path: read(path) for path in TELLING},
    "ask for a crash": lambda _: opened("/proc/sysrq-trigger"),
}


# Powers.


def as_somebody() -> None:
    """Be nobody's user, where we are root."""
    if not os.getuid():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)


def raised(program: str, field: str) -> object:
    """Run a copy of `cat` that has more rights, and say whether it did."""
    as_somebody()
    done = subprocess.run([program, "/proc/self/status"], capture_output=True, check=True)
    lines = dict(line.split(":\t", 1) for line in done.stdout.decode().splitlines() if ":\t" in line)  # fmt: skip
    value = lines[field].split()[1] if field == "Uid" else lines[field]
    is_raised = value == "0" if field == "Uid" else int(value, 16)
    return None if is_raised else "empty"


def realtime() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def core_allowed() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:  # what the module makes of EPERM
        raise OSError(errno.EPERM, str(error)) from error


def terminal() -> None:
    """Have a terminal that controls us."""
    opened("/dev/ptmx", os.O_RDWR)
    _, ours = pty.openpty()
    os.setsid()
    fcntl.ioctl(ours, termios.TIOCSCTTY, 0)
    os.close(os.open("/dev/tty", os.O_RDWR))


POWERS: Final[dict[str, Probe]] = {
    "become root": lambda _: os.setuid(0),
    "become the group of root": lambda _: os.setgid(0),
    "become another user": lambda _: os.setresuid(12, 12, 12),
    "choose groups": lambda _: os.setgroups([12]),
    "run a set-user-id program": lambda world: raised(f"{world['folder']}/setuid", "Uid"),
    "run a program with capabilities": lambda world: raised(f"{world['folder']}/capable", "CapEff"),
    "go before others": lambda _: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "be real-time": lambda _: realtime(),
    "have the disk first": lambda _: checked(LIBC.syscall(IOPRIO_SET, 1, 0, IOPRIO_REALTIME)),
    "leave a core": lambda _: core_allowed(),
    "have a terminal": lambda _: terminal(),
}

# What would harm the machine if it were done: without isolation it is tried in namespaces that are thrown away.
HARMFUL: Final[dict[str, Probe]] = {
    "mount": lambda _: checked(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
    "have the root writable": lambda _: checked(LIBC.mount(None, b"/", None, 0x1020, None)),
    "bind": lambda world: checked(
        LIBC.mount(os.fsencode(world["shown"]), b"/tmp", None, 0x1000, None)
    ),
    "unmount": lambda _: checked(LIBC.umount2(b"/proc", 2)),
    "change the root": lambda _: os.chroot("/tmp"),
    "rename the host": lambda _: socket.sethostname("elsewhere"),
}


TABLES: Final = {
    "files": FILES,
    "open": OPEN,
    "disk": DISK,
    "links": LINKS,
    "machine": MACHINE,
    "powers": POWERS,
    "harmful": HARMFUL,
    "others": OTHERS,
    "first": FIRST,
}


def outcome(probe: Probe, world: World) -> str:
    """Try in a child and return how it went."""
    source, target = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(30)
        said = "died"
        try:
            found = probe(world)
            said = found if isinstance(found, str) else "done"
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, str(error))
        except BaseException as error:  # noqa: BLE001 - the child must not go on as its parent
            said = repr(error)
        finally:
            os.write(target, said.encode())
            os._exit(0)
    os.close(target)
    with open(source) as told:
        found = told.read()
    status = os.waitpid(pid, 0)[1]
    return found or f"status {status}"


def tried(job: dict[str, Any]) -> dict[str, str]:
    world = job["world"]
    return {name: outcome(probe, world) for name, probe in TABLES[job["tries"]].items()}


def main(job: bytes, control: int, descriptors: list[int]) -> None:
    told = json.loads(job)
    if told["tries"] in TABLES:
        print(json.dumps(tried(told)))
        return
    # Not at the top: whoever is started as a program need not have it.
    import escape_lives

    escape_lives.LIVES[told["tries"]](told["world"], control, descriptors)


if __name__ == "__main__":
    main(sys.argv[1].encode(), 0, [])
