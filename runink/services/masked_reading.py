"""Rows of a run on their way out: each reader gets what is marked `pii=` or `access=` as their roles show it, by the rule that sinks are written by (`dsl/readings.py`).

What a reader sees is asked anew for each request: a binding that ended has ended.  A run's records say of rows how many there were, and of rejected ones why; no message in them
holds a value of a field that is marked (`contracts/messages.py`), so they and lineage, which names columns and holds no values, are read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from runink.actors.offload import Offload, in_thread
from runink.clients.herds import get_herd
from runink.dag import Dag
from runink.dsl.readings import Reading, readings_of
from runink.identity.principals import Principal
from runink.services.behind import Behind


async def readings_for(
    behind: Behind, principal: Principal, dag: Dag, *, offload: Offload = in_thread
) -> Mapping[str, Reading]:
    """Return how somebody reads the rows of each sink of a run's pipeline, by the sinks' ids: `Reading.row` is applied to each before it is shown.

    Raises NotFound without the pipeline's herd.
    """
    herd = await get_herd(behind.barn, dag.herd)
    shown = behind.access.index.clearances(principal, dag.herd, now_ms=behind.now_ms())
    found: Mapping[str, Reading] = await offload(
        readings_of, dag, herd.value.clearances, shown
    )  # which reads the pipeline's queries
    return found
