"""What is known of the attempts of a slice that are over: where they were, and whether they ended badly there."""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from runink.names import NodeId

# Of a slice whose nodes are known: a step may be tried a thousand times.
EARLIER_MAX: Final = 16


class Fault(Enum):
    """How an attempt ended badly on its node. What was stopped, or failed with another slice of its gang, did not."""

    NONE = ""
    LOST = "lost"
    FAILED = "failed"


class Earlier(msgspec.Struct, frozen=True, array_like=True):
    """Where an attempt was that is over, and how it ended badly there: no fault where it did not, or where the release that wrote this did not say."""

    attempt: int
    node: NodeId
    fault: Fault = Fault.NONE
