"""System calls to try with the slice's filter and without, run as a program: `python seal_probes.py open|none|egress`.

Each is made in a process of its own, with arguments that make the kernel refuse it for a reason of its own (a bad pointer, a bad flag, nobody with that
number), or that do no harm: so without the filter nothing happens to the machine, and the answer shows that the kernel was reached.
The outcomes are written as JSON: "done", the name of the errno, or "signal" and its number.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import pty
import signal
import sys
from collections.abc import Callable
from typing import Final

from runink.sandbox import privileges, seccomp
from runink.sandbox.seccomp_table import CLONE, IOCTL, MACHINES, PERSONALITY, REFUSED
from runink.sandbox.seccomp_table import SOCKET as SOCKET_NUMBERS
from runink.sandbox.seccomp_table import SOCKETPAIR as SOCKETPAIR_NUMBERS

# Keeps the interpreter's lock: the child of a clone must have it.
LIBC = ctypes.PyDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
MACHINE: Final = os.uname().machine
COLUMN: Final = MACHINES[MACHINE].column
NUMBERS: Final = {
    name: numbers[COLUMN] for group in REFUSED for name, numbers in group.calls.items()
}
NOBODY: Final = 0x7FFFFFFF
BAD: Final = -1
ABOVE: Final = 1 << 40
BAD_TYPE: Final = 0x0DEAD000  # flags that no socket has: refused before the family is looked at
FAMILIES: Final = range(46)  # all that Linux 6.18 knows
NEW: Final = {
    "time": 0x80,
    "mnt": 0x20000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
# What to call with, where it is not all zeros.
ARGUMENTS: Final[dict[str, tuple[int, ...]]] = {
    "open_tree": (BAD,),
    "move_mount": (BAD, 0, BAD),
    "fsconfig": (BAD,),
    "fsmount": (BAD,),
    "fspick": (BAD,),
    "mount_setattr": (BAD,),
    "open_tree_attr": (BAD,),
    "setns": (BAD,),
    "ptrace": (2, NOBODY),  # PTRACE_PEEKDATA
    "process_vm_readv": (NOBODY, 0, 0, 0, 0, 1),
    "process_vm_writev": (NOBODY, 0, 0, 0, 0, 1),
    "process_madvise": (BAD,),
    "pidfd_getfd": (BAD,),
    "kcmp": (NOBODY, NOBODY),
    "kexec_load": (0, 0, 0, 0xFFFF),
    "kexec_file_load": (BAD, BAD, 0, 0, 0xFFFF),
    "finit_module": (BAD, 0, 0xFFFF),
    "bpf": (9999,),
    "perf_event_open": (0, 0, BAD, BAD, BAD),
    "userfaultfd": (BAD,),
    "io_uring_enter": (BAD, 0, 0, 0xFFFFFFFF),
    "io_uring_register": (BAD, 9999),
    "keyctl": (9999,),
    "acct": (1,),
    "quotactl": (0xFF,),
    "quotactl_fd": (BAD, 0xFF),
    "syslog": (10,),  # how large the log is
    "sethostname": (0, BAD),
    "setdomainname": (0, BAD),
    "settimeofday": (1,),
    "clock_settime": (9999,),
    "iopl": (99,),
    "ioperm": (BAD, 1, 1),
    "modify_ldt": (99,),
    "open_by_handle_at": (BAD,),
    "name_to_handle_at": (BAD,),
    "fanotify_init": (BAD,),
    "mbind": (0, 0, 99),
    "set_mempolicy": (99,),
    "set_mempolicy_home_node": (1, 0, 0, 1),
    "migrate_pages": (NOBODY,),
    "move_pages": (NOBODY,),
    "sysfs": (99,),
}
Probe = Callable[[], object]


def call(number: int, *arguments: int) -> int:
    """Make a system call and raise OSError as the kernel says."""
    result: int = LIBC.syscall(*(ctypes.c_long(value) for value in (number, *arguments, *(0,) * 6)[:7]))  # fmt: skip
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def probes() -> dict[str, Probe]:
    """Return every probe by its name."""
    found: dict[str, Probe] = {}
    for group in REFUSED:
        for name, numbers in group.calls.items():
            if numbers[COLUMN] >= 0:
                arguments = (numbers[COLUMN], *ARGUMENTS.get(name, ()))
                found[name] = lambda arguments=arguments: call(*arguments)
    found["clone: nothing new"] = lambda: cloned(signal.SIGCHLD)
    for name, flag in NEW.items():
        found[f"unshare: {name}"] = lambda flag=flag: unshared(flag)
        found[f"setns: {name}"] = lambda name=name, flag=flag: joined(name, flag)
        found[f"clone3: {name}"] = lambda flag=flag: cloned_by_structure(flag)
        if name != "time":
            found[f"clone: {name}"] = lambda flag=flag: cloned(flag | signal.SIGCHLD)
            found[f"clone: {name}, a bit above"] = lambda flag=flag: cloned(
                ABOVE | flag | signal.SIGCHLD
            )
    found |= {
        "ioctl: TIOCSTI": lambda: typed(0x5412),
        "ioctl: TIOCSTI, a bit above": lambda: typed(ABOVE | 0x5412),
        "ioctl: TIOCLINUX": lambda: call(IOCTL[COLUMN], BAD, 0x541C),
        "ioctl: another": lambda: call(IOCTL[COLUMN], BAD, 0x541B),
        "personality: query": lambda: call(PERSONALITY[COLUMN], 0xFFFFFFFF),
        "personality: Linux": lambda: call(PERSONALITY[COLUMN], 0),
        "personality: no randomisation": lambda: call(PERSONALITY[COLUMN], 0x0040000),
        "fork": forked,
        "32-bit call": called_in_32_bits,
    }
    return found | socket_probes()


def socket_probes() -> dict[str, Probe]:
    found: dict[str, Probe] = {}

    def add(name: str, *arguments: int, number: int = SOCKET_NUMBERS[COLUMN]) -> None:
        found[name] = lambda: os.close(call(number, *arguments))

    for family in FAMILIES:
        add(f"socket: family {family}", family, BAD_TYPE | 1, 0)
        add(f"socket: family {family}, a bit above", ABOVE | family, BAD_TYPE | 1, 0)
        add(f"socketpair: family {family}", family, BAD_TYPE | 1, 0, number=SOCKETPAIR_NUMBERS[COLUMN])  # fmt: skip
    for protocol in range(32):
        add(f"socket: netlink {protocol}", 16, BAD_TYPE | 3, protocol)
    for family, name in ((2, "inet"), (10, "inet6")):
        for kind in range(1, 11):
            add(f"socket: {name} type {kind}", family, BAD_TYPE | kind, 0)
        for protocol in (1, 6, 17, 58, 132, 136, 262):
            add(f"socket: {name} stream {protocol}", family, BAD_TYPE | 1, protocol)
            add(f"socket: {name} datagram {protocol}", family, BAD_TYPE | 2, protocol)
        # The same again as a program would ask for it.
        add(f"real socket: {name} tcp", family, 1 | 0x80000, 0)
        add(f"real socket: {name} udp", family, 2 | 0x800, 17)
        add(f"real socket: {name} raw", family, 3, 255)
    add("real socket: unix", 1, 1, 0)
    add("real socket: packet", 17, 3, 0)
    add("real socket: netlink route", 16, 3, 0)
    add("real socket: netlink of uevents", 16, 3, 15)
    add("real socket: vsock", 40, 1, 0)  # it is never connected
    return found


def cloned(flags: int) -> int:
    pid = call(CLONE[COLUMN], flags)
    if not pid:
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def cloned_by_structure(flags: int) -> int:
    arguments = (ctypes.c_uint64 * 8)(flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = call(435, ctypes.addressof(arguments), ctypes.sizeof(arguments))
    if not pid:
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def unshared(flags: int) -> int:
    return call(NUMBERS["unshare"], flags)


def joined(name: str, flag: int) -> int:
    """Join the namespace that we are in."""
    descriptor = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
    return call(NUMBERS["setns"], descriptor, flag)


def typed(request: int) -> int:
    """Put a letter into a terminal of our own."""
    _, terminal = pty.openpty()
    letter = ctypes.create_string_buffer(b"x")
    return call(IOCTL[COLUMN], terminal, request, ctypes.addressof(letter))


def forked() -> int:
    pid = os.fork()
    if not pid:
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def called_in_32_bits() -> int:
    """Ask for our process id through the door of 32-bit programs."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("53 b8 14 00 00 00 cd 80 5b c3"))  # push rbx; eax = getpid; int 0x80
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    found = function()
    if found != os.getpid():
        raise OSError(errno.EPROTO, f"getpid said {found}")
    return found


def outcome(probe: Probe) -> str:
    """Make the call in a child and say how it went."""
    pid = os.fork()
    if not pid:
        code = 0
        try:
            os.setsid()  # vhangup would reach our terminal
            probe()
        except OSError as error:
            code = error.errno or 255
        except BaseException:  # noqa: BLE001 - the child must not go on as its parent
            code = 254
        os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    code = os.WEXITSTATUS(status)
    return errno.errorcode.get(code, f"exit {code}") if code else "done"


def main() -> None:
    mode = sys.argv[1]
    if mode != "open":
        privileges.forbid_new_privileges()
        seccomp.install(seccomp.prepared(egress=mode == "egress"))
    json.dump({name: outcome(probe) for name, probe in probes().items()}, sys.stdout)


if __name__ == "__main__":
    main()
