"""Linux system calls that Python 3.11 has no function for, by ctypes: each is called by its name and raises OSError with its errno.

Numbers and constants bear the names of the kernel's headers (`linux/mount.h`, `linux/sched.h`, `linux/prctl.h`, `linux/landlock.h`).  From `open_tree` (2019) on
numbers are the same on every architecture; older ones are listed for those that we run on.  Nothing here decides anything.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

AT_FDCWD: Final = -100
AT_EACCESS: Final = 0x200
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000

CLONE_VM: Final = 0x00000100
CLONE_FILES: Final = 0x00000400
CLONE_PIDFD: Final = 0x00001000
CLONE_VFORK: Final = 0x00004000
CLONE_PARENT: Final = 0x00008000
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_CHILD_CLEARTID: Final = 0x00200000
CLONE_CHILD_SETTID: Final = 0x01000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
CLONE_INTO_CGROUP: Final = 0x200000000

RESOLVE_NO_MAGICLINKS: Final = 0x02

OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH: Final = 0x04
FSOPEN_CLOEXEC: Final = 1
FSMOUNT_CLOEXEC: Final = 1
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_CMD_CREATE: Final = 6
MOUNT_ATTR_RDONLY: Final = 0x01
MOUNT_ATTR_NOSUID: Final = 0x02
MOUNT_ATTR_NODEV: Final = 0x04
MOUNT_ATTR_NOEXEC: Final = 0x08
MOUNT_ATTR_IDMAP: Final = 0x00100000
MS_RDONLY: Final = 0x0001
MS_NOSUID: Final = 0x0002
MS_NODEV: Final = 0x0004
MS_NOEXEC: Final = 0x0008
MS_REMOUNT: Final = 0x0020
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MNT_DETACH: Final = 2

PR_SET_PDEATHSIG: Final = 1
PR_GET_PDEATHSIG: Final = 2
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_SET_NAME: Final = 15
PR_GET_SECCOMP: Final = 21
PR_CAPBSET_READ: Final = 23
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_GET_TID_ADDRESS: Final = 40
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_IS_SET: Final = 1
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_FILTER_FLAG_TSYNC: Final = 1
SECCOMP_MODE_FILTER: Final = 2

LANDLOCK_CREATE_RULESET_VERSION: Final = 1
LANDLOCK_RULE_PATH_BENEATH: Final = 1
LANDLOCK_ACCESS_FS_EXECUTE: Final = 1 << 0
LANDLOCK_ACCESS_FS_WRITE_FILE: Final = 1 << 1
LANDLOCK_ACCESS_FS_READ_FILE: Final = 1 << 2
LANDLOCK_ACCESS_FS_READ_DIR: Final = 1 << 3
LANDLOCK_ACCESS_FS_MAKE_SYM: Final = (
    1 << 12
)  # with all bits between: removing and making of each kind
LANDLOCK_ACCESS_FS_REFER: Final = 1 << 13
LANDLOCK_ACCESS_FS_TRUNCATE: Final = 1 << 14
LANDLOCK_ACCESS_FS_IOCTL_DEV: Final = 1 << 15
LANDLOCK_ACCESS_NET_BIND_TCP: Final = 1 << 0
LANDLOCK_ACCESS_NET_CONNECT_TCP: Final = 1 << 1
LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET: Final = 1 << 0
LANDLOCK_SCOPE_SIGNAL: Final = 1 << 1

LINUX_CAPABILITY_VERSION_3: Final = 0x20080522

_libc: Final = ctypes.CDLL(None, use_errno=True)
# Holds the interpreter's lock over the call: a clone must come back with the lock in both processes.
_libc_locked: Final = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = _libc_locked.syscall.restype = ctypes.c_long

_EVERYWHERE: Final = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "faccessat2": 439,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
_BY_MACHINE: Final = {
    "x86_64": {
        "capget": 125,
        "capset": 126,
        "pivot_root": 155,
        "prctl": 157,
        "mount": 165,
        "umount2": 166,
    }
    | {"unshare": 272, "setns": 308, "seccomp": 317, "sethostname": 170, "mknodat": 259}
    | {"setfsuid": 122, "setfsgid": 123, "rseq": 334},
    "aarch64": {
        "capget": 90,
        "capset": 91,
        "pivot_root": 41,
        "prctl": 167,
        "mount": 40,
        "umount2": 39,
    }
    | {"unshare": 97, "setns": 268, "seccomp": 277, "sethostname": 161, "mknodat": 33}
    | {"setfsuid": 151, "setfsgid": 152},
}
NUMBERS: Final = _EVERYWHERE | _BY_MACHINE.get(os.uname().machine, {})

Argument = int | bytes | ctypes.Array[ctypes.c_char] | ctypes.Structure | None


def call(name: str, *arguments: Argument) -> int:
    """Make a system call. Bytes are passed as C strings, buffers and structures by their address. Raises OSError."""
    return _result(_libc, name, arguments)


def call_locked(name: str, *arguments: Argument) -> int:
    """Do what `call` does without giving up the interpreter's lock: for calls that return twice."""
    return _result(_libc_locked, name, arguments)


def _result(libc: ctypes.CDLL, name: str, arguments: tuple[Argument, ...]) -> int:
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(38, f"{name}: its number is not known on {os.uname().machine}")
    result: int = libc.syscall(ctypes.c_long(number), *map(_passed, arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _passed(argument: Argument) -> object:
    match argument:
        case int():
            return ctypes.c_long(argument)
        case bytes():
            return ctypes.c_char_p(argument)
        case None:
            return None
        case _:
            return ctypes.byref(argument)


def prctl(option: int, *arguments: int | bytes) -> int:
    """Make the prctl call, with zeros for what is not given: some options insist on them. Raises OSError."""
    return call("prctl", option, *arguments, *(0,) * (4 - len(arguments)))
