"""A run submitted and followed to its end, also where the cluster that runs it leaves meanwhile.

A cluster that another command embeds stays for the runs of others, but the answer that a run is over may not come through while it stops;
and `runi up` can be stopped or killed at any time.  So whoever loses it looks in the state what has become of the run:

    over              that is told
    not there         it is submitted again, under the same id: to whoever serves now, else to a cluster of our own
    not over          served by somebody: it is followed there; else it is told how to go on with it
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import anyio

from runink.barn.keys import RUNS
from runink.cli.client import LEAVING, Embedding, open_cluster, slices_of
from runink.cli.exits import first_of
from runink.cli.progress import Shown
from runink.cli.summary import short
from runink.clients.cluster import Cluster
from runink.clients.run_requests import RunView, Submit
from runink.config import Role
from runink.errors import Unavailable
from runink.names import RunId
from runink.runs.figures import figures_of
from runink.runs.records import RunRecord

CLUSTER_LOST: Final = "cluster_lost"
TROUBLE_LOOK_S: Final = 5.0  # a person who sees nothing happen asks why after some seconds
LOOKS_MAX: Final = 20
LOOK_S: Final = 0.1
TRIES: Final = 3  # clusters that leave while we submit; more is no accident


async def run_to_end(
    embedding: Embedding, request_for: Callable[[Cluster], Awaitable[Submit]], shown: Shown
) -> RunView:
    """Run what `request_for` asks of a cluster, always under the same id, and return the run when it is over. Raises Unavailable (`cluster_lost`)."""
    lost: Unavailable | None = None
    for _ in range(TRIES):
        request: Submit | None = None
        try:
            async with open_cluster(embedding) as cluster:
                request = await request_for(cluster)
                return await followed(cluster, request, shown)
        except Unavailable as error:
            if request is None or request.is_bound or error.code not in LEAVING:
                raise  # there was none, it was ours, or it has answered
            lost = error
            view = await _looked_up(embedding, request, shown)
        if view is not None:
            return view
    assert lost is not None
    raise lost


async def followed(cluster: Cluster, request: Submit, shown: Shown) -> RunView:
    """Submit the run, show how it goes, and return it when it is over."""
    await cluster.submit(request)
    return await _seen_to_end(cluster, request.run, shown)


async def _seen_to_end(cluster: Cluster, run: RunId, shown: Shown) -> RunView:
    last: RunView | None = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_on_interrupt, cluster, lambda: [run], shown)
            group.start_soon(tell_trouble, cluster, shown)
            async for view in cluster.follow(run):
                shown.show(view)
                last = view
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors
    assert last is not None, "a run that was submitted is seen at least once"
    return last


async def cancel_on_interrupt(
    cluster: Cluster, runs: Callable[[], list[RunId]], shown: Shown
) -> None:
    """Cancel the runs that there are when the first interrupt comes, and leave at the second. Never returns."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        asked = False
        async for _ in signals:
            if asked:
                raise KeyboardInterrupt
            asked = True
            for run in runs():
                shown.say(f"cancelling run {short(run)}; once more to leave at once")
                await cluster.cancel(run)


async def tell_trouble(cluster: Cluster, shown: Shown) -> None:
    """Say why nothing happens where the Barn takes no writes: the run's own record cannot tell it then."""
    said = ""
    while True:
        await anyio.sleep(TROUBLE_LOOK_S)
        with suppress(Unavailable):  # whoever follows the run tells that
            trouble = (await cluster.barn.status()).trouble
            if trouble and trouble != said:
                shown.say(f"the run waits: {trouble}")
            said = trouble


async def _looked_up(embedding: Embedding, request: Submit, shown: Shown) -> RunView | None:
    """Return what became of a run whose cluster has left, or nothing if it was never submitted. Raises Unavailable (`cluster_lost`)."""
    for _ in range(LOOKS_MAX):
        try:
            return await _look(embedding, request, shown)
        except Unavailable as error:
            if error.code not in LEAVING:
                raise
            await anyio.sleep(LOOK_S)  # it is still about to leave
    return await _look(embedding, request, shown)


async def _look(embedding: Embedding, request: Submit, shown: Shown) -> RunView | None:
    async with open_cluster(replace(embedding, role=Role.STORE)) as cluster:
        found = await cluster.barn.get(RUNS.key(request.herd.herd, request.run), RunRecord)
        if found is None:
            return None
        if found.value.state.is_over:
            return await _view_of(cluster, found.value, request)
        if cluster.runs is not None:
            return await _seen_to_end(cluster, request.run, shown)
    raise Unavailable(
        f"the cluster that runs {short(request.run)} has ended, and the run has not",
        code=CLUSTER_LOST,
        hint=f"runi up goes on with it; then: runi logs {short(request.run)} --follow",
    )


async def _view_of(cluster: Cluster, record: RunRecord, request: Submit) -> RunView:
    """Return a run as it stands in the store, where nobody runs who would tell."""
    slices = await slices_of(cluster, record)
    by_name = {str(one.slice): one for one in slices}
    figures = (figures_of(request.dag, one.id, by_name) for one in request.dag.scenarios)
    return RunView(number=0, record=record, slices=slices, figures=tuple(figures))
