r"""Runs and slices as they stand in the Barn.

    a run      submitted -> admitted -> placed -> running -> committing -> succeeded
                    |           |         |          |  \\                    (rolled forward after any crash)
                    '-----------'---------'----------'---'--> failed | cancelled

    a slice    pending -> placed -> launching -> running -> succeeded
                  |          |          |           |---> failed | cancelled
                  '----------'----------'-----------'---> lost       (its node went away)

A slice is `succeeded` when it has prepared its output; a run is `committing` from the transaction that decides that all of it becomes
visible.  Who writes what: the run controller makes runs and slices and ends runs, the scheduler turns `pending` into `placed`, the agent of
the node writes all that follows.  Every change compares the revision that it was decided on.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

import msgspec

from runink.contracts.differences import GoldenResult
from runink.dag import UNLIMITED, Dag, Limits, Resources
from runink.errors import NotFound, WireError
from runink.jobs import Done, Failed, Prepared
from runink.machines import LOST_S, Machine, Reserved
from runink.names import BundleHash, HerdName, NodeId, PipelineName, RunId, SliceId
from runink.runs.attempts import Earlier, Fault
from runink.wants import NOTHING_MORE, Wants

ATTEMPTS_MAX: Final = 3  # of a gang that was lost; how often a step may fail, `@retry` says


class RunState(Enum):
    SUBMITTED = "submitted"
    ADMITTED = "admitted"
    PLACED = "placed"
    RUNNING = "running"
    COMMITTING = "committing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in _RUNS_OVER


class SliceState(Enum):
    PENDING = "pending"
    PLACED = "placed"
    LAUNCHING = "launching"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        return self in _SLICES_OVER

    @property
    def is_on_node(self) -> bool:
        """Say whether it takes room on a node."""
        return self in _SLICES_ON_NODE


# Tuples: to hash a member of an enumeration takes several times as long as to find it among four, and a run is asked of all its slices.
_RUNS_OVER = RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED
_SLICES_OVER = SliceState.SUCCEEDED, SliceState.FAILED, SliceState.CANCELLED, SliceState.LOST
_SLICES_ON_NODE = SliceState.PLACED, SliceState.LAUNCHING, SliceState.RUNNING


class Task(Enum):
    """What a slice is for: a part of the pipeline, or the end of its run."""

    CHAIN = "chain"
    PUBLISH = "publish"
    DISCARD = "discard"
    COMPARE = "compare"


class Exit(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a slice's process ended. `cause` is exited, signalled, killed (asked for), timeout, oom, lost or unborn; sizes in bytes, times in seconds.

    `oom_kills` and `processes_refused` say how often a limit was met, `throttled_s` for how long it waited for its share of the cores.
    Context switches are those of the slice's own process and of what that waited for, nothing where nobody counted them. `wall_time_s` is what it was
    allowed, 0 without a limit.
    """

    cause: str
    code: int = 0
    signal: int = 0
    cpu_s: float = 0.0
    memory_bytes_max: int = 0
    wall_s: float = 0.0
    read_bytes: int = 0
    written_bytes: int = 0
    oom_kills: int = 0
    processes_refused: int = 0
    throttled_s: float = 0.0
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    wall_time_s: float = 0.0


class Printed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a slice printed: lines, the bytes that its log took and did not take, and for how long it was held up because it printed too fast.

    Of a slice that was taken up by a new start of its agent it is what was printed since.
    """

    lines: int = 0
    written_bytes: int = 0
    dropped_bytes: int = 0
    slowed_s: float = 0.0


class HerdLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the slices of a herd may use together on the node, 0 for no limit."""

    cpu_m: int = 0
    memory_bytes: int = 0


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a run failed: the error, the slice and step, the step's own traceback lines, the batch's source position, the slice's last log lines.

    `limits` are those that the slice had met, in words and numbers; `goldens` those that did not hold, of a rehearsal.
    """

    error: WireError
    slice: str = ""
    step: str = ""
    traceback: tuple[str, ...] = ()
    position: str = ""
    log_tail: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    goldens: tuple[GoldenResult, ...] = ()


class Tries(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a gang's attempts before this one: how often it was lost, and how often it failed by itself, by node, or by slice where its process ended and said no node.

    `code` and `why` are those of the last of them.
    """

    losses: int = 0
    failures: dict[str, int] = {}
    code: str = ""
    why: str = ""


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """On what depends when a slice gets its place, as it was known when it began to wait.

    `priority` is the run's and `submitted_ms` when that was submitted. `since_ms` is since when it waits, `placed_ms` when it got its place, 0 while it has none.
    `rank_ms` is the longest way from its gang's beginning to the end of the run and `estimate_ms` how long the gang takes, 0 where nobody knows (`durations.py`).
    """

    priority: int = 0
    submitted_ms: int = 0
    since_ms: int = 0
    placed_ms: int = 0
    rank_ms: int = 0
    estimate_ms: int = 0


class SliceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A slice of a run, at its latest attempt. `waits_for` says why a pending one is not placed.

    `node` is where it was placed; `pin` where alone it may be (a publish must be where its output was prepared; `is_beside`: only to be beside another gang).
    Times are milliseconds of the Unix epoch, 0 for what has not happened. `not_before_ms` holds a retry back.
    `limits` are what its pipeline holds it to and `herd_limits` what its herd had on the node when it was launched.  `sealed` is what was in force when it began,
    by name; `shown` are the folders and files of the machine that it could see, each "ro" or "rw".  `requires` are the capabilities that its node
    must have because its steps ask for them, `without` is what might be missing by its herd's policy when it was launched.
    `goes_on` says that it is not ended when its node cannot reach the cluster: its herd wants that.
    `tries` is what came of the attempts before this one. `is_moved` says that this one was cancelled to empty its node, or for others of higher priority.
    `decision` is the revision of the Barn on which its place was decided (`scheduling/decisions.py`). `part` is its part of a gang that may be parted, and `is_rooted` says that it
    stays with all others of its gang that write or read files of the run (`gang_parts.py`). `taken_from` is the run that it succeeded in, where its run goes on from that one,
    `taken_before` the same of an attempt that was lost since. `earlier` are the attempts before this one that had a node, EARLIER_MAX of them, the oldest first.
    """

    slice: SliceId
    run: RunId
    herd: HerdName
    gang: str
    state: SliceState
    resources: Resources
    task: Task = Task.CHAIN
    attempt: int = 1
    labels: tuple[str, ...] = ()
    node: NodeId | None = None
    pin: NodeId | None = None
    is_beside: bool = False
    waits_for: str = ""
    not_before_ms: int = 0
    launched_ms: int = 0
    ended_ms: int = 0
    pid: int = 0
    exit: Exit | None = None
    report: Done | Failed | None = None
    log_tail: tuple[str, ...] = ()
    limits: Limits = UNLIMITED
    herd_limits: HerdLimits = HerdLimits()
    sealed: dict[str, str] = {}
    shown: dict[str, str] = {}
    printed: Printed = Printed()
    requires: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    tries: Tries = Tries()
    is_moved: bool = False
    goes_on: bool = False
    turn: Turn = Turn()
    decision: int = 0
    wants: Wants = NOTHING_MORE
    part: str = ""
    is_rooted: bool = False
    taken_from: RunId | None = None
    taken_before: RunId | None = None
    earlier: tuple[Earlier, ...] = ()

    def node_of(self, attempt: int) -> NodeId | None:
        """Return where an attempt is or was, nothing if it had no node, or nobody knows any more."""
        if attempt == self.attempt:
            return self.node
        return next((one.node for one in self.earlier if one.attempt == attempt), None)

    @property
    def failed_on(self) -> frozenset[NodeId]:
        """The nodes on which attempts before this one were lost or failed, of those that are known."""
        return frozenset(one.node for one in self.earlier if one.fault is not Fault.NONE)


class Occasion(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tick of a schedule that a run was made for, and the one before it: from there to the tick is what the run is about. `backfill` is the id of one that asked for it."""

    tick_ms: int
    interval_start_ms: int
    backfill: str = ""


class Yielded(msgspec.Struct, frozen=True, array_like=True):
    """That a gang's attempt was stopped for another of higher priority, and for which."""

    attempt: int
    why: str


class RunRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run. `version` is its pipeline's hash, `session` the embedded cluster that it lives and dies with (empty: it outlives its submitter).

    `ending` is what it will become once its slices have ended and what they left is cleared away; `failure` says why.
    `prepared` is what it publishes, from `committing` on. A `rehearsal` publishes nothing: its output is compared with its goldens,
    or with `update_goldens` written to them.
    `stdin` and `stdout` are paths that the agent opens for sources and sinks that are `-`.
    `occasion` is what a schedule made it for. Once `deadline_ms` has come it is cancelled, 0 for never. One that is to be cancelled may say why as its `failure` already.
    Nothing new of one that is `paused` is begun. `priority`: more is sooner, and may stop what is less.
    `yielded` are the gangs that were stopped for such others, at their latest attempts.
    `resumes` is the run that it goes on from, `restarted` the node from which all is done again, `resumed_by` the run that goes on from it. `kept` are slices whose output is not taken away:
    until `kept_until_ms` (0: nothing is) for a run that may go on, behind that because that run has taken it over. `store` is the folder in its herd's store where its checkpoints lie, from when it was admitted on; empty for its nodes' own disks.
    """

    run: RunId
    herd: HerdName
    pipeline: PipelineName
    version: str
    title: str
    file: str
    project: str
    bundle: BundleHash
    state: RunState
    submitted_ms: int
    started_ms: int = 0
    ended_ms: int = 0
    session: str = ""
    parameters: dict[str, str] = {}
    wall_time_s: float = 0.0
    stdin: str = ""
    stdout: str = ""
    cancel: bool = False
    rehearsal: bool = False
    update_goldens: bool = False
    ending: RunState | None = None
    failure: Failure | None = None
    prepared: tuple[Prepared, ...] = ()
    waits_for: str = ""
    occasion: Occasion | None = None
    deadline_ms: int = 0
    paused: bool = False
    priority: int = 0
    yielded: dict[str, Yielded] = {}
    resumes: RunId | None = None
    restarted: str = ""
    resumed_by: RunId | None = None
    kept: tuple[SliceId, ...] = ()
    kept_until_ms: int = 0
    store: str = ""


class PipelineRecord(msgspec.Struct, frozen=True):
    """A compiled pipeline, kept for as long as a run of it is."""

    dag: Dag


class Placement(msgspec.Struct, frozen=True):
    """That a node is to run a slice, in this attempt. It is deleted when the slice has ended, or to end it; where that is to be told first, it `is_leaving`.

    `streams` is the key of the streams of a gang that stands on several nodes, in hexadecimal: who has it may open them (`relay/protocol.py`).
    """

    run: RunId
    slice: SliceId
    herd: HerdName
    gang: str
    attempt: int
    streams: str = ""
    is_leaving: bool = False


class NodeRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker node, attached to its agent's lease.

    `capacity` is what its slices may ask for together: what the machine has, less what is `reserved`. `capabilities` are what it can do to isolate and limit them, by
    name, and `missing` is what it cannot, with the reason (`capabilities.py`).  `clock_skew_ms` is by how much its clock is ahead of the Barn's.  `told_ms` is when
    the agent last wrote the record, by its own clock; it does so when the machine has changed by enough (`machines.is_news`).  `users` says as whom its processes run, by name.
    `incarnation` is this process of the agent, where its cluster is another process; `lost_s` is how long its lease lasts, seconds.
    `gpus` and `disk_bytes` are what slices may ask for beside its capacity (no disk said: any), `herds` are those that alone may use it (none: all may), `visible` names the secrets and
    data that it may see (nothing: all), `near` the stores that it is near to.  `streams` is where its relay listens for those of other nodes, HOST:PORT, nothing where it does not.
    """

    node: NodeId
    capacity: Resources
    labels: tuple[str, ...] = ()
    slices_max: int = 0
    incarnation: str = ""
    reserved: Reserved | None = None
    machine: Machine | None = None
    capabilities: dict[str, str] = {}
    clock_skew_ms: int = 0
    told_ms: int = 0
    missing: dict[str, str] = {}
    users: dict[str, str] = {}
    lost_s: float = LOST_S
    gpus: int = 0
    disk_bytes: int = 0
    herds: tuple[HerdName, ...] = ()
    visible: tuple[str, ...] | None = None
    streams: str = ""
    near: tuple[str, ...] = ()


class Standing(Enum):
    """What people may say of a node: it gets nothing new, or is to lose what it has as well."""

    CORDONED = "cordoned"
    DRAINING = "draining"


class NodeStanding(msgspec.Struct, frozen=True):
    """What is said of a node, under a key of its own: the node's record is its agent's, and goes with its lease."""

    node: NodeId
    standing: Standing
    since_ms: int


def no_slice(name: str, names: Iterable[str]) -> NotFound:
    """Return the error for who names a slice that a run does not have. `names` are those that it has."""
    there = ", ".join(names) or "none yet"
    return NotFound(
        f"the run has no slice {name}", code="no_such_slice", hint=f"its slices: {there}"
    )
