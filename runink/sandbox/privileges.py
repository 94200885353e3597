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
from collections.abc import Callable, Iterable
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
)

CAPABILITIES_MAX: Final = 64  # bits in the kernel's sets
DESCRIPTORS_END: Final = 0xFFFFFFFF
SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_HEADER = struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0)
_Result = TypeVar("_Result")
_DATA_BYTES = 24  # two of struct __user_cap_data_struct: effective, permitted, inheritable


def drop_bounding_set() -> None:
    """Let no program that is started from here on gain a capability. Needs CAP_SETPCAP. Raises OSError."""
    for capability in _known_capabilities():
        _prctl(f"drop capability {capability} from the bounding set", PR_CAPBSET_DROP, capability)


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
    header = ctypes.create_string_buffer(_HEADER, len(_HEADER))
    _call("drop the capabilities", "capset", header, ctypes.create_string_buffer(_DATA_BYTES))


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
    found = ctypes.create_string_buffer(struct.calcsize("i"))
    _prctl(step, PR_GET_PDEATHSIG, found)
    _check(step, struct.unpack("i", found.raw) == (number,))


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
    left = {name: held for name, held in capabilities().items() if held}
    if left:
        text = ", ".join(f"{name} {held:#x}" for name, held in left.items())
        raise OSError(errno.EPERM, f"check the capabilities: {text}")
    _check("check no_new_privs", _prctl("read no_new_privs", PR_GET_NO_NEW_PRIVS) == 1)


def capabilities() -> dict[str, int]:
    """Return this process's sets of capabilities by their names in /proc (SETS). Raises OSError."""
    try:
        descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no /proc, or none that may be read
        return _capabilities_by_call()
    try:
        status = os.read(descriptor, 1 << 16).decode()
    finally:
        os.close(descriptor)
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {name: int(fields[name], 16) for name in SETS}


def _capabilities_by_call() -> dict[str, int]:
    header = ctypes.create_string_buffer(_HEADER, len(_HEADER))
    data = ctypes.create_string_buffer(_DATA_BYTES)
    _call("read the capabilities", "capget", header, data)
    low, high = struct.iter_unpack("=3I", data.raw)
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    bounding = ambient = 0
    for capability in _known_capabilities():
        bit = 1 << capability
        bounding |= bit * _prctl("read the bounding set", PR_CAPBSET_READ, capability)
        ambient |= bit * _prctl(
            "read the ambient set", PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability
        )
    return dict(zip(SETS, (inheritable, permitted, effective, bounding, ambient), strict=True))


def _known_capabilities() -> Iterable[int]:
    """Give the numbers of the capabilities that the kernel knows: from 0 on, without a gap."""
    for capability in range(CAPABILITIES_MAX):
        try:
            call("prctl", PR_CAPBSET_READ, capability, 0, 0, 0)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return
            raise
        yield capability


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
