"""The control plane of one member of the Barn: what is there on each, and what acts on one of them at a time.

    on each member                            on the one in office (`actors/office.py`)
      barn          (node.py, server.py)        run controller
      governance                                scheduler
      office                                    vigil over the nodes
      runs          the desk, for everybody     keepers of schedules and of what is over, if the cluster stays
      runs-inner    the desk, for other members

A cluster of one member is no special case: it takes the office as soon as its Barn is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, Protocol, TypeVar

from runink.actors.desk import Desk
from runink.actors.governance import Governance
from runink.actors.office import TERM_ALONE_S, NewClient, Office, Reach, Seat
from runink.actors.retention import Retention
from runink.actors.runs import RunController
from runink.actors.scheduler import Scheduler
from runink.actors.schedules import ScheduleKeeper
from runink.actors.vigil import Acting, NodeVigil
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import GOVERNANCE, RUNS, Cluster
from runink.clients.fenced import FencedBarn
from runink.clients.identity_requests import IdentityRequest
from runink.clients.run_requests import DeskRequest, GovernanceRequest
from runink.clock import now_ms
from runink.errors import LinkLost
from runink.machines import BACK_S, SUSPECT_S
from runink.names import NodeId
from runink.placement.plans import Policy
from runink.runtime.actor import Actor
from runink.runtime.directory import Directory
from runink.runtime.ref import LocalRef, Ref
from runink.runtime.supervisor import ChildSpec, Supervisor
from runink.scheduling.snapshots import POLICY

SCHEDULER: Final = "scheduler"
KEEPER: Final = "keeper"
RETENTION: Final = "retention"
VIGIL: Final = "vigil"
OFFICE: Final = "office"
RUNS_INNER: Final = "runs-inner"
MESSAGES_MAX: Final = 1024  # hundreds of slices write and tell at once

M = TypeVar("M")


class Above(Protocol):
    """What a worker node has above it: a control plane in this process, or members of one elsewhere."""

    @property
    def barn(self) -> Ref[BarnRequest]: ...

    @property
    def runs(self) -> Ref[DeskRequest] | None: ...

    @property
    def identity(self) -> Ref[IdentityRequest] | None: ...

    @property
    def is_elsewhere(self) -> bool: ...

    @property
    def stays(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A member's actors, as others reach them. There are no `runs` where only the store is open."""

    barn: LocalRef[Any]
    governance: LocalRef[Any]
    runs: LocalRef[Any] | None
    session: str = ""
    runs_inner: LocalRef[Any] | None = None
    identity: LocalRef[Any] | None = None  # a cluster in one process signs no tokens

    @property
    def is_elsewhere(self) -> bool:
        """Say that it is in this process: where that ends, nobody is left to miss a node."""
        return False

    @property
    def stays(self) -> bool:
        """Say whether it outlives a command."""
        return not self.session

    @property
    def cluster(self) -> Cluster:
        return Cluster(BarnClient(self.barn), self.governance, self.runs, self.session)

    def directory(self, node: NodeId, barn_messages: Any = BarnRequest) -> Directory:
        """Return what others may reach, and with which messages."""
        assert self.runs is not None, "only a whole cluster is served"
        directory = Directory(node)
        directory.serve(self.barn, barn_messages)
        directory.serve(self.governance, GovernanceRequest)
        directory.serve(self.runs, DeskRequest)
        if self.runs_inner is not None:
            directory.serve(self.runs_inner, DeskRequest)
        return directory


def nobody_else(member: str) -> NoReturn:
    """Reach no other member, because there is none."""
    raise LinkLost(f"there is no member {member}", hint="try again")


async def start_control(  # noqa: PLR0913 - what a member gives its control plane
    supervisor: Supervisor,
    barn: LocalRef[Any],
    *,
    member: str,
    session: str = "",
    term_s: float = TERM_ALONE_S,
    reach: Reach = nobody_else,
    suspect_s: float = SUSPECT_S,
    back_s: float = BACK_S,
    policy: Policy = POLICY,
) -> tuple[ControlPlane, Seat]:
    """Start what stands beside a member's Barn. The seat says where the run controller is that acts.

    `session` names this start of an embedded cluster (`RunController`), `policy` is by which its scheduler decides.
    """
    seat = Seat()
    governance = await start(supervisor, GOVERNANCE, lambda: Governance(BarnClient(barn)))
    office = partial(
        Office,
        seat=seat,
        member=member,
        # The one node of a cluster that ends with its command is there or is not.
        begin=partial(
            _begin,
            session,
            partial(NodeVigil, suspect_s=suspect_s, back_s=0 if session else back_s),
            policy,
        ),
        reach=reach,
        fenced=partial(FencedBarn, barn),
        now_ms=now_ms,
        term_s=term_s,
    )
    await start(supervisor, OFFICE, lambda: office(BarnClient(barn)))
    runs = await start(supervisor, RUNS, lambda: Desk(seat))
    inner = await start(supervisor, RUNS_INNER, lambda: Desk(seat, is_inner=True))
    return ControlPlane(barn, governance, runs, session, inner), seat


async def _begin(
    session: str,
    new_vigil: Callable[..., NodeVigil],
    policy: Policy,
    supervisor: Supervisor,
    client: NewClient,
) -> Acting:
    runs = await start(
        supervisor, RUNS, lambda: RunController(client(), session=session, now_ms=now_ms)
    )
    vigil = await start(supervisor, VIGIL, lambda: new_vigil(client(), now_ms=now_ms))
    await start(supervisor, SCHEDULER, lambda: Scheduler(client(), now_ms=now_ms, policy=policy))
    if (
        not session
    ):  # a cluster that ends with its command makes no runs that it would have to stay for
        await start(supervisor, KEEPER, lambda: ScheduleKeeper(client(), now_ms=now_ms))
        await start(supervisor, RETENTION, lambda: Retention(client(), runs, now_ms=now_ms))
    return Acting(runs, vigil)


async def start(supervisor: Supervisor, address: str, make: Callable[[], Actor[M]]) -> LocalRef[M]:
    """Start an actor of a node, with room for what hundreds of slices tell at once."""
    return await supervisor.start(ChildSpec(address, make, messages_max=MESSAGES_MAX))
