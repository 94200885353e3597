"""What a herd uses of its quotas."""

from __future__ import annotations

from msgspec.structs import replace as changed
from runink.dag import Limit, Limits
from runink.placement.cluster import NOTHING, Amount
from runink.runs.records import SliceState, Task
from runink.scheduling.usage import used_by
from runink.wants import Wants
from slice_tables import N1, one_slice


def test_what_is_on_a_node_counts_with_all_that_it_asks_for() -> None:
    running = one_slice("a", state=SliceState.RUNNING, node=N1, cpu_m=500, wants=Wants(gpus=1))
    running = changed(running, limits=Limits(disk=Limit(7, 3)))
    placed = one_slice("b", state=SliceState.PLACED, node=N1, cpu_m=250)
    memory = running.resources.memory_bytes + placed.resources.memory_bytes
    assert used_by([running, placed]) == Amount(750, memory, 7, 1, 2)


def test_what_waits_has_ended_or_ends_a_run_takes_nothing() -> None:
    waits = one_slice("a", cpu_m=500)
    over = one_slice("b", state=SliceState.SUCCEEDED, node=N1, cpu_m=500)
    last = changed(one_slice("c", state=SliceState.RUNNING, node=N1), task=Task.PUBLISH)
    assert used_by([waits, over, last]) == NOTHING
