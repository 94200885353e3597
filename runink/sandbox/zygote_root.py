"""How a zygote leaves the machine behind before it loads anything foreign: a root like its slices', no network, an id of nobody's, no privilege."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runink.sandbox import privileges
from runink.sandbox.inner_protocol import Root
from runink.sandbox.mounts import Scratch, enter, trees_of
from runink.sandbox.protocol import NO_NETWORK
from runink.sandbox.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    call,
)

SCRATCH: Final = Scratch(16 << 20, 1024)  # what a library writes when it is imported


def close_zygote_off(root: Root, descriptors: Sequence[int]) -> None:
    """Move into the root and give up what is not needed to clone. Raises OSError."""
    network = CLONE_NEWNET if root.network == NO_NETWORK else 0
    call("unshare", CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | network)
    trees = trees_of(root.targets, root.kinds, descriptors)
    enter(trees, root.links, SCRATCH, masked=False)
    privileges.drop_bounding_set()
    if root.user:
        privileges.become(root.user, root.user)
    privileges.drop_capabilities()
    privileges.forbid_new_privileges()
