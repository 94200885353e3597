"""The finish of a plan: what is done to what it has placed when all units have been served, and before it is committed.

    policy.finish         what is done
    says nothing          nothing: each unit stays where it went when its turn came
    `tries`               the plan is packed (`packing.py`)
    `solver`              what is packed is then placed anew in parts by OR-tools (`improving.py`), by the release that the policy names

A plan of one unit is not finished: nothing is better than its best node.
"""

from __future__ import annotations

from typing import Final

from runink.placement.demands import Unit
from runink.placement.draft import Draft
from runink.placement.packing import pack
from runink.placement.plans import Finish

# A try is 10 to 20 us: packing adds a few milliseconds at most to plans that take tens of them, and nearly nothing to small ones.
TRIES: Final = 256
PACKED: Final = Finish(TRIES)
BATCH: Final = Finish(16_384)  # for what nobody waits for


def finish(draft: Draft, waits: list[Unit], seed: int) -> list[Unit]:
    """Make what the draft has placed better, and return what waits then: all that waited, or less."""
    wanted = draft.policy.finish
    pack(draft, wanted.tries)
    if wanted.solver is None or len(draft.placed) + len(waits) < 2:
        return waits
    from runink.placement.improving import improve  # noqa: PLC0415 - only who asks for a solver needs it

    return improve(draft, waits, wanted.solver, seed)
