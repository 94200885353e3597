"""Landlock, a second wall around a slice's files: what its mounts leave open by mistake, these rules keep shut.

The rules name paths (or hold descriptors); each holds for everything beneath.  What stands in no list cannot be opened, not even through a
mount, a descriptor of a folder or /proc/self/root that was forgotten.  Files that are open already stay usable.

    list         may be
    read_only    read, listed, executed
    read_write   that, and everything else: written, made, removed, renamed, cut, and asked by ioctl if a device
    unlinked     that, but no symbolic links are made: whoever goes that way later, with more rights, is not led elsewhere

By the kernel's version of the interface (ABI) there is more to it; `InForce` says what there was:

    1  files     2  refer: renames and links between folders     3  truncate     4  tcp: bind and connect, refused without a network
    5  ioctl_dev: of devices     6  abstract_unix, signal: only towards who stands behind the same wall
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from runink.sandbox.calls import Call, asked, called, next_free, perform
from runink.sandbox.calls import prctl as prctl_made
from runink.sandbox.syscalls import (
    LANDLOCK_ACCESS_FS_EXECUTE,
    LANDLOCK_ACCESS_FS_IOCTL_DEV,
    LANDLOCK_ACCESS_FS_MAKE_SYM,
    LANDLOCK_ACCESS_FS_READ_DIR,
    LANDLOCK_ACCESS_FS_READ_FILE,
    LANDLOCK_ACCESS_FS_REFER,
    LANDLOCK_ACCESS_FS_TRUNCATE,
    LANDLOCK_ACCESS_FS_WRITE_FILE,
    LANDLOCK_ACCESS_NET_BIND_TCP,
    LANDLOCK_ACCESS_NET_CONNECT_TCP,
    LANDLOCK_CREATE_RULESET_VERSION,
    LANDLOCK_RULE_PATH_BENEATH,
    LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
    LANDLOCK_SCOPE_SIGNAL,
    PR_GET_NO_NEW_PRIVS,
    call,
    prctl,
)

READ: Final = (
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR
)
# All that the kernel lets a rule say of something that is no folder.
OF_A_FILE: Final = (
    LANDLOCK_ACCESS_FS_EXECUTE
    | LANDLOCK_ACCESS_FS_WRITE_FILE
    | LANDLOCK_ACCESS_FS_READ_FILE
    | LANDLOCK_ACCESS_FS_TRUNCATE
    | LANDLOCK_ACCESS_FS_IOCTL_DEV
)


class Guard(NamedTuple):
    """What an ABI brought: the bits of `struct landlock_ruleset_attr` of linux/landlock.h."""

    abi: int
    name: str
    files: int = 0
    tcp: int = 0
    scopes: int = 0


GUARDS: Final = (
    Guard(1, "files", files=(LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1),
    Guard(2, "refer", files=LANDLOCK_ACCESS_FS_REFER),
    Guard(3, "truncate", files=LANDLOCK_ACCESS_FS_TRUNCATE),
    Guard(4, "tcp", tcp=LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP),
    Guard(5, "ioctl_dev", files=LANDLOCK_ACCESS_FS_IOCTL_DEV),
    Guard(6, "abstract_unix", scopes=LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET),
    Guard(6, "signal", scopes=LANDLOCK_SCOPE_SIGNAL),
)
_SIZES: Final = ((6, 24), (4, 16), (1, 8))  # of the structure, from which ABI on
_RULE = struct.Struct("=Qi")  # struct landlock_path_beneath_attr


class InForce(NamedTuple):
    """What is guarded, and the kernel's ABI: 0, and nothing guarded, where there is no Landlock."""

    abi: int
    guards: tuple[str, ...]


class Rules(NamedTuple):
    """Rules that are ready to be put in force: the ruleset's structure, and what is allowed beneath which path or descriptor."""

    in_force: InForce
    attributes: bytes
    accesses: tuple[tuple[str | int, int], ...]


def abi() -> int:
    """Return the version of Landlock that this process may use, 0 for none. Raises OSError for anything but its absence."""
    try:
        return call("landlock_create_ruleset", None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    except OSError as error:
        # Not built in, not switched on at boot, or refused by a filter that we are behind: those of older containers say EPERM to what they do not know.
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def prepared(
    *,
    read_only: Iterable[str | int],
    read_write: Iterable[str | int],
    network: bool,
    version: int,
    unlinked: Iterable[str | int] = (),
) -> Rules:
    """Return the rules for these paths and descriptors, as far as that ABI goes. TCP is left alone with a `network`."""
    guards = [
        guard for guard in GUARDS if guard.abi <= version and not (network and guard.name == "tcp")
    ]
    files = sum(guard.files for guard in guards)
    wanted = struct.pack(
        "=3Q", files, sum(guard.tcp for guard in guards), sum(guard.scopes for guard in guards)
    )
    size = next((size for since, size in _SIZES if since <= version), 0)
    return Rules(
        InForce(version, tuple(guard.name for guard in guards)),
        wanted[:size],
        (
            *((place, READ & files) for place in read_only),
            *((place, files) for place in read_write),
            *((place, files & ~LANDLOCK_ACCESS_FS_MAKE_SYM) for place in unlinked),
        ),
    )


def restrict(rules: Rules) -> InForce:
    """Put this thread and all that it will start behind the rules for ever; say what is in force, which is nothing where there is no Landlock.

    Raises OSError, also for a path that is not there.
    """
    if not rules.in_force.abi:
        return rules.in_force
    if prctl(PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError(errno.EPERM, "landlock: no_new_privs is not set")
    files = {place for place, _ in rules.accesses if not _is_folder(place)}
    perform(restricting(rules, files, free=next_free()))
    return rules.in_force


def restricting(rules: Rules, files: Collection[str | int], *, free: int) -> list[Call]:
    """Return the calls that do it in a process whose lowest free descriptor is `free`, behind no_new_privs. `files` are those of the places that are no folders.

    If one of them fails, what was opened stays open: who was to be behind the rules has to end.
    """
    if not rules.in_force.abi:
        return []
    attributes = rules.attributes
    ruleset, opened = free, free + 1
    calls = [
        prctl_made("landlock: no_new_privs", PR_GET_NO_NEW_PRIVS, wanted=1),
        asked(
            "landlock", "landlock_create_ruleset", attributes, len(attributes), 0, wanted=ruleset
        ),
    ]
    for place, allowed in rules.accesses:
        says = f"landlock: {place}"
        beneath = place
        if isinstance(place, str):
            beneath = opened
            flags = os.O_PATH | os.O_CLOEXEC
            calls.append(called(says, "open", os.fsencode(place), flags, wanted=opened))
        rule = _RULE.pack(allowed & OF_A_FILE if place in files else allowed, beneath)
        kind = LANDLOCK_RULE_PATH_BENEATH
        calls.append(asked(says, "landlock_add_rule", ruleset, kind, rule, 0))
        if isinstance(place, str):
            calls.append(called(says, "close", opened))
    calls.append(asked("landlock", "landlock_restrict_self", ruleset, 0))
    calls.append(called("landlock", "close", ruleset))
    return calls


def _is_folder(place: str | int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(place).st_mode)  # noqa: PTH116 - the sandbox does without pathlib
    except OSError as error:
        raise OSError(error.errno, f"landlock: {place}: {error.strerror}") from error
