"""Users of this machine, for commands that root starts for another: who is meant, whether that user may have what is asked for, and how root is given up.

What root runs for a user must not be that user's to change: the code (`check_code`), and the folders of sockets and logs (`sandbox.spawning.check_private`).  What belongs to the user, its state, is
changed by nobody but it: where that is not so, the error says what to do.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
import sysconfig
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from msgspec.structs import replace as changed

import runink
from runink.cli.exits import usage
from runink.config import NodeSettings
from runink.errors import Forbidden
from runink.machine_reading import user_text
from runink.node import spawner_place
from runink.sandbox import privileges, rights
from runink.sandbox.keeper import start_keeper
from runink.sandbox.rights import User

FOLDER: Final = Path("/run/runink")  # of sockets that root makes for other users
NODES: Final = FOLDER / "nodes"
LIBRARIES: Final = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
SETTINGS: Final = "pyvenv.cfg"  # of a virtual environment: it says where the rest is
STRAY_MAX: Final = 3  # of files that belong to others, as they are named
OTHERS_HOME: Final = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """A user with its own group, a name for people, and its home."""

    user: User
    name: str
    home: str

    @property
    def owner(self) -> str:
        """Return it as chown takes it."""
        return f"{self.user.uid}:{self.user.gid}"


def account_of(text: str) -> Account:
    """Return who is meant by a name, UID, or either with `:` and a group's name or GID. Raises the error of a wrong command line."""
    name, _, group = text.partition(":")
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        found = None
    if found is None and not (name.isdecimal() and group):
        hint = f", and {name}:GID would be needed without" if name.isdecimal() else ""
        raise usage(f"there is no user {name!r} on this machine{hint}")
    uid = found.pw_uid if found is not None else int(name)
    gid = _group_of(group) if group or found is None else found.pw_gid
    try:
        user = User.parse(f"{uid}:{gid}")
    except ValueError as error:
        raise usage(f"{error}: name a user of its own") from error
    if found is None:
        return Account(user, str(uid), "/")
    return Account(user, found.pw_name, found.pw_dir)


def _group_of(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise usage(f"there is no group {text!r} on this machine") from None


def check_root(what: str) -> None:
    """Raise Forbidden unless we are root."""
    if os.geteuid():
        raise Forbidden(
            f"only root {what}, and this is {user_text(os.geteuid())}",
            code="not_root",
            hint="start it with sudo, or leave the option away: it then runs as you, with what your user may",
        )


def check_code(account: Account) -> None:
    """Raise Forbidden if the user cannot read the code that it is to run, or can change what root runs. Our groups are gone after this."""
    rights.forget_groups()
    for path in (runink.__path__[0], sys.prefix, sys.base_prefix):
        try:
            found = rights.opened(str(path), account.user)
            try:
                rights.check(found, str(path), account.user, is_writable=False)
            finally:
                os.close(found)
        except OSError as error:
            raise Forbidden(
                f"{account.name} cannot read what Runink is installed as: {error}",
                code="code_unreachable",
                hint="install it where all users can read it, as in /opt/runink",
            ) from error
    for path in sorted(_code()):
        if _may_write(path, account.user):
            raise Forbidden(
                f"{account.name} can change {path}, where what root runs comes from",
                code="code_writable",
                hint="install Runink as root, for all users, as in /opt/runink",
            )


def _code() -> set[str]:
    """Return what a spawner is made of, files and folders: whoever changes one of them has root run it."""
    package = Path(runink.__path__[0])
    libraries = {Path(sysconfig.get_path(name)) for name in LIBRARIES}
    programs = {Path(sys.executable), Path(sys.executable).resolve(), Path(sys.prefix, SETTINGS)}
    found = {package, package / "sandbox", *package.glob("*.py"), *package.glob("sandbox/*.py")}
    found |= libraries | programs
    found |= {path for library in libraries if library.is_dir() for path in library.iterdir()}
    above = {folder for path in found for folder in path.parents}
    # Where names are their owners' (the sticky bit), who may write a folder does not change what others have in it.
    found |= {folder for folder in above if not folder.stat().st_mode & stat.S_ISVTX}
    return set(map(str, found))


def _may_write(path: str, user: User) -> bool:
    try:
        found = rights.opened(path, user)
    except OSError:
        return False
    try:
        rights.check(found, path, user, is_writable=True)
    except OSError:
        return False
    finally:
        os.close(found)
    return True


def check_state(folder: Path, account: Account) -> None:
    """Raise Forbidden unless the state's folder is there and the user's, with all that lies in it."""
    if not folder.is_dir():
        raise Forbidden(
            f"{folder} is not there, and root makes no folder for {account.name}",
            code="state_not_theirs",
            hint=f"install -d -m 700 -o {account.user.uid} -g {account.user.gid} {folder}",
        )
    stray = [
        path for path in (folder, *folder.iterdir()) if path.lstat().st_uid != account.user.uid
    ]
    if stray:
        named = ", ".join(
            f"{path} ({user_text(path.lstat().st_uid)})" for path in stray[:STRAY_MAX]
        )
        more = f" and {len(stray) - STRAY_MAX} more" if len(stray) > STRAY_MAX else ""
        raise Forbidden(
            f"the state belongs to others than {account.name}: {named}{more}",
            code="state_not_theirs",
            hint=f"chown -R {account.owner} {folder}",
        )


def place_of(state: Path) -> Path:
    """Return the socket of the spawner that root starts for the node with this state."""
    return NODES / f"{zlib.crc32(os.fsencode(state)):08x}" / "spawner.sock"


def given_up(account: Account, settings: NodeSettings) -> NodeSettings:
    """Give up root for good, and return the settings by which a node has its spawner from root all the same.

    Only for a process of one thread that has opened and read nothing yet.  Raises Invalid, Forbidden, OSError.
    """
    check_root("gives up root (--user)")
    kept = changed(settings, spawner=place_of(settings.state))
    kept.validate()
    check_code(account)
    check_state(settings.state, account)
    assert kept.spawner is not None, "it was said above"
    place = replace(
        spawner_place(kept),
        log=kept.spawner.with_suffix(".log"),
        user=account.user,
        state=settings.state,
    )
    keeper = start_keeper(place)
    become(account)
    os.chdir(settings.state)
    return changed(kept, keeper=keeper)


def become(account: Account) -> None:
    """Become the user, with no power of root's and no way back. Raises OSError."""
    privileges.drop_bounding_set()
    privileges.become(*account.user)
    privileges.drop_capabilities()
    privileges.forbid_new_privileges()
    privileges.check_powerless()
    os.environ |= {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}
    for name in OTHERS_HOME:
        os.environ.pop(name, None)
