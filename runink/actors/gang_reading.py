"""What an agent reads of the Barn to launch a gang: no more than it needs of a run that may have a thousand other slices.

a gang of the pipeline            its own slices, and those whose output it reads
publish, discard, compare         every slice of the run: they end all of it
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runink.actors.pipelines import Pipelines
from runink.actors.taking_up import read_at_last
from runink.barn.keys import SLICES, herd_key, run_key, slice_key
from runink.barn.keyvalue import KeyValue, Page, key_prefix, one_key
from runink.clients.barn import BarnClient, Found, decode_value
from runink.dag import Dag
from runink.errors import RuninkError
from runink.names import SliceId
from runink.runs.records import Placement, RunRecord, SliceRecord, Task


class GangSight(NamedTuple):
    """A run, the slices of it that matter to a gang, and its herd's record, or nothing where it has none."""

    run: RunRecord
    slices: list[Found[SliceRecord]]
    herd: Sequence[KeyValue]


async def read_gang(
    barn: BarnClient, pipelines: Pipelines, placements: Sequence[Placement]
) -> GangSight | None:
    """Return what there is of the gang with these placements, nothing if its run was cleaned away."""
    first = placements[0]
    keys = [slice_key(one.herd, one.run, one.slice) for one in placements]
    pages = await read_at_last(
        barn,
        one_key(run_key(first.herd, first.run)),
        one_key(herd_key(first.herd)),
        *map(one_key, keys),
    )
    if not pages.pages[0].items:
        return None
    run = decode_value(pages.pages[0].items[0], RunRecord).value
    slices = _slices(pages.pages[2:])
    dag = await _pipeline_of(run, pipelines)
    if dag is None or any(one.value.task is not Task.CHAIN for one in slices):
        whole = await read_at_last(barn, key_prefix(SLICES.prefix(first.herd, first.run)))
        return GangSight(run, _slices(whole.pages), pages.pages[1].items)
    names = map(SliceId, _of_interest(dag, first.gang))
    others = {slice_key(first.herd, first.run, name) for name in names}.difference(keys)
    if others:
        rest = await read_at_last(barn, *map(one_key, sorted(others)))
        slices += _slices(rest.pages)
    return GangSight(run, slices, pages.pages[1].items)


async def _pipeline_of(run: RunRecord, pipelines: Pipelines) -> Dag | None:
    """Return a run's pipeline; nothing if it cannot be had: the launch, which needs it as well, tells why."""
    try:
        return await pipelines.of(run)
    except RuninkError:
        return None


def _of_interest(dag: Dag, gang: str) -> Iterable[str]:
    """Yield the slices of a gang, and of those whose output it reads."""
    for name in (gang, *dag.gang_needs().get(gang, ())):
        yield from (spec.id for spec in dag.gangs().get(name, ()))


def _slices(pages: Iterable[Page]) -> list[Found[SliceRecord]]:
    return [decode_value(item, SliceRecord) for page in pages for item in page.items]
