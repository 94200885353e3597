"""A cluster as its clients see it: the Barn, the run controller and governance, wherever they are.

embedded    `node.embedded` runs them in this process
connected   over the Unix socket of a cluster that runs in another process of this user
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runink.clients.barn import BarnClient
from runink.clients.node_files import ReadFiles
from runink.clients.run_parts import RunParts
from runink.clients.run_requests import (
    Cancel,
    Drop,
    GovernanceRequest,
    LineageOf,
    Pause,
    ReplayOf,
    RunRequest,
    RunView,
    Submit,
    WhyOf,
)
from runink.errors import Refused, Unavailable
from runink.governance.lineage import Lineage
from runink.names import HerdName, RunId
from runink.runs.records import RunRecord
from runink.runtime.ref import Ref
from runink.scheduling.answers import Replayed, WhyAnswer

if TYPE_CHECKING:
    from runink.clients.identity_requests import IdentityRequest
    from runink.clients.trust_requests import TrustRequest

# The addresses under which a node serves them.
BARN: Final = "barn"
RUNS: Final = "runs"
GOVERNANCE: Final = "governance"
TRUST: Final = "trust"
API: Final = "api"
IDENTITY: Final = "identity"

WITHIN_S: Final = 15.0  # a request waits for a sync of the disk, and for a restart at worst
FOLLOW_S: Final = 10.0
FOLLOW_GRACE_S: Final = 5.0  # more than the follower's own time, so that its answer comes first


@dataclass(frozen=True, slots=True)
class Cluster:
    """What clients talk to. There is no `runs` where only the store is open.

    `session` names this start of an embedded cluster, empty for one elsewhere.  One that `is_remote` may not share a disk with us: what its nodes need of us goes through its Barn, and `files` are what its nodes keep of runs; `keeps_here`: all of that lies on this machine, and no node is asked for it.
    `trust` is who certifies its nodes, where they show certificates; `identity` is who signs tokens, where they are signed.
    """

    barn: BarnClient
    governance: Ref[GovernanceRequest]
    runs: Ref[RunRequest] | None
    session: str = ""
    is_remote: bool = False
    files: Ref[ReadFiles] | None = None
    keeps_here: bool = False
    trust: Ref[TrustRequest] | None = None
    identity: Ref[IdentityRequest] | None = None

    @property
    def _controller(self) -> Ref[RunRequest]:
        if self.runs is None:
            raise Unavailable(
                "no cluster runs here", code="not_running", hint="start one with runi up"
            )
        return self.runs

    async def submit(self, request: Submit) -> RunRecord:
        """Submit a run; asked again after a lost answer it is the same run. Raises Invalid, Unavailable."""
        return await self._controller.ask(request, within=WITHIN_S)

    async def cancel(self, run: RunId) -> RunRecord:
        """Have a run end; it has ended when `follow` says so. Raises NotFound."""
        return await self._controller.ask(Cancel(run), within=WITHIN_S)

    async def pause(self, run: RunId, *, paused: bool) -> RunRecord:
        """Have nothing new of a run begin, or have it go on; one that is over or committing stays as it is. Raises NotFound."""
        return await self._controller.ask(Pause(run, paused), within=WITHIN_S)

    async def drop(self, run: RunId) -> RunRecord:
        """Have a run that is over take away what it keeps; it has when its record says so. Raises NotFound."""
        return await self._controller.ask(Drop(run), within=WITHIN_S)

    async def lineage(self, herd: HerdName, run: RunId) -> Lineage:
        """Return a run's facts. Raises NotFound."""
        return await self.governance.ask(LineageOf(herd, run), within=WITHIN_S)

    async def why(self, request: WhyOf) -> WhyAnswer:
        """Say why slices of a run wait, or are where they are. Raises NotFound, Invalid, Refused (`compacted`)."""
        return await self.governance.ask(request, within=WITHIN_S)

    @property
    def trusting(self) -> Ref[TrustRequest]:
        """Return who certifies the cluster's nodes. Raises Refused (`no_trust`) where it has none but this machine."""
        if self.trust is None:
            raise Refused(
                "a cluster in one process has no other nodes, and no certificates",
                code="no_trust",
                hint="runi server --init begins one of several machines; ask its member with --state, or by RUNINK_SERVER",
            )
        return self.trust

    @property
    def signing(self) -> Ref[IdentityRequest]:
        """Return who signs tokens. Raises Refused (`no_tokens`) where nobody does."""
        if self.identity is None:
            raise Refused(
                "no tokens are signed here",
                code="no_tokens",
                hint="ask a member of a cluster that runi server --init has begun",
            )
        return self.identity

    async def replay(self, revision: int) -> Replayed:
        """Make a decision of the past again. Raises NotFound, Refused (`compacted`)."""
        return await self.governance.ask(ReplayOf(revision), within=WITHIN_S)

    async def look(self, run: RunId) -> RunView:
        """Return the run as it stands. Raises NotFound."""
        parts = RunParts(run)
        while True:  # ends with the last part of it, or of what has changed meanwhile
            told = await self._controller.ask(parts.next(wait_s=0.0), within=WITHIN_S)
            whole = parts.whole(told)
            if whole is not None:
                return whole

    async def follow(self, run: RunId) -> AsyncIterator[RunView]:
        """Yield the run whenever it has changed, up to and with its end. Raises NotFound."""
        parts = RunParts(run)
        while True:  # ends with the run
            request = parts.next(wait_s=FOLLOW_S)
            told = await self._controller.ask(request, within=FOLLOW_S + FOLLOW_GRACE_S)
            whole = parts.whole(told)
            if whole is not None:
                yield whole
            if parts.is_over:
                return
