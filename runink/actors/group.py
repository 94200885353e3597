"""Which member of which group of Barns we are, and how it runs consensus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from runink.actors.peers import Connect
from runink.barn.keys import member_key
from runink.barn.store import Store
from runink.clock import now_ms
from runink.raft.config import Config
from runink.storage.log_storage import LogStorage
from runink.storage.wal import SEGMENT_BYTES

TICK_S: Final = 0.05
ELECTION_TICKS: Final = 10  # half a second to a whole one without a leader's word, then an election
HEARTBEAT_TICKS: Final = 1
APPLIED_BYTES_MAX: Final = 64 << 10  # at once: some 500 small commands, 5 ms of the event loop
MESSAGE_BYTES_MAX: Final = 512 << 10  # of entries: what a follower writes with one sync
INFLIGHT_MESSAGES_MAX: Final = 64  # to a follower: 32 MiB at most
UNCOMMITTED_BYTES_MAX: Final = 64 << 20  # that a leader without a majority holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Which member of which group we are. `voters` begin a new group; a member that joins one that is there begins without any.

    Nothing is decided by `now_ms`: it is what others compare their clocks with.
    """

    cluster: str = "local"
    member: int = 1
    voters: tuple[int, ...] = (1,)
    connect: Connect | None = None
    random: Callable[[int], int]
    segment_bytes: int = SEGMENT_BYTES
    now_ms: Callable[[], int] = now_ms


def config_of(group: Group, storage: LogStorage, store: Store) -> Config:
    """Return how a member of the group runs consensus over this log and this state."""
    return Config(
        id=group.member,
        storage=storage,
        random=group.random,
        applied=store.applied_index,
        election_tick=ELECTION_TICKS,
        heartbeat_tick=HEARTBEAT_TICKS,
        async_storage_writes=True,
        message_bytes_max=MESSAGE_BYTES_MAX,
        committed_bytes_per_ready_max=APPLIED_BYTES_MAX,
        uncommitted_bytes_max=UNCOMMITTED_BYTES_MAX,
        inflight_messages_max=INFLIGHT_MESSAGES_MAX,
        check_quorum=True,
        pre_vote=True,
        step_down_on_removal=True,
    )


def address_in(store: Store, member: int) -> str:
    """Return where the Barn says that a member listens, empty if it does not know."""
    found = store.get(member_key(member))
    try:
        return msgspec.json.decode(found.value, type=str) if found else ""
    except msgspec.MsgspecError:
        return ""  # somebody has put something else there
