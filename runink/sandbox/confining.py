"""A process that confines itself for ever: for work on what comes from outside, where that may turn out to be code of somebody else's.

Behind it a process reads what it was let read, computes, and writes to the descriptors that it has.  It has

    no files         but those beneath the paths that it names, read-only, and no descriptor but those it keeps
    no network       not even sockets
    no processes     it starts none, and signals none
    no rights        no capability, no new privileges
    limits           of memory, processor time, open files; and it makes no file

What of this the kernel cannot do is an error: whoever asks goes without that work, and not without the wall.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable
from typing import Final

from runink.sandbox import landlock, seccomp
from runink.sandbox.bpf import (
    IF_ANY_BIT,
    IF_EQUAL,
    LOAD,
    OPERATION,
    RETURN,
    Line,
    Operation,
    assembled,
)
from runink.sandbox.privileges import (
    close_others,
    drop_capabilities,
    forbid_new_privileges,
    hide,
    limit,
)
from runink.sandbox.seccomp_table import CLONE, KILL, MACHINES, SOCKET, SOCKETPAIR

STANDARD: Final = (0, 1, 2)
FILES_MAX: Final = 64
CLONE_THREAD: Final = 0x10000

# On x86_64, on aarch64, which makes processes by clone alone.
_REFUSED: Final = (
    SOCKET,
    SOCKETPAIR,
    KILL,
    (200, 130),  # tkill
    (234, 131),  # tgkill
    (129, 138),  # rt_sigqueueinfo
    (297, 240),  # rt_tgsigqueueinfo
    (424, 424),  # pidfd_send_signal
    (59, 221),  # execve
    (322, 281),  # execveat
    (57, -1),  # fork
    (58, -1),  # vfork
    (302, 261),  # prlimit64, which also sets the limits of others
)
_ARGUMENTS_AT: Final = 16  # of `struct seccomp_data`: the first argument


def absence() -> str:
    """Say why no process can be confined here, or nothing if one can."""
    if not landlock.abi():
        return "its kernel has no Landlock"
    why = seccomp.absence()
    return f"seccomp: {why}" if why else ""


def confine(read_only: Iterable[str], *, memory_bytes: int, cpu_s: int) -> None:
    """Confine this process. `read_only` are the folders and files that it may read from now on. Raises OSError, behind which it may be confined in part: it has to end."""
    if why := absence():
        raise OSError(errno.ENOSYS, why)
    close_others(STANDARD)
    hide()
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NOFILE, FILES_MAX)
    limit(resource.RLIMIT_CPU, cpu_s)
    limit(resource.RLIMIT_AS, memory_bytes)
    forbid_new_privileges()
    drop_capabilities()
    rules = landlock.prepared(
        read_only=tuple(read_only), read_write=(), network=False, version=landlock.abi()
    )
    landlock.restrict(rules)
    seccomp.install(seccomp.prepared(egress=False))
    seccomp.install(_alone())


def _alone() -> seccomp.Filter:
    """Return a filter that refuses sockets, signals and processes. Both filters are asked, and the stricter answer holds."""
    audit, column = MACHINES[os.uname().machine]
    lines: list[Line] = [
        Operation(LOAD, 4),  # the architecture
        Operation(IF_EQUAL, audit, "", "kill"),
        Operation(LOAD, 0),  # the number
        Operation(IF_EQUAL, CLONE[column], "clone", ""),
        *(Operation(IF_EQUAL, one[column], "refuse", "") for one in _REFUSED if one[column] >= 0),
        Operation(RETURN, seccomp.RET_ALLOW),
        "clone",
        Operation(LOAD, _ARGUMENTS_AT),  # its flags
        Operation(IF_ANY_BIT, CLONE_THREAD, "allow", "refuse"),
        "allow",
        Operation(RETURN, seccomp.RET_ALLOW),
        "refuse",
        Operation(RETURN, seccomp.RET_ERRNO | errno.EPERM),
        "kill",
        Operation(RETURN, seccomp.RET_KILL_PROCESS),
    ]
    instructions = assembled(lines)
    return seccomp.Filter(
        instructions, seccomp.Program(len(instructions) // OPERATION.size, instructions)
    )
