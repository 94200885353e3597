"""A machine's service manager in namespaces of its own: systemd, with no units but those that a test brings.

    python systemd_world.py NAME UNITS ETC SHARED FOLDER...      starts it, and says which process it is; it says READY=1 to SHARED/notify when it takes commands

NAME is that of its control groups, UNITS the folder of the units, ETC one with passwd and group, SHARED a folder of the test's that is there as /srv; each FOLDER is reached wherever it lies.  /run, /tmp, /var/lib, /dev and /opt are its own.
It starts in a control group of its own in every hierarchy, beneath ours, and sees nothing above that.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import runink
from runink.sandbox import cgroup_tree as tree
from runink.sandbox import privileges
from runink.sandbox.cgroup_files import read
from runink.sandbox.cgroup_layout import located
from runink.sandbox.mounts import READ_ONLY, attach, detached, new_filesystem
from runink.sandbox.rights import User
from runink.sandbox.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    MNT_DETACH,
    MS_PRIVATE,
    MS_REC,
    call,
)
from within_reach import reach

PROGRAM = "/lib/systemd/systemd"
OWN = ("/run", "/tmp", "/var/tmp", "/var/lib", "/opt")
NAMESPACES = (
    CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
GROUPS = Path("/sys/fs/cgroup")
# What every unit waits for, and what the manager itself goes by; here there is nothing in them.
TARGETS = (
    "sysinit",
    "basic",
    "shutdown",
    "umount",
    "final",
    "exit",
    "network-online",
    "multi-user",
)
WAIT_S = 120  # what takes longer hangs: systemd itself gives services 90 s


def become_manager(units: Path, etc: Path, shared: Path, folders: list[Path]) -> None:
    """Be systemd, the first process of these namespaces."""
    call("mount", b"none", b"/", b"", MS_REC | MS_PRIVATE, b"")
    mounts = {"/srv": shared, "/run/units": units}
    mounts |= {f"/etc/{name}": etc / name for name in ("passwd", "group")}
    trees = {place: detached(str(path), 0) for place, path in mounts.items()}
    reach(folders)
    covered = [one for one in folders if any(one.is_relative_to(path) for path in OWN)]
    kept = {one: detached(str(one), 0) for one in covered}
    kinds = group_kinds()
    for path in OWN:
        attach(new_filesystem("tmpfs", 0, mode="1777" if "tmp" in path else "755"), path)
    for folder, mounted in kept.items():
        folder.mkdir(parents=True, exist_ok=True)
        attach(mounted, str(folder))
    give_devices()
    attach(new_filesystem("proc", 0), "/proc")
    attach(detached("/proc/sys", READ_ONLY), "/proc/sys")
    # What would be covered only would stand in the list of mounts, twice with different roots.
    call("umount2", b"/sys", MNT_DETACH)
    attach(new_filesystem("sysfs", READ_ONLY), "/sys")
    give_groups(kinds)
    Path("/run/units").mkdir()
    for place, mounted in trees.items():
        attach(mounted, place)
    program = Path("/opt/runink/bin/runi")
    program.parent.mkdir(parents=True)
    program.symlink_to(Path(sys.prefix, "bin", "runi"))
    environment = {
        "container": "runink-test",
        "PATH": os.environ["PATH"],
        "NOTIFY_SOCKET": "/srv/notify",
        "SYSTEMD_UNIT_PATH": "/run/units",
    }
    words = [
        PROGRAM,
        "--system",
        "--unit=multi-user.target",
        "--log-target=console",
        "--show-status=0",
    ]
    os.execve(PROGRAM, words, environment)


def give_devices() -> None:
    trees = {name: detached(f"/dev/{name}", 0) for name in DEVICES}
    attach(new_filesystem("tmpfs", 0, mode="755"), "/dev")
    for name, node in trees.items():
        Path("/dev", name).touch()
        attach(node, f"/dev/{name}")
    Path("/dev/console").touch()
    attach(detached("/dev/null", 0), "/dev/console")
    for name in ("shm", "pts", "mqueue", "hugepages"):
        Path("/dev", name).mkdir()
    attach(new_filesystem("devpts", 0), "/dev/pts")
    for name, leads_to in LINKS.items():
        Path("/dev", name).symlink_to(leads_to)


def group_kinds() -> list[tuple[str, str, str]]:
    """Return each mounted hierarchy: where it is beneath GROUPS, its kind, its options."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        place = before.split()[4]
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2") and place.startswith(str(GROUPS)):
            wanted = [one for one in options.split(",") if one not in ("rw", "ro", "seclabel")]
            found.append((place, kind, ",".join(wanted)))
    return found


def give_groups(kinds: list[tuple[str, str, str]]) -> None:
    if all(place != str(GROUPS) for place, _, _ in kinds):
        attach(new_filesystem("tmpfs", 0, mode="755"), str(GROUPS))
    for place, kind, options in kinds:
        Path(place).mkdir(exist_ok=True)
        if kind == "cgroup2":
            attach(new_filesystem("cgroup2", 0), place)
        else:
            call("mount", b"cgroup", os.fsencode(place), b"cgroup", 0, _v1(options).encode())


def _v1(options: str) -> str:
    """Return what a hierarchy of v1 is mounted with: a named one has no controller."""
    return f"none,{options}" if "name=" in options else options


def directories() -> list[Path]:
    """Return where a group of ours can be made in each hierarchy: beneath the one that we are in."""
    here = located(read("/proc/self/mountinfo"), read("/proc/self/cgroup"))
    return [Path(one.directory) for one in here]


def join(name: str) -> None:
    """Be in a group of this name, which is ours alone, in each hierarchy."""
    for directory in directories():
        group = directory / name
        group.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).exists() and (directory / file).read_text().strip():
                (group / file).write_text((directory / file).read_text())
        (group / "cgroup.procs").write_text("0")


def main(name: str, places: list[Path]) -> None:
    """Start the manager, say which process it is, and wait for its end."""
    join(name)
    call("unshare", NAMESPACES)
    pid = os.fork()
    if not pid:
        privileges.die_with_parent(signal.SIGKILL)
        become_manager(*places[:3], places[3:])
    print(pid, flush=True)  # noqa: T201 - it is what is asked for
    os.waitpid(pid, 0)


class Manager:
    """The manager, from outside. `pid` is its process, `shared` what is there as /srv."""

    def __init__(self, pid: int, shared: Path) -> None:
        self.pid = pid
        self.shared = shared

    def run(
        self, *words: str, user: User | None = None, cwd: str = "/", given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the manager and its services live."""
        if user is not None:
            ids = [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
            words = ("setpriv", *ids, "--no-new-privs", *words)
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--net"]
        return subprocess.run(
            [*enter, f"--wdns={cwd}", *words],
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/var/lib/runink",
                "RUNINK_STATE": "/var/lib/runink",
            },
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )

    def asked(self, *words: str) -> str:
        """Return what systemctl says, in one line."""
        return " ".join(self.run("systemctl", *words).stdout.split())


@contextmanager
def manager_of(shared: Path, units: dict[str, str], etc: Path) -> Iterator[Manager]:
    """Run systemd with these units, until it takes commands. All that it has started ends with the block."""
    name = f"runink-test-{os.getpid()}"
    folder = shared / "units"
    for path, text in units.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for target in TARGETS:
        text = f"[Unit]\nDescription={target}\nDefaultDependencies=no\n"
        (folder / f"{target}.target").write_text(text)
    words = [sys.executable, __file__, name, str(folder), str(etc), str(shared)]
    folders = [str(Path(runink.__path__[0]).parent), sys.prefix, sys.base_prefix]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(shared / "notify"))
        told.settimeout(WAIT_S)
        with subprocess.Popen(
            [*words, *folders], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            pid = int(child.stdout.readline())
            pidfd = os.pidfd_open(pid)
            try:
                wait_ready(told, pidfd, child)
                yield Manager(pid, shared)
            finally:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)
                child.communicate(timeout=WAIT_S)
                for directory in directories():
                    tree.remove(list(tree.below(str(directory / name))))


def wait_ready(told: socket.socket, pidfd: int, child: subprocess.Popen[str]) -> None:
    """Wait until it takes commands."""
    said = b""
    while b"READY=1" not in said.splitlines():
        ready, _, _ = select.select([told, pidfd], [], [], WAIT_S)
        assert told in ready, child.communicate(timeout=WAIT_S)
        said = told.recv(4096)


if __name__ == "__main__":
    main(sys.argv[1], [Path(one) for one in sys.argv[2:]])
