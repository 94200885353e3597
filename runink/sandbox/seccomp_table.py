"""Which system calls a slice is refused, and why: the table of its filter, with the numbers on each architecture.

A call is here when it gives power over something that is not the slice's own, or when it opens a large part of the kernel that no step needs
and that has been a way out before.  What only reads what a slice sees anyway (`statmount`, `listmount`: /proc/self/mountinfo), what only
takes power away (`landlock_*`, `seccomp`, `mseal`) and what a limit bounds (`memfd_secret`: RLIMIT_MEMLOCK) is not.

Numbers above LAST are of calls that did not exist when this table was last read through: they are answered ENOSYS, as by a kernel without
them, until somebody has looked at them.  On x86_64 that also answers the x32 interface (bit 30) and its second numbers for ptrace and others (512 to 547).

Compared with others: Docker and systemd list what is allowed and Flatpak what is not; what they refuse to a process without capabilities is
refused here, but for `get_mempolicy` (it only tells) and what no supported architecture has.
"""

from __future__ import annotations

import errno
from typing import Final, NamedTuple

LAST: Final = 469  # file_setattr, of Linux 6.18
ABSENT: Final = -1


class Group(NamedTuple):
    """Calls that are refused for one reason, and their numbers: on x86_64, on aarch64."""

    reason: str
    calls: dict[str, tuple[int, int]]
    errno: int = errno.EPERM


class Mode(NamedTuple):
    """A call's numbers, and the places of the arguments that tell the mode of a file and whether one is made."""

    numbers: tuple[int, int]
    mode: int
    flags: int = ABSENT


class Machine(NamedTuple):
    """An architecture: its name in the audit headers' numbers, and its column in the table."""

    audit: int
    column: int


MACHINES: Final = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}

REFUSED: Final = (
    Group(
        "mounts by the old and the new interface, and other roots: what a slice sees was chosen for it",
        {
            "mount": (165, 40),
            "umount2": (166, 39),
            "pivot_root": (155, 41),
            "chroot": (161, 51),
            "open_tree": (428, 428),
            "move_mount": (429, 429),
            "fsopen": (430, 430),
            "fsconfig": (431, 431),
            "fsmount": (432, 432),
            "fspick": (433, 433),
            "mount_setattr": (442, 442),
            "open_tree_attr": (467, 467),
        },
    ),
    Group(
        "namespaces: in a user namespace of its own a slice would have every capability over what it makes there",
        {"unshare": (272, 97), "setns": (308, 268)},
    ),
    Group(
        "the same by clone3, whose flags lie in memory where a filter cannot look; the C library goes on with clone",
        {"clone3": (435, 435)},
        errno.ENOSYS,
    ),
    Group(
        "other processes' memory, registers and descriptors",
        {
            "ptrace": (101, 117),
            "process_vm_readv": (310, 270),
            "process_vm_writev": (311, 271),
            "process_madvise": (440, 440),
            "pidfd_getfd": (438, 438),
            "kcmp": (312, 272),
        },
    ),
    Group(
        "code in the kernel, or a kernel of one's own",
        {
            "kexec_load": (246, 104),
            "kexec_file_load": (320, 294),
            "init_module": (175, 105),
            "finit_module": (313, 273),
            "delete_module": (176, 106),
            "bpf": (321, 280),
        },
    ),
    Group(
        "large parts of the kernel, often the way out of a sandbox: measuring, page faults by hand, calls by rings that no filter sees",
        {
            "perf_event_open": (298, 241),
            "userfaultfd": (323, 282),
            "io_uring_setup": (425, 425),
            "io_uring_enter": (426, 426),
            "io_uring_register": (427, 427),
        },
    ),
    Group(
        "keyrings: they do not belong to namespaces",
        {"keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218)},
    ),
    Group(
        "the machine: swap, restart, accounting, quotas, the kernel's log, the terminal, names, security labels",
        {
            "swapon": (167, 224),
            "swapoff": (168, 225),
            "reboot": (169, 142),
            "acct": (163, 89),
            "quotactl": (179, 60),
            "quotactl_fd": (443, 443),
            "syslog": (103, 116),
            "vhangup": (153, 58),
            "sethostname": (170, 161),
            "setdomainname": (171, 162),
            "lsm_set_self_attr": (460, 460),
        },
    ),
    Group(
        "the machine's clocks",
        {
            "settimeofday": (164, 170),
            "clock_settime": (227, 112),
            "adjtimex": (159, 171),
            "clock_adjtime": (305, 266),
        },
    ),
    Group(
        "the processor: ports, and segments that have let code out of checks before",
        {"iopl": (172, ABSENT), "ioperm": (173, ABSENT), "modify_ldt": (154, ABSENT)},
    ),
    Group(
        "files by number: a handle is not bound to the folders that a slice sees",
        {"open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264)},
    ),
    Group(
        "a way to make files whose mode lies in memory, where a filter cannot look; programs go on with openat",
        {"openat2": (437, 437)},
        errno.ENOSYS,
    ),
    Group("other processes' file accesses", {"fanotify_init": (300, 262)}),
    Group(
        "where memory lies: for the node's administrator; OpenBLAS in numpy's wheels asks mbind for what is the default anyway, and goes on when refused",
        {
            "mbind": (237, 235),
            "set_mempolicy": (238, 237),
            "set_mempolicy_home_node": (450, 450),
            "migrate_pages": (256, 238),
            "move_pages": (279, 239),
        },
    ),
    Group(
        "calls that nobody needs any more and nobody looks after",
        {
            "uselib": (134, ABSENT),
            "ustat": (136, ABSENT),
            "sysfs": (139, ABSENT),
            "_sysctl": (156, ABSENT),
            "nfsservctl": (180, 42),
            "lookup_dcookie": (212, 18),
        },
    ),
)

# Refused where no Landlock forbids links in the folders of the node's that a slice may write: a filter cannot see where one is to lie, so there are none in /tmp either.
LINKS: Final = {"symlink": (88, ABSENT), "symlinkat": (266, 36)}
# Calls whose answer depends on their arguments (`seccomp.py` says how).
CLONE: Final = (56, 220)
KILL: Final = (62, 129)
IOCTL: Final = (16, 29)
PERSONALITY: Final = (135, 92)
SOCKET: Final = (41, 198)
SOCKETPAIR: Final = (53, 199)
# Those that give a file its mode: which argument that is, and which says whether a file is made, where not all of them do.
MODES: Final = {
    "chmod": Mode((90, ABSENT), mode=1),
    "fchmod": Mode((91, 52), mode=1),
    "creat": Mode((85, ABSENT), mode=1),
    "mknod": Mode((133, ABSENT), mode=1),
    "fchmodat": Mode((268, 53), mode=2),
    "fchmodat2": Mode((452, 452), mode=2),
    "mknodat": Mode((259, 33), mode=2),
    "open": Mode((2, ABSENT), mode=2, flags=1),
    "openat": Mode((257, 56), mode=3, flags=2),
}


def refused(column: int, *, links: bool) -> dict[int, int]:
    """Return the errno of every refused call by its number, in that column; with `links` they may be made."""
    calls = [(numbers, group.errno) for group in REFUSED for numbers in group.calls.values()]
    calls += [] if links else [(numbers, errno.EPERM) for numbers in LINKS.values()]
    return {numbers[column]: code for numbers, code in calls if numbers[column] != ABSENT}
