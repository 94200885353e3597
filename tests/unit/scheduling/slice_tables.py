"""Builders of what the Barn holds, for tests of what placement makes of it."""

from __future__ import annotations

from typing import Any

from runink.dag import Resources
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.runs.attempts import Earlier, Fault
from runink.runs.records import NodeRecord, SliceRecord, SliceState, Turn

HERD = HerdName("default")
RUN = RunId("r1")
N1, N2 = NodeId("n1"), NodeId("n2")


def node(name: str = "n1", cpu_m: int = 4000, **fields: Any) -> NodeRecord:
    return NodeRecord(NodeId(name), Resources(cpu_m, 8 << 30), **fields)


def failed_on(*nodes: NodeId, fault: Fault = Fault.FAILED) -> tuple[Earlier, ...]:
    """Return attempts of a slice that ended badly there, one after the other."""
    return tuple(Earlier(attempt, name, fault) for attempt, name in enumerate(nodes, 1))


def one_slice(
    name: str,
    *,
    run: str = RUN,
    gang: str = "",
    state: SliceState = SliceState.PENDING,
    cpu_m: int = 1000,
    turn: Turn = Turn(),  # noqa: B008 - it is frozen
    **fields: Any,
) -> SliceRecord:
    return SliceRecord(
        SliceId(name),
        RunId(run),
        HERD,
        gang or name,
        state,
        Resources(cpu_m, 64 << 20),
        turn=turn,
        **fields,
    )
