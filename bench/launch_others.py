"""What launches are measured against: the same program started by bubblewrap, by crun, and by nothing at all.

It is a process of its own, because crun refuses to run where cgroups are of both versions: it stands in a mount namespace in which /sys/fs/cgroup has only v1
controllers, mounted anew beneath a group of this measurement's own.  A name on standard input is a launch; the answer is two numbers, the seconds until the program's
first instruction and until its end.

crun gets the bundle that `crun spec` makes, with what a slice has beside it: a user namespace, and limits of memory, processor and processes.  It has no seccomp filter,
which a slice has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from runink.sandbox.cgroup_layout import Hierarchy, located
from runink.sandbox.syscalls import CLONE_NEWCGROUP, CLONE_NEWNS, call

CGROUPS: Final = Path("/sys/fs/cgroup")
CONTROLLERS: Final = ("memory", "cpu", "pids", "freezer")
SHOWN: Final = "/usr"
LINKS: Final = {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"}
FIRST_ID: Final = 1 << 31  # of ids that nobody else on the machine has
MEMORY_BYTES: Final = 256 << 20
PROCESSES: Final = 64
PERIOD_US: Final = 100_000

PLAIN: Final = "posix_spawn"
BUBBLEWRAP: Final = "bubblewrap"
CRUN: Final = "crun"
CRUN_WITHOUT: Final = "crun without cgroups"


class Others:
    """The process, as whoever measures sees it."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def launch(self, name: str) -> tuple[float, float]:
        """Return the seconds until the program's first instruction, and until its end."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{name}\n")
        self._child.stdin.flush()
        first_s, end_s = self._child.stdout.readline().split()
        return float(first_s), float(end_s)


@contextmanager
def others_in(folder: Path, stamp: Path) -> Iterator[Others]:
    """Run the process for as long as the block, with what it needs in the folder."""
    write_bundle(folder / "bundle", stamp)
    with ExitStack() as stack:
        groups = [stack.enter_context(group_beneath(one)) for one in hierarchies()]
        words = [sys.executable, __file__, str(folder), str(stamp), *map(str, groups)]
        child = stack.enter_context(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        yield Others(child)


def hierarchies() -> list[Hierarchy]:
    """Return where we stand among the v1 controllers that crun gets."""
    found = located(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    return [one for one in found if not one.is_v2 and set(CONTROLLERS) & set(one.controllers)]


@contextmanager
def group_beneath(hierarchy: Hierarchy) -> Iterator[Path]:
    group = Path(hierarchy.directory) / f"runink-bench-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        group.rmdir()


def write_bundle(bundle: Path, stamp: Path) -> None:
    """Make an OCI bundle whose program is the stamp, and whose root is made of mounts."""
    root = bundle / "rootfs"
    for path in ("proc", "dev", "tmp", "usr"):
        (root / path).mkdir(parents=True)
    for path, target in LINKS.items():
        (root / path.lstrip("/")).symlink_to(target)
    (root / stamp.name).touch()
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    file = bundle / "config.json"
    file.write_text(json.dumps(config(json.loads(file.read_text()), stamp)))


def config(spec: Mapping[str, Any], stamp: Path) -> dict[str, Any]:
    """Return what `crun spec` says, with the program, the mounts and the limits of a slice."""
    read_only = ["rbind", "ro", "nosuid", "nodev"]
    mounts = [one for one in spec["mounts"] if one["destination"] in ("/proc", "/dev")]
    mounts += [
        {"destination": SHOWN, "type": "bind", "source": SHOWN, "options": read_only},
        {"destination": f"/{stamp.name}", "type": "bind", "source": str(stamp), "options": read_only},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
    ]  # fmt: skip
    ids = [{"containerID": 0, "hostID": FIRST_ID, "size": 1 << 16}]
    linux = {
        **spec["linux"],
        "namespaces": [*spec["linux"]["namespaces"], {"type": "user"}, {"type": "cgroup"}],
        "uidMappings": ids,
        "gidMappings": ids,
        "cgroupsPath": "/launched",
        "resources": {
            "memory": {"limit": MEMORY_BYTES},
            "cpu": {"quota": PERIOD_US, "period": PERIOD_US},
            "pids": {"limit": PROCESSES},
        },
    }
    process = {**spec["process"], "terminal": False, "args": [f"/{stamp.name}"]}
    return {**spec, "process": process, "mounts": mounts, "linux": linux}


def commands(folder: Path, stamp: Path) -> dict[str, list[str]]:
    """Return the words of each way to launch."""
    links = [word for path, target in LINKS.items() for word in ("--symlink", target, path)]
    shown = ["--ro-bind", SHOWN, SHOWN, *links, "--ro-bind", str(stamp), f"/{stamp.name}"]
    own = ["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    crun = ["/usr/bin/crun", "--root", str(folder / "crun")]
    run = ["run", "--bundle", str(folder / "bundle"), "launched"]
    return {
        PLAIN: [str(stamp)],
        BUBBLEWRAP: ["/usr/bin/bwrap", "--unshare-all", *shown, *own, f"/{stamp.name}"],
        CRUN: [*crun, *run],
        CRUN_WITHOUT: [*crun, "--cgroup-manager=disabled", *run],
    }


def enter_own_cgroups(groups: Sequence[Path]) -> None:
    """Go into these groups, and see nothing but them in /sys/fs/cgroup."""
    for group in groups:
        (group / "cgroup.procs").write_text("0")
    call("unshare", CLONE_NEWNS | CLONE_NEWCGROUP)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    if not groups:
        return
    subprocess.run(["umount", "--lazy", CGROUPS], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", CGROUPS], check=True)
    for group in groups:
        mounted = CGROUPS / mount_name(group)
        mounted.mkdir()
        subprocess.run(["mount", "-t", "cgroup", "-o", mounted.name, "cgroup", mounted], check=True)


def mount_name(group: Path) -> str:
    return group.relative_to(CGROUPS).parts[0]


def launched(words: Sequence[str]) -> tuple[float, float]:
    """Start a program, and return the seconds until it said that it has begun, and until its end."""
    reading, writing = os.pipe()
    began = time.perf_counter()
    pid = os.posix_spawn(words[0], words, {}, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    os.close(writing)
    with os.fdopen(reading) as out:
        said = out.readline()
        _, status = os.waitpid(pid, 0)
        ended = time.perf_counter()
    if status or not said:
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return float(said) - began, ended - began


def serve(folder: Path, stamp: Path, groups: Sequence[Path]) -> None:
    enter_own_cgroups(groups)
    words = commands(folder, stamp)
    for line in sys.stdin:
        print(*launched(words[line.strip()]), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), [Path(word) for word in sys.argv[3:]])
