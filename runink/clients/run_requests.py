"""What may be asked of the run controller and of governance, and what they answer.

    request       answer                                                     raises, beside the deadline
    Submit        RunRecord as it stands; the same run twice is one run      Invalid; Conflict where it cannot go on from another
    Cancel        RunRecord; a run that is over, or committing, stays so     NotFound
    Pause         RunRecord; a run that is over, or committing, stays so     NotFound
    Drop          RunRecord; one that keeps nothing stays so                 NotFound
    Follow        RunView, as soon as it is newer than `seen`                NotFound
    LineageOf     Lineage                                                    NotFound
    WhyOf         WhyAnswer                                                  NotFound, Invalid, Refused (`compacted`)
    ReplayOf      Replayed                                                   NotFound, Refused (`compacted`, `solver_missing`)

They stand here and not beside their actors because the actors and the command line speak them, and the one must not import the other.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from runink.dag import Dag
from runink.governance.lineage import Lineage
from runink.herds.record import HerdRecord
from runink.jobs import NodeFacts
from runink.names import BundleHash, HerdName, NodeId, RunId, SliceId
from runink.quantities import Finite
from runink.runs.figures import Figures
from runink.runs.records import RunRecord, SliceRecord
from runink.runtime.actor import Request
from runink.scheduling.answers import Replayed, WhyAnswer
from runink.wire.frames import FRAME_BYTES_MAX


class Submit(Request[RunRecord], frozen=True):
    """Run a pipeline. The caller makes the run's id, so that asking again after a lost answer is no second run.

    `herd` is what the project's herd file says. `is_bound` ties the run to this cluster's life: cut, it is not taken up again.
    `resumes` is the run that it goes on from, `restart` the step from which all is done again.
    `priority` counts before what the pipeline says, where there is one. A `rehearsal` publishes nothing and is compared with its goldens; with `update_goldens` it writes them.
    """

    bytes_max: ClassVar[int] = FRAME_BYTES_MAX
    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    run: RunId
    dag: Dag
    herd: HerdRecord
    project: str
    bundle: BundleHash
    is_bound: bool = False
    rehearsal: bool = False
    update_goldens: bool = False
    wall_time_s: Finite = 0.0
    stdin: str = ""
    stdout: str = ""
    priority: int | None = None
    resumes: RunId | None = None
    restart: str = ""


class Cancel(Request[RunRecord], frozen=True):
    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    run: RunId


class Pause(Request[RunRecord], frozen=True):
    """Begin nothing new of a run, or go on with it."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    run: RunId
    paused: bool


class Drop(Request[RunRecord], frozen=True):
    """Take away what a run that is over keeps for another to go on from."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    run: RunId


class Used(msgspec.Struct, frozen=True):
    """What a slice's cgroup had counted at a moment of its life, and what was in it then: `memory_bytes`, `processes` (and threads)."""

    at_ms: int
    cpu_s: Finite = 0.0
    throttled_s: Finite = 0.0
    memory_bytes: int = 0
    processes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class RunView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run as it stands. `progress` is how far the nodes of running slices are, `used` what these have used; `number` grows with every change of anything else.

    `told_by` is which start of the controller gave the number, by its time in milliseconds. With `since` the slices are those only that have changed after that number: who asked for them so has the others.
    `more`: one answer had no room for all of them; they are in the order of their names, and the others are asked for behind the last.
    """

    number: int
    record: RunRecord
    slices: tuple[SliceRecord, ...]
    figures: tuple[Figures, ...]
    progress: tuple[NodeFacts, ...] = ()
    used: dict[SliceId, Used] = {}
    told_by: int = 0
    since: int = 0
    more: bool = False


class Follow(Request[RunView], frozen=True, omit_defaults=True):
    """Wait until a run is newer than `seen` (0: it is), for `wait_s` at most; then it is told as it is.

    Who has the slices as `told_by` has told them, with the number `seen`, says so, and may be told only those that have changed.
    Who was told that there are `more` asks for those `after` the last, with what was told as `since` in place of the number, and is answered at once.
    """

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    run: RunId
    seen: int = 0
    wait_s: Finite = 10.0
    told_by: int = 0
    after: str = ""


class LineageOf(Request[Lineage], frozen=True):
    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    herd: HerdName
    run: RunId


class WhyOf(Request[WhyAnswer], frozen=True):
    """Why a run's slices wait or are where they are; of one slice, if it is named. With changes: what would be decided if these were so (`scheduling/what_if.py`)."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    herd: HerdName
    run: RunId
    slice: str = ""
    changes: tuple[str, ...] = ()


class ReplayOf(Request[Replayed], frozen=True):
    """Make the decision again that was made on this revision of the Barn."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    revision: int


class SliceProgress(msgspec.Struct, frozen=True):
    """An agent tells how far a slice is, in this attempt. Lost ones do no harm: the end is told by the slice's record."""

    run: RunId
    slice: SliceId
    nodes: tuple[NodeFacts, ...]
    attempt: int = 1


class SliceUsed(msgspec.Struct, frozen=True):
    """An agent tells what a slice has used so far, in this attempt. What it has used in the end stands in its record."""

    run: RunId
    slice: SliceId
    attempt: int
    used: Used


class NodeLives(msgspec.Struct, frozen=True):
    """An agent tells, each second, that it lives, which of its node's agents it is, and how many launches have failed there for no fault of their slices'. `is_leaving` is its last word."""

    node: NodeId
    incarnation: str
    unborn: int = 0
    is_leaving: bool = False


RunRequest = Submit | Cancel | Pause | Drop | Follow | SliceProgress | SliceUsed
DeskRequest = RunRequest | NodeLives  # what a member's desk takes
GovernanceRequest = LineageOf | WhyOf | ReplayOf
