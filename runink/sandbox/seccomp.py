"""The filter of a slice's system calls: the last seal, behind which nothing can be taken back.

Most calls are decided by their number (`seccomp_table.py`); these by their arguments, of which the kernel reads the lower 32 bits, so we do:

    call          argument             answer
    chmod, mknod, ...  mode            EPERM with S_ISUID or S_ISGID, also for open and openat where they make a file.  What a slice writes into a
                                       folder of the node's belongs to who runs the node: others could run it with that one's rights
    kill          pid, signal          SIGKILL for number 1 ends the caller where the worker is number 1 (`first.py`): the kernel would ignore that it ends itself so
    clone         flags                EPERM with any CLONE_NEW* flag; CLONE_NEWTIME is none here, its bit belongs to the exit signal
    ioctl         request              EPERM for TIOCSTI and TIOCLINUX: both put words into the mouth of who sits at the terminal
    personality   persona              0 and the query pass; EPERM for others, which switch off address randomisation, among other things
    socketpair    family               AF_UNIX passes; EAFNOSUPPORT
    socket        family               AF_UNIX passes; AF_INET, AF_INET6: see below.  Without a network they reach the slice's own loopback, and no further
                                       AF_NETLINK: only with egress, and only NETLINK_ROUTE (getaddrinfo asks it which addresses there are), else
                                       EAFNOSUPPORT without egress, EPROTONOSUPPORT with it
                                       others (packet, vsock, alg, ...): EAFNOSUPPORT.  A network namespace does not hold them all: vsock is outside
                  type                 of AF_INET, AF_INET6: SOCK_STREAM, SOCK_DGRAM; EPERM for raw and others
                  protocol             of those: the default, TCP, UDP; EPROTONOSUPPORT for others (SCTP, MPTCP, ping, ...)

Without Landlock `symlink` and `symlinkat` are refused, too: Landlock forbids them where it matters, in what a slice shares with the node.

A call from another architecture's table (on x86_64: 32-bit code) ends the process.

Cost: numbers are found by a balanced search, about seven comparisons.  From Linux 5.11 on the kernel does not even do that for a number that is always
allowed: it tries the filter once when it is installed and keeps a bitmap.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final, NamedTuple

from runink.sandbox.bpf import (
    AND,
    IF_ANY_BIT,
    IF_EQUAL,
    LOAD,
    OPERATION,
    RETURN,
    Line,
    Operation,
    assembled,
    by_range,
)
from runink.sandbox.calls import Call, asked, perform
from runink.sandbox.calls import prctl as prctl_made
from runink.sandbox.seccomp_table import (
    ABSENT,
    CLONE,
    IOCTL,
    KILL,
    LAST,
    MACHINES,
    MODES,
    PERSONALITY,
    SOCKET,
    SOCKETPAIR,
    refused,
)
from runink.sandbox.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_SECCOMP,
    SECCOMP_FILTER_FLAG_TSYNC,
    SECCOMP_MODE_FILTER,
    SECCOMP_SET_MODE_FILTER,
    call,
    prctl,
)

RET_KILL_PROCESS: Final = 0x80000000
RET_ALLOW: Final = 0x7FFF0000
RET_ERRNO: Final = 0x00050000

CLONE_NEW: Final = (
    CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET
)
TIOCSTI: Final = 0x5412
TIOCLINUX: Final = 0x541C
PERSONA_LINUX: Final = 0
PERSONA_QUERY: Final = 0xFFFFFFFF
AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
AF_NETLINK: Final = 16
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_TYPE_MASK: Final = 0xF  # the rest are SOCK_CLOEXEC and SOCK_NONBLOCK
IPPROTO_DEFAULT: Final = 0
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
NETLINK_ROUTE: Final = 0
FIRST: Final = 1
SIGKILL: Final = 9
MAKES_A_FILE: Final = 0o20000000 | 0o100  # O_TMPFILE's own bit, O_CREAT
GIVES_RIGHTS: Final = 0o6000  # S_ISUID, S_ISGID

# Offsets into `struct seccomp_data` of linux/seccomp.h.
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = (
    16,
    24,
    32,
    40,
)  # of the first four: the lower half, as both architectures are little-endian

_ALLOW: Final = "allow"
_KILL: Final = "kill"
_ANSWERS: Final = (
    errno.EPERM,
    errno.ENOSYS,
    errno.EAFNOSUPPORT,
    errno.EPROTONOSUPPORT,
)


class Program(ctypes.Structure):
    """`struct sock_fprog` of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class Filter(NamedTuple):
    """A filter that is ready to be installed: made before the fork, so that a slice makes nothing."""

    instructions: bytes
    program: Program


def prepared(*, egress: bool, links: bool = True, alone: bool = False) -> Filter:
    """Return the filter for slices of this machine, with or without a network, and the right to make symbolic links; for a worker that is `alone` in its cell. Raises OSError on an architecture that the table does not know."""
    machine = os.uname().machine
    if machine not in MACHINES:
        raise OSError(errno.ENOSYS, f"seccomp: the numbers of system calls on {machine} are not known")  # fmt: skip
    instructions = built(machine, egress=egress, links=links, alone=alone)
    return Filter(instructions, Program(len(instructions) // OPERATION.size, instructions))


def letting_all_pass() -> Filter:
    """Return a filter that refuses nothing: whoever can install it can install any."""
    instructions = OPERATION.pack(RETURN, 0, 0, RET_ALLOW)
    return Filter(instructions, Program(1, instructions))


def absence() -> str:
    """Say why no filter can be installed by this process, or nothing if one can. Changes nothing: a filter that lies nowhere is asked for."""
    machine = os.uname().machine
    if machine not in MACHINES:
        return f"the numbers of system calls on {machine} are not known"
    try:
        call("seccomp", SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, None)
    except OSError as error:
        return "" if error.errno == errno.EFAULT else str(error.strerror)
    raise AssertionError("the kernel has taken a filter that is not there")


def install(filter: Filter) -> None:  # noqa: A002 - the kernel's word for it
    """Put this process, with all its threads and all that they will start, behind the filter for ever. Raises OSError.

    no_new_privs must be in force: without it a program with more rights could be started behind a filter that was not meant for it.
    """
    if prctl(PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError(errno.EACCES, "seccomp: no_new_privs is not set")
    perform(installing(filter))


def installing(filter: Filter) -> list[Call]:  # noqa: A002 - as above
    """Return the calls that do it."""
    flags = SECCOMP_FILTER_FLAG_TSYNC  # answers with the number of a thread that cannot follow
    return [
        prctl_made("seccomp: no_new_privs", PR_GET_NO_NEW_PRIVS, wanted=1),
        asked("seccomp", "seccomp", SECCOMP_SET_MODE_FILTER, flags, filter.program),
        prctl_made(
            "seccomp: whether the filter is in force", PR_GET_SECCOMP, wanted=SECCOMP_MODE_FILTER
        ),
    ]


def built(machine: str, *, egress: bool, links: bool = True, alone: bool = False) -> bytes:
    """Return the filter's instructions for an architecture of the table."""
    audit, column = MACHINES[machine]
    return assembled(
        [
            Operation(LOAD, _ARCHITECTURE),
            Operation(IF_EQUAL, audit, "", _KILL),
            Operation(LOAD, _NUMBER),
            *by_range(_ranges(column, links=links, alone=alone)),
            *(_kill() if alone else ()),
            *_clone(),
            *_modes(),
            *_ioctl(),
            *_personality(),
            *_socketpair(),
            *_socket(egress=egress),
            *[line for answer in _ANSWERS for line in (_refuse(answer), Operation(RETURN, RET_ERRNO | answer))],
            _ALLOW,
            Operation(RETURN, RET_ALLOW),
            _KILL,
            Operation(RETURN, RET_KILL_PROCESS),
        ]
    )  # fmt: skip


def _ranges(column: int, *, links: bool, alone: bool) -> list[tuple[int, str]]:
    """Return where the answer changes, from 0 on, and what it is from there."""
    answers = {number: _refuse(code) for number, code in refused(column, links=links).items()}
    for numbers, block in (
        (CLONE, "clone"),
        (IOCTL, "ioctl"),
        (PERSONALITY, "personality"),
        (SOCKET, "socket"),
        (SOCKETPAIR, "socketpair"),
    ):
        answers[numbers[column]] = block
    if alone:
        answers[KILL[column]] = "killing"
    for one in MODES.values():
        answers[one.numbers[column]] = _mode_block(one.mode, one.flags)
    starts = [(0, answers.get(0, _ALLOW))]
    for number in range(1, LAST + 1):
        answer = answers.get(number, _ALLOW)
        if answer != starts[-1][1]:
            starts.append((number, answer))
    return [*starts, (LAST + 1, _refuse(errno.ENOSYS))]


def _kill() -> list[Line]:
    return [
        "killing",
        Operation(LOAD, _ARGUMENTS[0]),
        Operation(IF_EQUAL, FIRST, "", _ALLOW),
        Operation(LOAD, _ARGUMENTS[1]),
        Operation(IF_EQUAL, SIGKILL, _KILL, _ALLOW),
    ]


def _clone() -> list[Line]:
    return [
        "clone",
        Operation(LOAD, _ARGUMENTS[0]),
        Operation(IF_ANY_BIT, CLONE_NEW, _refuse(errno.EPERM), _ALLOW),
    ]


def _modes() -> list[Line]:
    """Return a block for each way to name the arguments."""
    lines: list[Line] = []
    for mode, flags in sorted({(one.mode, one.flags) for one in MODES.values()}):
        lines.append(_mode_block(mode, flags))
        if flags != ABSENT:
            lines += [
                Operation(LOAD, _ARGUMENTS[flags]),
                Operation(IF_ANY_BIT, MAKES_A_FILE, "", _ALLOW),
            ]
        lines += [
            Operation(LOAD, _ARGUMENTS[mode]),
            Operation(IF_ANY_BIT, GIVES_RIGHTS, _refuse(errno.EPERM), _ALLOW),
        ]
    return lines


def _mode_block(mode: int, flags: int) -> str:
    return f"mode {mode} flags {flags}"


def _ioctl() -> list[Line]:
    return [
        "ioctl",
        Operation(LOAD, _ARGUMENTS[1]),
        Operation(IF_EQUAL, TIOCSTI, _refuse(errno.EPERM)),
        Operation(IF_EQUAL, TIOCLINUX, _refuse(errno.EPERM), _ALLOW),
    ]


def _personality() -> list[Line]:
    return [
        "personality",
        Operation(LOAD, _ARGUMENTS[0]),
        Operation(IF_EQUAL, PERSONA_LINUX, _ALLOW),
        Operation(IF_EQUAL, PERSONA_QUERY, _ALLOW, _refuse(errno.EPERM)),
    ]


def _socketpair() -> list[Line]:
    return [
        "socketpair",
        Operation(LOAD, _ARGUMENTS[0]),
        Operation(IF_EQUAL, AF_UNIX, _ALLOW, _refuse(errno.EAFNOSUPPORT)),
    ]


def _socket(*, egress: bool) -> list[Line]:
    unknown_family = _refuse(errno.EAFNOSUPPORT)
    unknown_protocol = _refuse(errno.EPROTONOSUPPORT)
    return [
        "socket",
        Operation(LOAD, _ARGUMENTS[0]),
        Operation(IF_EQUAL, AF_UNIX, _ALLOW),
        Operation(IF_EQUAL, AF_INET, "internet"),
        Operation(IF_EQUAL, AF_INET6, "internet"),
        Operation(IF_EQUAL, AF_NETLINK, "netlink" if egress else unknown_family, unknown_family),
        "internet",
        Operation(LOAD, _ARGUMENTS[1]),
        Operation(AND, SOCK_TYPE_MASK),
        Operation(IF_EQUAL, SOCK_STREAM, "stream"),
        Operation(IF_EQUAL, SOCK_DGRAM, "datagram", _refuse(errno.EPERM)),
        "stream",
        Operation(LOAD, _ARGUMENTS[2]),
        Operation(IF_EQUAL, IPPROTO_DEFAULT, _ALLOW),
        Operation(IF_EQUAL, IPPROTO_TCP, _ALLOW, unknown_protocol),
        "datagram",
        Operation(LOAD, _ARGUMENTS[2]),
        Operation(IF_EQUAL, IPPROTO_DEFAULT, _ALLOW),
        Operation(IF_EQUAL, IPPROTO_UDP, _ALLOW, unknown_protocol),
        "netlink",
        Operation(LOAD, _ARGUMENTS[2]),
        Operation(IF_EQUAL, NETLINK_ROUTE, _ALLOW, unknown_protocol),
    ]


def _refuse(code: int) -> str:
    return f"refuse {code}"
