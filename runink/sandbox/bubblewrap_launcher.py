"""The clone of the spawner that becomes bubblewrap.  It is powerless from its first moment: it has a user namespace of its own, whose ids the spawner writes.

    1  its cgroups    joined, before there is a second process
    2  descriptors    all closed but what it needs
    3  go             waited for: the id maps are written, and the slice's channels come
    4  root           a new one with nothing but what is shown (`bubblewrap.py`)
    5  user           the slice's, without groups, and so without capabilities once it is another program
    6  bubblewrap     by its descriptor, with a pipe for what it complains of

What bubblewrap's interpreter has to know comes by sealed memory (`Inside`), because a command line is everybody's to read.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import traceback
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from runink.sandbox import bubblewrap, privileges
from runink.sandbox.arguments import kept_environment
from runink.sandbox.birth import EXIT_EXCEPTION, be_unborn
from runink.sandbox.bubblewrap import SCRATCH, Call, Masks, staged
from runink.sandbox.calls import perform
from runink.sandbox.courses import (
    CHANNELS,
    LINK,
    OUTFIT,
    OUTFIT_MAX,
    STANDARD,
    being_alone,
    taking_outfit,
)
from runink.sandbox.faults import step_of
from runink.sandbox.inner_protocol import Fork
from runink.sandbox.isolation import SCRATCH_FILES, Progress, Seals, become_root
from runink.sandbox.kernel import offer_to_oom_killer, sealed
from runink.sandbox.mounts import (
    MASKED,
    MASKED_FOLDERS,
    PLACE,
    ROOT_BYTES,
    ROOT_INODES,
    SAFE,
    attach,
    is_folder,
    new_filesystem,
)
from runink.sandbox.namespaces import OWN
from runink.sandbox.protocol import NO_NETWORK
from runink.sandbox.skeleton import SYSTEM
from runink.sandbox.syscalls import (
    MNT_DETACH,
    MOUNT_ATTR_NOEXEC,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    call,
)

INSIDE: Final = OUTFIT + OUTFIT_MAX  # where the inner interpreter finds what it has to know
FILTER: Final = INSIDE + 1
HIGH: Final = 640  # and on: what is kept of the spawner's descriptors, until it is in its place
NEEDED: Final = (*SYSTEM, "etc", "dev")  # what bubblewrap itself runs by, where it is shown
assert HIGH > FILTER, "what is kept lies beyond all places"


class Program(NamedTuple):
    """Bubblewrap as it was found: an open descriptor of it, and its version."""

    descriptor: int
    version: str


class Inside(NamedTuple):
    """What the inner interpreter is told, as JSON. `entry` is called, found by `path` beside the installed packages; the rest is what it closes itself off with, and tells."""

    entry: str
    path: list[str]
    folder: str
    writable: list[str]
    network: str
    landlock: int
    is_filtered: bool
    has_ranges: bool
    version: str
    end_at: str


class Plan(NamedTuple):
    """A launch: what was asked for, descriptors of the spawner's, the limits on descriptors that slices have, and what is started in the end."""

    fork: Fork
    link: int
    doors: Sequence[int]
    trees: Sequence[int]
    complaints: int
    program: Program
    limits: tuple[int, int]
    seals: Seals
    inside: Inside
    words: Sequence[str]
    end_at: str  # for tests (`faults.py`)


def be_launcher(plan: Plan) -> NoReturn:
    """Become bubblewrap. All signals are blocked, and stay so: its end is for the spawner to ask. Never returns."""
    progress = Progress(step_of("launcher", plan.end_at))
    try:
        offer_to_oom_killer()
        progress.at(5)
        for door in plan.doors:
            os.write(door, b"0")
        program, trees = _alone(plan)
        try:
            perform(taking_outfit(CHANNELS, taken=(*STANDARD, LINK, program, *trees)))
            _become_users(plan, trees, progress)
            _become_bubblewrap(plan, program)
        except Exception as error:  # noqa: BLE001 - it is the answer to the launch: there is nobody else to tell
            be_unborn(LINK, progress.step, error)
    except BaseException:  # noqa: BLE001 - the last frame of the process
        traceback.print_exc()  # which is what the spawner is told, or finds in its log
    finally:
        os._exit(EXIT_EXCEPTION)


def _alone(plan: Plan) -> tuple[int, list[int]]:
    """Put the cell's socket and the complaints in their places and close all that is the spawner's; return where the program and the trees are now."""
    os.dup2(plan.complaints, STANDARD[2])
    # First out of the way: the spawner may have any number in use.
    wanted = (plan.link, plan.program.descriptor, *plan.trees)
    link, *kept = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, HIGH) for one in wanted]
    perform(being_alone(link, kept))
    return kept[0], kept[1:]


def _become_users(plan: Plan, trees: list[int], progress: Progress) -> None:
    """Move into the root and become the slice's user there. Raises OSError."""
    become_root()
    progress.at(9)
    _enter_root(plan.fork, trees)
    progress.at(12)
    privileges.become(OWN, OWN, groups_forbidden=not plan.seals.has_groups)
    progress.step = 0  # what follows is bubblewrap's, and none of ours


def _become_bubblewrap(plan: Plan, program: int) -> None:
    """Hand over what is needed, and do it. Raises OSError."""
    seals = plan.seals
    resource.setrlimit(resource.RLIMIT_NOFILE, plan.limits)  # the spawner's own are higher
    if seals.filter is not None:
        _hand_over(_memory_of(seals.filter.instructions), FILTER)
    _hand_over(sealed(json.dumps(plan.inside._asdict()).encode()), INSIDE)
    for descriptor in (LINK, *CHANNELS):
        os.set_inheritable(descriptor, True)
    called = Call(
        kept_environment(os.environ),
        has_network=plan.inside.network != NO_NETWORK,
        filter_at=FILTER if seals.filter is not None else None,
        inside=plan.words,
    )
    words = bubblewrap.words(plan.fork, _masks(), called)
    try:
        os.execve(program, words, {})  # noqa: S606 - there is nothing for a shell to read
    except OSError as error:
        # By its descriptor, because it need not lie where slices see it; a script cannot be started so.
        text = (
            f"{words[0]} cannot be started: {error.strerror}; it has to be a program, not a script"
        )
        raise OSError(error.errno, text) from error


def _enter_root(fork: Fork, trees: Sequence[int]) -> None:
    """Make the root that bubblewrap sees, and move into it. Raises OSError."""
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    attach(new_filesystem("tmpfs", SAFE, size=ROOT_BYTES, nr_inodes=ROOT_INODES, mode="755"), PLACE)
    os.chdir(PLACE)
    for name in ("proc", "tmp"):
        os.mkdir(name)  # noqa: PTH102 - the sandbox does without pathlib
    call("mount", b"/proc", b"proc", None, MS_BIND | MS_REC, None)
    scratch: dict[str, str | int] = {
        "size": fork.scratch_bytes,
        "nr_inodes": SCRATCH_FILES,
        "mode": "1777",
    }
    for path, place in SCRATCH.items():
        # As in a cell: what lies in shared memory is no program.
        attributes = SAFE if path == "/tmp" else SAFE | MOUNT_ATTR_NOEXEC  # noqa: S108 - the slice's own
        _attach(new_filesystem("tmpfs", attributes, **scratch), place)
        _make_ways(path, place, fork, trees)
    for number, tree in enumerate(trees):
        _attach(tree, staged(number))
    for name, leads_to in fork.links:
        os.symlink(leads_to, name)  # noqa: PTH211 - as above
    for name in NEEDED:
        if f"/{name}" in fork.targets:
            os.symlink(staged(fork.targets.index(f"/{name}")), name)  # noqa: PTH211 - as above
    call("pivot_root", b".", b".")
    # The old root lies over the new one at the same place.
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def _make_ways(path: str, place: str, fork: Fork, trees: Sequence[int]) -> None:
    """Make what leads to places that lie in a memory file system of the slice's: bubblewrap, who is the slice's user, would make it that user's."""
    for target, tree in zip(fork.targets, trees, strict=True):
        if target.startswith(f"{path}/"):
            _make(place + target.removeprefix(path), is_folder=is_folder(tree))
    if fork.folder.startswith(f"{path}/"):
        _make(place + fork.folder.removeprefix(path), is_folder=True)


def _attach(tree: int, path: str) -> None:
    """Attach a tree in the folder that is to be the root, at a path that is made for it."""
    _make(path, is_folder=is_folder(tree))
    attach(tree, path.lstrip("/"))


def _make(path: str, *, is_folder: bool) -> None:
    place = path.lstrip("/")
    if is_folder:
        os.makedirs(place, mode=0o755, exist_ok=True)  # noqa: PTH103 - as above
        return
    os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)  # noqa: PTH103, PTH120 - as above
    os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))


def _masks() -> Masks:
    """Return what of /proc there is to be covered on this machine."""
    files, folders = (
        [f"/{path}" for path in paths if os.path.exists(f"/{path}")]  # noqa: PTH110 - as above
        for paths in (MASKED, MASKED_FOLDERS)
    )
    return Masks(files, folders)


def _memory_of(content: bytes) -> int:
    """Return memory that is read from its beginning, as bubblewrap reads a filter."""
    memory = os.memfd_create("runink-filter", os.MFD_CLOEXEC)
    os.write(memory, content)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def _hand_over(descriptor: int, place: int) -> None:
    os.dup2(descriptor, place)
    os.close(descriptor)
