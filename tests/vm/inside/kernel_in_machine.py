"""The machine has the kernel that other tests go there for: cgroup v2 and nothing else, Landlock, seccomp, pressure, and a root that can be changed.

Only for the machine of `test_in_machine.py`, which names this file; other machines have other kernels, and do not find it by its name.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runink.sandbox import syscalls
from runink.sandbox.mounts import detached

CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = {"memory", "cpu", "pids", "io"}
LANDLOCK_ACCESS_FS_WRITE_FILE = 1 << 1
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000
BPF_LD_W_ABS, BPF_JEQ, BPF_RET = 0x20, 0x15, 0x06


@pytest.fixture
def group() -> Iterator[Path]:
    assert (CGROUPS / "cgroup.controllers").exists(), "this is not the machine"
    folder = CGROUPS / "of-this-test"
    folder.mkdir()
    yield folder
    folder.rmdir()


def outcome_in_child(deed: Callable[[], object]) -> int:
    """Do something in a process of its own; return 0, or the error number that it came to."""
    pid = os.fork()
    if not pid:
        code = 255
        try:
            deed()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_cgroups_are_v2_and_nothing_else() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    cgroups = [(mount[1], mount[2]) for mount in mounts if mount[2].startswith("cgroup")]
    assert cgroups == [(str(CGROUPS), "cgroup2")]
    assert Path("/proc/self/cgroup").read_text() == "0::/\n"


def test_the_controllers_that_we_limit_with_are_there_and_handed_down(group: Path) -> None:
    assert set((CGROUPS / "cgroup.controllers").read_text().split()) >= CONTROLLERS
    assert set((group / "cgroup.controllers").read_text().split()) >= CONTROLLERS
    found = {path.name for path in group.iterdir()}
    assert found >= {"memory.max", "memory.oom.group", "cpu.max", "pids.max", "io.max"}
    assert found >= {"cgroup.kill", "cgroup.freeze", "memory.peak"}


def test_a_limit_of_processes_holds_and_a_group_can_be_killed(group: Path) -> None:
    (group / "pids.max").write_text("1")

    def fork_in_group() -> None:
        (group / "cgroup.procs").write_text("0")
        if not os.fork():
            os._exit(0)

    assert outcome_in_child(fork_in_group) == errno.EAGAIN

    def kill_own_group() -> None:
        (group / "cgroup.procs").write_text("0")
        (group / "cgroup.kill").write_text("1")

    assert outcome_in_child(kill_own_group) == -9
    assert "populated 0" in (group / "cgroup.events").read_text()


@pytest.mark.parametrize("name", ["cpu", "memory", "io"])
def test_pressure_is_told_for_the_machine_and_for_a_group(group: Path, name: str) -> None:
    for path in (Path("/proc/pressure", name), group / f"{name}.pressure"):
        assert path.read_text().startswith("some avg10=")


def test_landlock_forbids_writing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    assert syscalls.call("landlock_create_ruleset", None, 0, 1) >= 1, "the version of its interface"

    def write() -> None:
        path.write_text("new")

    def write_under_landlock() -> None:
        handled = ctypes.create_string_buffer(struct.pack("Q", LANDLOCK_ACCESS_FS_WRITE_FILE), 8)
        rules = syscalls.call("landlock_create_ruleset", handled, 8, 0)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.call("landlock_restrict_self", rules, 0)
        write()

    assert outcome_in_child(write_under_landlock) == errno.EACCES
    assert path.read_text() == "old"
    assert outcome_in_child(write) == 0


def test_seccomp_answers_in_the_place_of_a_system_call() -> None:
    def sethostname() -> None:
        syscalls.call("sethostname", b"machine", 7)

    def sethostname_under_seccomp() -> None:
        number = syscalls.NUMBERS["sethostname"]
        instructions = (
            (BPF_LD_W_ABS, 0, 0, 0),  # the number of the call
            (BPF_JEQ, 0, 1, number),
            (BPF_RET, 0, 0, SECCOMP_RET_ERRNO | errno.EXDEV),
            (BPF_RET, 0, 0, SECCOMP_RET_ALLOW),
        )
        code = b"".join(struct.pack("HBBI", *one) for one in instructions)
        program = ctypes.create_string_buffer(code, len(code))
        head = struct.pack("HxxxxxxQ", len(instructions), ctypes.addressof(program))
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head)
        sethostname()

    assert outcome_in_child(sethostname_under_seccomp) == errno.EXDEV
    assert outcome_in_child(sethostname) == 0


def test_a_process_in_new_namespaces_can_change_its_root(tmp_path: Path) -> None:
    """From the kernel's first root it could not, nor may a user namespace be made by who has only changed its root."""

    def pivot() -> None:
        syscalls.call("unshare", syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        syscalls.call("mount", None, b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE, None)
        root = os.fsencode(tmp_path)
        syscalls.call("mount", b"root", root, b"tmpfs", 0, None)
        os.chdir(tmp_path)
        syscalls.call("pivot_root", b".", b".")
        syscalls.call("umount2", b".", syscalls.MNT_DETACH)
        if os.listdir("/"):  # noqa: PTH208 - pathlib has lost its root
            raise OSError(errno.ENOTEMPTY, "the old root is still there")

    assert outcome_in_child(pivot) == 0
    assert Path("/usr").is_dir()


def test_a_file_system_that_cannot_be_shown_under_other_ids_is_named(tmp_path: Path) -> None:
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", "echo ready; exec cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        users = os.open(f"/proc/{other.pid}/ns/user", os.O_RDONLY)
        try:
            os.close(detached(str(tmp_path), 0, users=users))
            with pytest.raises(OSError, match=r"/dev/shm: this kernel cannot .*Linux 6\.3"):
                detached("/dev/shm", 0, users=users)
        finally:
            os.close(users)


def test_the_machine_is_alone() -> None:
    assert [path.name for path in Path("/sys/class/net").iterdir()] == ["lo"]
    assert [path.name for path in Path("/sys/block").iterdir()] == ["nvme0n1"]
    assert not Path("/proc/modules").read_text()
    assert not Path("/dev/kvm").exists()
