"""Which cluster a command talks to: the one that runs for this state folder, else one in this process, for as long as the command needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from runink.barn.keys import RUNS
from runink.cli.summary import short
from runink.clients.cluster import Cluster
from runink.config import NodeSettings, offered
from runink.errors import Invalid, NotFound
from runink.node import Role, connected, embedded
from runink.runs.records import RunRecord

SHOWN_MAX: Final = 5  # of ids that begin alike


@dataclass(frozen=True, slots=True)
class Embedding:
    """How a cluster in this process is made, if there is none. `modules` are loaded before the first run asks for them."""

    state: Path
    modules: frozenset[str] = frozenset()
    role: Role = Role.ALL
    orphan_s: float = 0.0  # what a command started ends with it

    @property
    def settings(self) -> NodeSettings:
        return NodeSettings(state=self.state, capacity=offered(), orphan_s=self.orphan_s)


@asynccontextmanager
async def open_cluster(embedding: Embedding) -> AsyncIterator[Cluster]:
    """Yield the cluster. Raises Unavailable (`storage_locked`) where another process has the state and does not answer."""
    settings = embedding.settings
    async with AsyncExitStack() as stack:
        try:
            cluster = await stack.enter_async_context(connected(settings))
        except NotFound:
            own = embedded(settings, role=embedding.role, modules=embedding.modules)
            cluster = await stack.enter_async_context(own)
            if embedding.role is Role.ALL:
                await _tell_cut(cluster)
                stack.push_async_callback(_wait_for_others, cluster)
        yield cluster


async def _living(cluster: Cluster) -> list[RunRecord]:
    listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
    return [found.value for found in listing.items if not found.value.state.is_over]


async def _tell_cut(cluster: Cluster) -> None:
    """Say which runs an earlier process of ours took down with it; what they left is cleared away before anything else begins."""
    for living in await _living(cluster):
        if living.session and living.session != cluster.session:
            record = await _end_of(cluster, living)
            said = record.failure.error.text if record.failure else record.state.value
            click.echo(f"run {short(record.run)} of {record.file}: {said}", err=True)


async def _end_of(cluster: Cluster, record: RunRecord) -> RunRecord:
    async for view in cluster.follow(record.run):
        record = view.record
    return record


async def _wait_for_others(cluster: Cluster) -> None:
    """Stay for the runs that other commands have submitted here meanwhile."""
    for record in await _living(cluster):
        click.echo(f"staying for run {short(record.run)}, which was submitted here", err=True)
        await _end_of(cluster, record)


async def find_run(cluster: Cluster, beginning: str) -> RunRecord:
    """Return the run whose id begins so; `last` is the newest. Raises NotFound, and Invalid where several do."""
    listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
    records = sorted((found.value for found in listing.items), key=lambda record: record.run)
    if beginning == "last" and records:
        return records[-1]
    found = [record for record in records if record.run.startswith(beginning.upper())]
    if not found:
        raise NotFound(f"there is no run {beginning}", hint="runi runs lists them")
    if len(found) > 1:
        names = ", ".join(record.run for record in found[:SHOWN_MAX])
        raise Invalid(
            f"{len(found)} runs begin with {beginning}: {names}", hint="type more of the id"
        )
    return found[0]
