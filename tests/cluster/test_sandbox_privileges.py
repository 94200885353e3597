"""How a slice gives up its powers, on the real kernel: what it had, what it has left, and that no step fails in silence."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runink.sandbox import privileges
from runink.sandbox.syscalls import (
    LINUX_CAPABILITY_VERSION_3,
    NUMBERS,
    PR_CAP_AMBIENT,
    PR_CAPBSET_DROP,
    PR_GET_PDEATHSIG,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    call,
    prctl,
)
from seal_children import ANSWER, answering, in_child, put_on

PR_CAP_AMBIENT_RAISE = 2
USER = 61_234
GROUP = 61_235
DESCRIPTORS_MAX = 100
SET_NUMBERS = {
    "x86_64": {"setgroups": 116, "setresgid": 119, "setresuid": 117},
    "aarch64": {"setgroups": 159, "setresgid": 149, "setresuid": 147},
}[os.uname().machine]
NOTHING = dict.fromkeys(privileges.SETS, 0)


def give_up_everything(keep: list[int]) -> None:
    """Do what a slice does, in its order."""
    privileges.drop_bounding_set()
    privileges.limit(resource.RLIMIT_NOFILE, DESCRIPTORS_MAX)
    privileges.limit(resource.RLIMIT_CORE, 0)
    privileges.become(USER, GROUP)
    privileges.drop_capabilities()
    privileges.die_with_parent(signal.SIGKILL)
    privileges.forbid_new_privileges()
    privileges.hide()
    privileges.close_others(keep)
    privileges.check_powerless()


def status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def descriptors() -> list[int]:
    """Return what is open, asked number by number."""
    return [number for number in range(DESCRIPTORS_MAX) if is_open(number)]


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_of_everything_that_root_has_nothing_is_left():
    def work() -> Any:
        os.setgroups([4, 24])
        before = [status(), privileges.capabilities()]
        kept = sorted(descriptors())
        give_up_everything(kept)
        return [*before, status(), privileges.capabilities(), os.getgroups()]

    before, had, after, has, groups = in_child(work)
    assert [before[name] for name in ("Uid", "NoNewPrivs")] == ["0\t0\t0\t0", "0"]
    assert had["CapEff"] & had["CapPrm"] & had["CapBnd"] & (1 << 21)  # CAP_SYS_ADMIN
    assert before["Groups"].split() == ["4", "24"]
    assert after["Uid"].split() == [str(USER)] * 4
    assert after["Gid"].split() == [str(GROUP)] * 4
    assert after["Groups"].split() == []
    assert groups == []
    assert after["NoNewPrivs"] == "1"
    assert {after[name] for name in privileges.SETS} == {"0" * 16}
    assert has == NOTHING


def test_capabilities_are_read_alike_with_proc_and_without(tmp_path: Path):
    def work() -> Any:
        make_all_sets_different()
        with_proc = privileges.capabilities()
        os.chroot(tmp_path)
        assert not Path("/proc").exists()
        return [with_proc, privileges.capabilities()]

    with_proc, without = in_child(work)
    assert with_proc == without
    assert len(set(with_proc.values())) == len(privileges.SETS)
    assert all(with_proc.values())


def make_all_sets_different() -> None:
    """No set may be taken for another: have fewer in the bounding set, two to inherit, one ambient, and only chroot in effect."""
    permitted = privileges.capabilities()["CapPrm"]
    prctl(PR_CAPBSET_DROP, 3)
    effective, inheritable = 1 << 18, 1 << 7 | 1 << 39
    sets = (effective, permitted, inheritable)
    words = [held >> shift & 0xFFFFFFFF for shift in (0, 32) for held in sets]
    header = ctypes.create_string_buffer(struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0), 8)
    call("capset", header, ctypes.create_string_buffer(struct.pack("=6I", *words), 24))
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 7)


@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["missing", "out of reach"])
def test_without_proc_nothing_is_left_either(tmp_path: Path, mode: int):
    tmp_path.chmod(mode)

    def work() -> Any:
        os.chroot(tmp_path)
        had = privileges.capabilities()
        give_up_everything(sorted(descriptors()))
        return [had, privileges.capabilities()]

    had, has = in_child(work)
    assert had["CapEff"] & (1 << 21)
    assert has == NOTHING


@pytest.fixture
def set_user_id_program() -> Iterator[Path]:
    """A program of root's that shows as whom it runs, where everybody can reach it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    program = folder / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    assert program.stat().st_mode & stat.S_ISUID
    yield program
    shutil.rmtree(folder)


def test_a_set_user_id_program_gives_nothing_back(set_user_id_program: Path):
    def said() -> str:
        done = subprocess.run([set_user_id_program, "-u"], capture_output=True, text=True, check=True)  # fmt: skip
        return done.stdout.strip()

    def work() -> Any:
        privileges.become(USER, GROUP)
        before = said()
        privileges.forbid_new_privileges()
        return [before, said()]

    assert in_child(work) == ["0", str(USER)]


def test_a_bounding_set_that_is_empty_keeps_root_itself_from_having_capabilities():
    def said() -> str:
        words = ["grep", "CapEff", "/proc/self/status"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return done.stdout.split()[1]

    def work() -> Any:
        before = said()
        privileges.drop_bounding_set()
        return [before, said()]

    before, after = in_child(work)
    assert int(before, 16) != 0
    assert int(after, 16) == 0


def test_only_the_listed_descriptors_stay_open():
    def work() -> Any:
        for number in (30, 31, 40, 41, 60):
            os.dup2(ANSWER, number)
        before = descriptors()
        privileges.close_others([31, ANSWER, 60, 0, 31])
        return [before, descriptors()]

    before, after = in_child(work)
    assert {0, 30, 31, 40, 41, 60} <= set(before)
    assert after == sorted({0, ANSWER, 31, 60})


def test_every_descriptor_can_be_closed():
    def work() -> Any:
        source, target = os.pipe()
        pid = os.fork()
        if not pid:
            os.dup2(target, 7)
            privileges.close_others([-1])
            os._exit(len(descriptors()))
        os.close(target)
        os.close(source)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert in_child(work) == 0


def test_a_hidden_process_shows_its_environment_to_nobody_but_root():
    def work() -> Any:
        before = Path("/proc/self/environ").stat().st_uid
        privileges.become(USER, GROUP)
        prctl(PR_SET_DUMPABLE, 1)
        shown = Path("/proc/self/environ").stat().st_uid
        privileges.hide()
        return [before, shown, Path("/proc/self/environ").stat().st_uid]

    assert in_child(work) == [0, USER, 0]


def test_the_signal_comes_when_the_parent_dies():
    def work() -> Any:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.fork()
        if not parent:
            be_parent_of_one_who_waits(theirs)
        theirs.close()
        assert ours.recv(16) == b"waiting"
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        return ours.recv(16).decode()

    assert in_child(work) == "woken"


def be_parent_of_one_who_waits(link: socket.socket) -> None:
    if os.fork():
        while True:
            signal.pause()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    # The change of user clears what was asked for before.
    privileges.die_with_parent(signal.SIGUSR2)
    privileges.become(USER, GROUP)
    found = ctypes.create_string_buffer(4)
    call("prctl", PR_GET_PDEATHSIG, found, 0, 0, 0)
    assert found.raw == bytes(4)
    privileges.die_with_parent(signal.SIGUSR1)
    link.send(b"waiting")
    signal.sigwait([signal.SIGUSR1])
    link.send(b"woken")
    os._exit(0)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (privileges.drop_bounding_set, "drop the bounding set: prctl of 0: "),
        (lambda: privileges.become(USER + 1, GROUP), "drop the groups: "),
        (
            lambda: privileges.become(USER + 1, GROUP + 1, groups_forbidden=True),
            f"become group {GROUP + 1}: ",
        ),
        (
            lambda: privileges.become(USER + 1, GROUP, groups_forbidden=True),
            f"become user {USER + 1}: ",
        ),
        (lambda: privileges.limit(resource.RLIMIT_NOFILE, 1 << 30), f"limit 7 to {1 << 30}: "),
        (lambda: privileges.die_with_parent(99), "get signal 99 when the parent ends: "),
    ],
)
def test_a_step_that_the_kernel_refuses_is_named(step: Callable[[], None], text: str):
    def work() -> Any:
        privileges.become(USER, GROUP)
        return failure(step)

    assert in_child(work).startswith(text)


def test_descriptors_that_cannot_be_closed_are_told():
    def work() -> Any:
        put_on(answering(NUMBERS["close_range"], errno.ENOSYS))
        return failure(lambda: privileges.close_others([0]))

    assert in_child(work) == "close the other descriptors: close_range: Function not implemented"


def test_new_privileges_that_are_not_forbidden_are_told():
    def work() -> Any:
        privileges.drop_bounding_set()
        privileges.become(USER, GROUP)
        return failure(privileges.check_powerless)

    assert in_child(work).startswith("check no_new_privs: ")


def test_capabilities_that_are_left_are_named():
    found = in_child(lambda: failure(privileges.check_powerless))
    assert found.startswith("check the capabilities: CapPrm 0x")
    assert "CapBnd" in found


def failure(step: Callable[[], None]) -> str:
    try:
        step()
    except OSError as error:
        return str(error.strerror)
    return "done"


@pytest.mark.parametrize(
    ("number", "option", "step", "text"),
    [
        (SET_NUMBERS["setgroups"], None, lambda: privileges.become(USER, GROUP), "drop the groups"),
        (
            SET_NUMBERS["setresgid"],
            None,
            lambda: privileges.become(USER, GROUP),
            f"become group {GROUP}",
        ),
        (
            SET_NUMBERS["setresuid"],
            None,
            lambda: privileges.become(USER, GROUP),
            f"become user {USER}",
        ),
        (
            NUMBERS["prctl"],
            PR_SET_PDEATHSIG,
            lambda: privileges.die_with_parent(9),
            "get signal 9 when the parent ends",
        ),
        (
            NUMBERS["prctl"],
            PR_SET_NO_NEW_PRIVS,
            privileges.forbid_new_privileges,
            "set no_new_privs",
        ),
        (NUMBERS["prctl"], PR_SET_DUMPABLE, privileges.hide, "be not dumpable"),
    ],
)
def test_a_step_that_the_kernel_only_says_it_did_is_found_out(
    number: int, option: int | None, step: Callable[[], None], text: str
):
    """A filter answers the call with success and does nothing."""

    def work() -> Any:
        os.setgroups([4])
        put_on(answering(number, 0, option=option))
        return failure(step)

    assert in_child(work) == f"{text}: the kernel has not done it"


def test_capabilities_that_the_kernel_only_says_it_dropped_are_found_out():
    def work() -> Any:
        put_on(answering(NUMBERS["capset"], 0))
        privileges.drop_capabilities()
        return failure(privileges.check_powerless)

    assert in_child(work).startswith("check the capabilities: ")
