"""How a slice gives up every power that it was born with, and the proof that it did.

In this order:

    drop_bounding_set    no program that it starts can gain a capability          while it still has CAP_SETPCAP
    limit                its limits                                               while it may still raise the soft ones
    become               its groups, group and user                               takes the capabilities of root with them
    drop_capabilities    what is left: permitted, effective, inheritable, ambient
    die_with_parent      the signal when its parent dies                          after `become`, which clears it
    forbid_new_privileges
    hide                 not dumpable: no core, its /proc belongs to root         after `become`, which sets it again
    close_others         every descriptor but a list
    check_powerless      reads all of it back

Each raises OSError that names the step when the kernel has not done it; most read back what they asked for.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, TypeVar

from runink.sandbox.syscalls import (
    LINUX_CAPABILITY_VERSION_3,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_IS_SET,
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    PR_GET_DUMPABLE,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_PDEATHSIG,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Argument,
    call,
    prctl,
    prctl_each,
)

CAPABILITIES_MAX: Final = 64  # bits in the kernel's sets
DESCRIPTORS_END: Final = 0xFFFFFFFF
SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
STATUS_BYTES_MAX: Final = 1 << 14  # it has 1500, and at most a few thousand more for groups
# Made beforehand: what a slice makes after the fork costs it page faults.
_HEADER = ctypes.create_string_buffer(struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0), 8)
_NO_CAPABILITIES = ctypes.create_string_buffer(
    24
)  # two of struct __user_cap_data_struct: effective, permitted, inheritable
_FOUND_SIGNAL = ctypes.create_string_buffer(4)
_POWERLESS = b"".join(b"%s:\t%016x\n" % (name.encode(), 0) for name in SETS) + b"NoNewPrivs:\t1\n"
_Result = TypeVar("_Result")


@cache
def known_capabilities() -> int:
    """Return how many capabilities the kernel knows: they are numbered from 0 on, without a gap. Raises OSError.

    Asked before the fork, it costs a slice nothing.
    """
    for capability in range(CAPABILITIES_MAX):
        try:
            prctl(PR_CAPBSET_READ, capability)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return capability
            raise
    return CAPABILITIES_MAX


def drop_bounding_set() -> None:
    """Let no program that is started from here on gain a capability. Needs CAP_SETPCAP. Raises OSError."""
    _do("drop the bounding set", prctl_each, PR_CAPBSET_DROP, range(known_capabilities()))


def become(uid: int, gid: int, *, groups_forbidden: bool = False) -> None:
    """Become this user and group for good, without supplementary groups. Raises OSError.

    `groups_forbidden` says that the user namespace was made without power over groups (`forbid_setgroups`): they stay, and nobody could drop them.
    """
    if not groups_forbidden:
        _do("drop the groups", os.setgroups, ())
        _check("drop the groups", os.getgroups() == [])
    _do(f"become group {gid}", os.setresgid, gid, gid, gid)
    _check(f"become group {gid}", os.getresgid() == (gid, gid, gid))
    _do(f"become user {uid}", os.setresuid, uid, uid, uid)
    _check(f"become user {uid}", os.getresuid() == (uid, uid, uid))


def drop_capabilities() -> None:
    """Give up every capability, and what programs would inherit. Raises OSError."""
    _prctl("clear the ambient capabilities", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _call("drop the capabilities", "capset", _HEADER, _NO_CAPABILITIES)


def limit(which: int, value: int) -> None:
    """Set a limit (resource.RLIMIT_*), soft and hard. Raises OSError."""
    step = f"limit {which} to {value}"
    try:
        _do(step, resource.setrlimit, which, (value, value))
    except ValueError as error:  # what the module makes of EPERM and EINVAL
        raise OSError(errno.EPERM, f"{step}: {error}") from error
    _check(step, resource.getrlimit(which) == (value, value))


def die_with_parent(number: int) -> None:
    """Have the kernel send this signal when the parent ends. Raises OSError."""
    step = f"get signal {number} when the parent ends"
    _prctl(step, PR_SET_PDEATHSIG, number)
    _prctl(step, PR_GET_PDEATHSIG, _FOUND_SIGNAL)
    _check(step, int.from_bytes(_FOUND_SIGNAL, sys.byteorder) == number)


def forbid_new_privileges() -> None:
    """Let no program that is started from here on have more rights than this one: no set-user-id, no file capabilities. Raises OSError."""
    _prctl("set no_new_privs", PR_SET_NO_NEW_PRIVS, 1)
    _check("set no_new_privs", _prctl("read no_new_privs", PR_GET_NO_NEW_PRIVS) == 1)


def hide() -> None:
    """Be not dumpable: no core file, and what /proc shows of this process is root's. A program that it starts is dumpable again. Raises OSError."""
    _prctl("be not dumpable", PR_SET_DUMPABLE, 0)
    _check("be not dumpable", _prctl("read whether dumpable", PR_GET_DUMPABLE) == 0)


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor that is not in the list. Raises OSError."""
    first = 0
    for kept in (*sorted(set(keep)), DESCRIPTORS_END + 1):
        if first < kept:
            _call("close the other descriptors", "close_range", first, kept - 1, 0)
        first = max(first, kept + 1)


def check_powerless() -> None:
    """Raise OSError unless every set of capabilities is empty and no_new_privs is set, as /proc tells, or the kernel where /proc cannot be read."""
    if _POWERLESS in _status():
        return
    left = {name: held for name, held in capabilities().items() if held}
    if left:
        text = ", ".join(f"{name} {held:#x}" for name, held in left.items())
        raise OSError(errno.EPERM, f"check the capabilities: {text}")
    _check("check no_new_privs", _prctl("read no_new_privs", PR_GET_NO_NEW_PRIVS) == 1)


def capabilities() -> dict[str, int]:
    """Return this process's sets of capabilities by their names in /proc (SETS). Raises OSError."""
    status = _status()
    if not status:
        return _capabilities_by_call()
    fields = dict(line.split(b":\t", 1) for line in status.splitlines() if b":\t" in line)
    return {name: int(fields[name.encode()], 16) for name in SETS}


def _status() -> bytes:
    """Return what /proc tells of this process, nothing if it cannot be read."""
    try:
        descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, STATUS_BYTES_MAX)
    finally:
        os.close(descriptor)


def _capabilities_by_call() -> dict[str, int]:
    data = ctypes.create_string_buffer(len(_NO_CAPABILITIES))
    _call("read the capabilities", "capget", _HEADER, data)
    low, high = struct.iter_unpack("=3I", data.raw)
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    bounding = ambient = 0
    for capability in range(known_capabilities()):
        bounding |= prctl(PR_CAPBSET_READ, capability) << capability
        ambient |= prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability) << capability
    return dict(zip(SETS, (inheritable, permitted, effective, bounding, ambient), strict=True))


def _prctl(step: str, option: int, *arguments: Argument) -> int:
    return _call(step, "prctl", option, *arguments, *(0,) * (4 - len(arguments)))


def _call(step: str, name: str, *arguments: Argument) -> int:
    return _do(step, call, name, *arguments)


def _do(step: str, function: Callable[..., _Result], *arguments: object) -> _Result:
    try:
        return function(*arguments)
    except OSError as error:
        raise OSError(error.errno, f"{step}: {error.strerror}") from error


def _check(step: str, is_done: bool) -> None:  # noqa: FBT001 - a condition, as of assert
    if not is_done:
        raise OSError(errno.EPERM, f"{step}: the kernel has not done it")
