"""How bubblewrap is asked to close a slice off: the words that it is called with, and what its end says.  Pure.

    spawner        makes what a slice is shown, its cgroups, its ids and its channels, as for any cell, and clones the launcher
    launcher       a copy of the spawner in a user and a mount namespace of its own: joins the cgroups, makes a root in which there is nothing but what is shown, becomes the
                   slice's user without any right, and then bubblewrap (`bubblewrap_launcher.py`)
    bubblewrap     makes all other namespaces, puts the slice's root together, gives up every capability, puts the filter of system calls in force, and starts
    first process  a fresh interpreter, which becomes both processes of a cell (`bubblewrap_inside.py`); bubblewrap's own process stays outside and waits for it

In the launcher's root, which is bubblewrap's view of the machine:

    /shown/N       the N-th tree, whatever its place is: no tree lies in another, so each is bound with its own attributes
    /scratch/tmp   the slice's memory file systems, because bubblewrap's own know no limit of files
    /scratch/shm
    /usr, /etc, .. links to what bubblewrap itself needs to run
    /proc, /tmp    the spawner's; where bubblewrap puts the new root

So it is given no path that anybody else could change under it, and needs no option that old versions have not got: all of these are in 0.5 (2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from runink.sandbox.inner_protocol import Fork
from runink.sandbox.isolation import HOST_NAME
from runink.sandbox.namespaces import OWN

PROGRAM: Final = "bwrap"
OLDEST: Final = "0.5"
INSTALL: Final = f"install bubblewrap {OLDEST} or later (apt-get install bubblewrap, dnf install bubblewrap), or leave --isolation bubblewrap away"
SHOWN: Final = "/shown"
SCRATCH: Final = {"/tmp": "/scratch/tmp", "/dev/shm": "/scratch/shm"}  # noqa: S108 - places in the slice's own root
DEVICES: Final = "/dev"
# Explicitly, what --unshare-all only tries: a slice has all of these or does not begin.
NAMESPACES: Final = ("--unshare-all", "--unshare-user", "--unshare-cgroup")
SIGNALLED: Final = (
    128  # what bubblewrap, as a shell, adds to the signal that has ended who it waits for
)
SIGNALS_MAX: Final = 64


class Masks(NamedTuple):
    """What of the new /proc is covered: files by the device `null`, folders by an empty one. Absolute paths."""

    files: Sequence[str]
    folders: Sequence[str]


class Call(NamedTuple):
    """What of a call is no matter of places. `filter_at` is the descriptor that the filter is read from, nothing where there is no seccomp; `inside` the words of the program."""

    environment: Mapping[str, str]
    has_network: bool
    filter_at: int | None
    inside: Sequence[str]


def words(fork: Fork, masks: Masks, called: Call) -> list[str]:
    """Return the words of a call, the program's name first, that closes off what the spawner wants to have made."""
    found = [PROGRAM, *NAMESPACES, "--die-with-parent", "--new-session", "--as-pid-1"]
    if called.has_network:
        found.append("--share-net")
    found += ["--uid", str(OWN), "--gid", str(OWN), "--hostname", HOST_NAME.decode()]
    found += ["--cap-drop", "ALL", "--clearenv"]
    for name, value in called.environment.items():
        found += ["--setenv", name, value]
    found += _places(fork)
    found += _masked(masks, staged(fork.targets.index(DEVICES)))
    found += ["--remount-ro", "/", "--chdir", fork.folder]
    if called.filter_at is not None:
        found += ["--seccomp", str(called.filter_at)]
    return [*found, "--", *called.inside]


def staged(number: int) -> str:
    """Return where the tree with this number lies in the launcher's root."""
    return f"{SHOWN}/{number}"


def _places(fork: Fork) -> list[str]:
    """Return what puts the root together: those places first that hold others."""
    found: list[str] = []
    for name, leads_to in fork.links:
        found += ["--symlink", leads_to, f"/{name}"]
    found += ["--proc", "/proc"]
    sources = dict(SCRATCH) | {path: staged(number) for number, path in enumerate(fork.targets)}
    for path in sorted(sources):
        found += [_binding(path, fork.writable), sources[path], path]
    return [*found, "--dir", fork.folder]


def _binding(path: str, writable: Sequence[str]) -> str:
    if path == DEVICES:
        return "--dev-bind"
    return "--bind" if path in writable or path in SCRATCH else "--ro-bind"


def _masked(masks: Masks, devices: str) -> list[str]:
    found: list[str] = []
    for path in masks.files:
        found += ["--dev-bind", f"{devices}/null", path]
    for path in masks.folders:
        found += ["--ro-bind", f"{devices}/empty", path]
    return found


def status_of(status: int) -> int:
    """Return the wait status of the first process, from that of bubblewrap's own process, which ends as a shell would."""
    number = (status >> 8 & 0xFF) - SIGNALLED
    is_signal = not status & 0x7F and 0 < number <= SIGNALS_MAX
    return number if is_signal else status


def version_of(said: str) -> str:
    """Return the version of what `bwrap --version` has said."""
    return said.strip().rpartition(" ")[2]
