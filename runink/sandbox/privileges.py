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
import struct
import sys
from collections.abc import Iterable
from functools import cache
from typing import Final

from runink.sandbox.calls import (
    ANY,
    NOT_DONE,
    Call,
    asked,
    called,
    closing,
    contains,
    perform,
    same,
)
from runink.sandbox.calls import prctl as prctl_made
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
    call,
    prctl,
)

CAPABILITIES_MAX: Final = 64  # bits in the kernel's sets
SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
STATUS_BYTES_MAX: Final = 1 << 14  # it has 1500, and at most a few thousand more for groups
# What the kernel writes to is shared by all lists of calls: each reads at once what it has had written.
_HEADER = ctypes.create_string_buffer(struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0), 8)
_NO_CAPABILITIES = ctypes.create_string_buffer(
    24
)  # two of struct __user_cap_data_struct: effective, permitted, inheritable
_IDS: Final = struct.Struct("=3I")
_LIMITS: Final = struct.Struct("=2Q")  # struct rlimit
_FOUND = ctypes.create_string_buffer(_LIMITS.size)
_FOUND_IDS = [ctypes.c_void_p(ctypes.addressof(_FOUND) + at) for at in (0, 4, 8)]
_FOUND_STATUS = ctypes.create_string_buffer(STATUS_BYTES_MAX + 1)
_POWERLESS = b"".join(b"%s:\t%016x\n" % (name.encode(), 0) for name in SETS) + b"NoNewPrivs:\t1\n"


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
    perform(dropping_bounding_set())


def dropping_bounding_set() -> list[Call]:
    """Return the calls that do it. Raises OSError."""
    return [
        prctl_made(f"drop the bounding set: prctl of {capability}", PR_CAPBSET_DROP, capability)
        for capability in range(known_capabilities())
    ]


def become(uid: int, gid: int, *, groups_forbidden: bool = False) -> None:
    """Become this user and group for good, without supplementary groups. Raises OSError."""
    perform(becoming(uid, gid, groups_forbidden=groups_forbidden))


def becoming(uid: int, gid: int, *, groups_forbidden: bool = False) -> list[Call]:
    """Return the calls that do it.

    `groups_forbidden` says that the user namespace was made without power over groups (`forbid_setgroups`): they stay, and nobody could drop them.
    """
    says = "drop the groups"
    groups = [called(says, "setgroups", 0, None), called(says, "getgroups", 0, None)]
    calls = [] if groups_forbidden else groups
    for name, one in (("gid", gid), ("uid", uid)):
        says = f"become {'user' if name == 'uid' else 'group'} {one}"
        calls += [
            called(says, f"setres{name}", one, one, one),
            called(says, f"getres{name}", *_FOUND_IDS),
            same(says, _FOUND, _IDS.pack(one, one, one)),
        ]
    return calls


def drop_capabilities() -> None:
    """Give up every capability, and what programs would inherit. Raises OSError."""
    perform(dropping_capabilities())


def dropping_capabilities() -> list[Call]:
    """Return the calls that do it."""
    says = "clear the ambient capabilities"
    return [
        prctl_made(says, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL),
        asked("drop the capabilities", "capset", _HEADER, _NO_CAPABILITIES),
    ]


def limit(which: int, value: int) -> None:
    """Set a limit (resource.RLIMIT_*), soft and hard. Raises OSError."""
    perform(limiting(which, value))


def limiting(which: int, value: int) -> list[Call]:
    """Return the calls that do it."""
    says, wanted = f"limit {which} to {value}", _LIMITS.pack(value, value)
    return [
        called(says, "prlimit", 0, which, wanted, None),
        called(says, "prlimit", 0, which, None, _FOUND),
        same(says, _FOUND, wanted),
    ]


def die_with_parent(number: int) -> None:
    """Have the kernel send this signal when the parent ends. Raises OSError."""
    perform(dying_with_parent(number))


def dying_with_parent(number: int) -> list[Call]:
    """Return the calls that do it."""
    says = f"get signal {number} when the parent ends"
    return [
        prctl_made(says, PR_SET_PDEATHSIG, number),
        prctl_made(says, PR_GET_PDEATHSIG, _FOUND),
        same(says, _FOUND, number.to_bytes(4, sys.byteorder)),
    ]


def forbid_new_privileges() -> None:
    """Let no program that is started from here on have more rights than this one: no set-user-id, no file capabilities. Raises OSError."""
    perform(forbidding_new_privileges())


def forbidding_new_privileges() -> list[Call]:
    """Return the calls that do it."""
    says = "set no_new_privs"
    return [
        prctl_made(says, PR_SET_NO_NEW_PRIVS, 1),
        prctl_made(says, PR_GET_NO_NEW_PRIVS, wanted=1),
    ]


def hide() -> None:
    """Be not dumpable: no core file, and what /proc shows of this process is root's. A program that it starts is dumpable again. Raises OSError."""
    perform(hiding())


def hiding() -> list[Call]:
    """Return the calls that do it."""
    says = "be not dumpable"
    return [prctl_made(says, PR_SET_DUMPABLE, 0), prctl_made(says, PR_GET_DUMPABLE)]


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor that is not in the list. Raises OSError."""
    perform(closing_others(keep))


def closing_others(keep: Iterable[int]) -> list[Call]:
    """Return the calls that do it."""
    return closing("close the other descriptors: close_range", keep)


def showing_powerless(descriptor: int) -> list[Call]:
    """Return the calls that do what `check_powerless` does where there is a /proc; `descriptor` is the lowest number that is free then."""
    says = "check the capabilities and no_new_privs"
    flags = os.O_RDONLY | os.O_CLOEXEC
    return [
        called(says, "open", b"/proc/self/status", flags, wanted=descriptor),
        called(says, "read", descriptor, _FOUND_STATUS, STATUS_BYTES_MAX, wanted=ANY),
        called(says, "close", descriptor),
        contains(says, _FOUND_STATUS, _POWERLESS),
    ]


def check_powerless() -> None:
    """Raise OSError unless every set of capabilities is empty and no_new_privs is set, as /proc tells, or the kernel where /proc cannot be read."""
    if _POWERLESS in _status():
        return
    left = {name: held for name, held in capabilities().items() if held}
    if left:
        text = ", ".join(f"{name} {held:#x}" for name, held in left.items())
        raise OSError(errno.EPERM, f"check the capabilities: {text}")
    _check("check no_new_privs", prctl(PR_GET_NO_NEW_PRIVS) == 1)


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
    call("capget", _HEADER, data)
    low, high = struct.iter_unpack("=3I", data.raw)
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    bounding = ambient = 0
    for capability in range(known_capabilities()):
        bounding |= prctl(PR_CAPBSET_READ, capability) << capability
        ambient |= prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability) << capability
    return dict(zip(SETS, (inheritable, permitted, effective, bounding, ambient), strict=True))


def _check(step: str, is_done: bool) -> None:  # noqa: FBT001 - a condition, as of assert
    if not is_done:
        raise OSError(errno.EPERM, f"{step}: {NOT_DONE}")
