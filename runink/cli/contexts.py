"""Contexts: the clusters that somebody asks from here, by names of his own, and how he logs in there.

    $XDG_CONFIG_HOME/runink/contexts.json   (~/.config)       the contexts, and which one is in use; for its owner alone, though it has no secrets
    $XDG_STATE_HOME/runink/logins/NAME.json (~/.local/state)  what a login has given, see `logins.py`

Which one a command asks: `--context`, else RUNINK_CONTEXT, else the one in use, else none: then it asks the cluster of its state folder, at that folder's socket.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from runink.cli.locking import locked_file
from runink.errors import Conflict, Invalid, NotFound, TimedOut
from runink.private_files import make_private_folder, read_private, replace_private
from runink.suggestions import near_or_all

CONTEXT: Final = "RUNINK_CONTEXT"  # in the environment
CONTEXTS_MAX: Final = 200  # people have a handful
LOCKED_S: Final = 10.0  # longer than a change takes, on a slow disk, too
_UNREADABLE: Final = "contexts_unreadable"


SCOPES: Final = ("openid", "offline_access")  # the second is what lets a login be renewed


class Login(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which provider somebody logs in with, as its settings name it. `origins` are those beside the issuer's own that its endpoints have, `authority` a PEM file that its server is checked with."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...] = SCOPES
    resource: str = ""
    origins: tuple[str, ...] = ()
    authority: str = ""


class Context(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A cluster, as somebody asks it. `authority` is a PEM file that it is checked with, `herd` the one that is meant where none is named.

    At most one of `login` and `token_file` is there: a provider, or a file that holds a token.
    """

    name: str
    address: str
    authority: str = ""
    herd: str = ""
    token_file: str = ""
    login: Login | None = None


class Contexts(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """All contexts, by their names, and the one in use, empty for none."""

    contexts: tuple[Context, ...] = ()
    used: str = ""

    def named(self, name: str) -> Context:
        """Return a context. Raises NotFound (`no_such_context`)."""
        found = next((one for one in self.contexts if one.name == name), None)
        if found is None:
            known = [one.name for one in self.contexts]
            raise NotFound(
                f"there is no context {name}",
                code="no_such_context",
                hint=near_or_all(name, known) or "runi context add NAME ADDRESS makes one",
            )
        return found

    def added(self, context: Context, *, anew: bool) -> Contexts:
        """Return them with one more. Raises Conflict (`exists`) for one that is there, unless it is said `anew`."""
        others = tuple(one for one in self.contexts if one.name != context.name)
        if len(others) < len(self.contexts) and not anew:
            raise Conflict(
                f"there is a context {context.name}",
                code="exists",
                hint="give --anew to put this one in its place",
            )
        if len(others) >= CONTEXTS_MAX:
            raise Invalid(f"there are {CONTEXTS_MAX} contexts already", code="contexts_too_many")
        ordered = sorted((*others, context), key=lambda one: one.name)
        return msgspec.structs.replace(self, contexts=tuple(ordered))

    def without(self, name: str) -> Contexts:
        """Return them without one. Raises NotFound."""
        gone = self.named(name)
        left = tuple(one for one in self.contexts if one is not gone)
        return Contexts(left, "" if self.used == name else self.used)


def config_folder() -> Path:
    """Return where settings of this person are."""
    return _home("XDG_CONFIG_HOME", ".config")


def login_folder() -> Path:
    """Return where logins of this person are."""
    return _home("XDG_STATE_HOME", ".local/state") / "logins"


def _home(variable: str, usual: str) -> Path:
    said = Path(os.environ.get(variable, ""))
    # A relative one is to be ignored, XDG says.
    return (said if said.is_absolute() else Path.home() / usual) / "runink"


def read_contexts() -> Contexts:
    """Return the contexts; none where there is no file. Raises Invalid or Refused (`contexts_unreadable`), OSError."""
    path = config_folder() / "contexts.json"
    try:
        content = read_private(
            path,
            code=_UNREADABLE,
            harm="knows which clusters you ask, and could have you ask others",
        )
    except FileNotFoundError:
        return Contexts()
    try:
        return msgspec.json.decode(content, type=Contexts)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{path} cannot be read: {error}",
            code=_UNREADABLE,
            hint="mend it, or take it away and make the contexts anew",
        ) from None


def change_contexts(change: Callable[[Contexts], Contexts], *, within_s: float = LOCKED_S) -> None:
    """Keep what `change` makes of the contexts; of two commands at once one changes what the other has made. Raises TimedOut (`contexts_locked`), OSError, and what `change` and `read_contexts` do."""
    folder = config_folder()
    make_private_folder(folder)
    busy = TimedOut(
        "another command changes the contexts, and does not end",
        code="contexts_locked",
        hint="end it, and try again",
    )
    with locked_file(folder / "contexts.lock", within_s=within_s, busy=busy):
        changed = msgspec.json.encode(change(read_contexts()))
        replace_private(folder / "contexts.json", msgspec.json.format(changed, indent=2) + b"\n")


def chosen(name: str | None) -> Context | None:
    """Return the context that a command asks, nothing for the cluster of its state folder. `name` is what its option or the environment says. Raises NotFound and what `read_contexts` does."""
    try:
        contexts = read_contexts()
    except PermissionError:
        if name:
            raise
        return None  # somebody else's home, as with sudo -u: its contexts are none of this user's
    wanted = contexts.used if name is None else name
    return contexts.named(wanted) if wanted else None
