"""The slice's filter as libseccomp makes it, for Debian's Python: `python3 seccomp_oracle.py x86_64|aarch64 none|egress`, the refused calls on stdin."""

from __future__ import annotations

import errno
import json
import sys
import tempfile

import seccomp as library

WORD = 0xFFFFFFFF
FAMILIES_MAX = 64
PROTOCOLS_MAX = 264  # MPTCP, 262, is the last
NEW_NAMESPACES = (0x20000, *(1 << bit for bit in range(25, 31)))
MASKED = library.MASKED_EQ


def main() -> None:
    machine, network = sys.argv[1:]
    asked = json.load(sys.stdin)
    architecture = getattr(library.Arch, machine.upper())
    rules = library.SyscallFilter(library.ALLOW)
    rules.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
    if architecture != library.Arch():
        rules.remove_arch(library.Arch())
        rules.add_arch(architecture)
    for name, code in asked["refused"].items():
        number = library.resolve_syscall(architecture, name)
        if number >= 0:
            rules.add_rule(library.ERRNO(code), name)
    add_by_argument(rules)
    for name, place, flags in asked["modes"]:
        if library.resolve_syscall(architecture, name) >= 0:
            add_mode(rules, name, place, flags)
    add_sockets(rules, families=(1, 2, 10, 16) if network == "egress" else (1, 2, 10))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        written = file.read().hex()
    numbers = {name: library.resolve_syscall(architecture, name) for name in asked["numbers"]}
    json.dump({"filter": written, "numbers": numbers}, sys.stdout)


def add_by_argument(rules: library.SyscallFilter) -> None:
    refused = library.ERRNO(errno.EPERM)
    for flag in NEW_NAMESPACES:
        rules.add_rule(refused, "clone", library.Arg(0, MASKED, flag, flag))
    for request in (0x5412, 0x541C):
        rules.add_rule(refused, "ioctl", library.Arg(1, MASKED, WORD, request))
    for family in range(FAMILIES_MAX):
        if family != 1:
            rules.add_rule(library.ERRNO(errno.EAFNOSUPPORT), "socketpair", of_family(family))
    # A word that is neither 0 nor all ones has somewhere a one beside a zero, going round.
    for bit in range(32):
        one, beside = 1 << bit, 1 << (bit + 1) % 32
        rules.add_rule(refused, "personality", library.Arg(0, MASKED, one | beside, one))


def add_mode(rules: library.SyscallFilter, name: str, place: int, flags: int) -> None:
    refused = library.ERRNO(errno.EPERM)
    for right in (0o4000, 0o2000):
        mode = library.Arg(place, MASKED, right, right)
        if flags < 0:
            rules.add_rule(refused, name, mode)
            continue
        for made in (0o100, 0o20000000):
            rules.add_rule(refused, name, library.Arg(flags, MASKED, made, made), mode)


def add_sockets(rules: library.SyscallFilter, *, families: tuple[int, ...]) -> None:
    for family in range(FAMILIES_MAX):
        if family not in families:
            rules.add_rule(library.ERRNO(errno.EAFNOSUPPORT), "socket", of_family(family))
    unknown = library.ERRNO(errno.EPROTONOSUPPORT)
    for protocol in range(1, PROTOCOLS_MAX) if 16 in families else ():
        rules.add_rule(unknown, "socket", of_family(16), of_protocol(protocol))
    for family in (2, 10):
        for kind in range(16):
            if kind not in (1, 2):
                rules.add_rule(library.ERRNO(errno.EPERM), "socket", of_family(family), of_kind(kind))  # fmt: skip
        for kind, own in ((1, 6), (2, 17)):
            for protocol in range(1, PROTOCOLS_MAX):
                if protocol != own:
                    rules.add_rule(unknown, "socket", of_family(family), of_kind(kind), of_protocol(protocol))  # fmt: skip


def of_family(family: int) -> library.Arg:
    return library.Arg(0, MASKED, WORD, family)


def of_kind(kind: int) -> library.Arg:
    return library.Arg(1, MASKED, 0xF, kind)


def of_protocol(protocol: int) -> library.Arg:
    return library.Arg(2, MASKED, WORD, protocol)


if __name__ == "__main__":
    main()
