"""The Barn: the cluster's state, served to everybody. One member for now; Raft will stand between `propose` and the log.

    message      what happens
    Read         answered at once, from the applied state
    Propose      checked, queued for the next sync, answered when it is on disk and applied (`group_commit.py`)
    WatchFrom    answered at once if the history holds something behind the revision; else it waits for a change or its deadline
    Status       answered at once
    _Expire      (own timer) proposes the end of leases that are due

Everything runs on one event loop, so reads and watches see whole batches only.  The disk is worked on by worker threads: one
writes and syncs the log, sometimes another writes a snapshot.

A full disk refuses proposals with `disk_full` and serves the rest; any other failure of the disk, and a damaged log, crash this actor: its
supervisor starts it anew from what is on disk, or gives up and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, assert_never

import anyio

from runink.actors.group_commit import GroupCommit, Offload, Waiting, in_thread
from runink.actors.journal import Journal, open_journal
from runink.barn.commands import (
    Answer,
    Command,
    ExpireLease,
    GrantLease,
    KeepAlive,
    Proposal,
    RevokeLease,
    check_proposal,
    encode_proposal,
)
from runink.barn.leases import TICK_S, LeaseDeadlines
from runink.barn.watches import Watches
from runink.clients.barn_requests import (
    BarnRequest,
    BarnStatus,
    Pages,
    Propose,
    Read,
    Status,
    WatchFrom,
)
from runink.errors import Invalid, Overloaded, RuninkError
from runink.runtime.actor import Actor, Later
from runink.storage.disk import Disk, RealDisk

WATCHES_MAX: Final = 4096  # some per node and service; each holds a request open
WATCH_WAIT_S_MAX: Final = (
    300.0  # a watch that waits longer is indistinguishable from a forgotten one
)
CHANGES_MAX: Final = 10_000  # of one answer: it must fit a frame with values of ordinary size
