"""Which cluster a command talks to: the one that runs for this state folder, else one in this process, for as long as the command needs it.

Where another process has the state and does not listen, it either begins, or ends, or is a command that only looks: each takes moments, so we wait
for it, LOCKED_S at most.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import anyio
import click

from runink.barn.keys import RUNS, SLICES
from runink.capabilities import Isolation
from runink.cli.exits import LOCKED, told
from runink.cli.options import SliceOptions
from runink.cli.servers import servers_by_environment
from runink.cli.settings import tell_settings
from runink.cli.summary import short, told_apart
from runink.cli.warn import warn_on_stderr
from runink.clients.cluster import Cluster
from runink.clients.connecting import connected
from runink.clock import now_ms
from runink.config import NodeSettings, Role, Servers, offered
from runink.errors import Invalid, NotFound, RuninkError, TimedOut, Unavailable
from runink.runs.records import RunRecord, SliceRecord
from runink.runs.retention import age_of

LAST: Final = "last"
NOTHING_YET: Final = "no_runs"
SHOWN_MAX: Final = 5  # of ids that begin alike
LOCKED_S: Final = 20.0  # longer than a cluster takes to stop with all that it waits for
LOOK_S: Final = 0.05
_SILENT: Final = frozenset({"handshake_timed_out", "timed_out"})
LEAVING: Final = frozenset(
    {"link_lost", "outcome_unknown", "stopping"}
)  # what a cluster that leaves answers, or does not


@dataclass(frozen=True, slots=True)
class Embedding:
    """How a cluster in this process is made, if there is none. `modules` are loaded before the first run asks for them."""

    state: Path
    modules: frozenset[str] = frozenset()
    role: Role = Role.ALL
    orphan_s: float = 0.0  # what a command started ends with it
    slices: SliceOptions = SliceOptions()  # noqa: RUF009 - frozen

    @property
    def settings(self) -> NodeSettings:
        return NodeSettings(
            state=self.state,
            capacity=offered(),
            orphan_s=self.orphan_s,
            isolation=self.slices.isolation or Isolation.CELLS,
            shares_network=self.slices.shares_network is not False,
            spawner=self.slices.spawner,
        )


def check_has_state(embedding: Embedding) -> None:
    """Raise NotFound (`no_runs`) where nothing was ever run: a question makes no state, as it may be asked in the wrong folder."""
    if servers_by_environment() is None and not embedding.settings.barn.exists():
        raise NotFound(
            f"nothing has been run here: there is no {embedding.state}",
            code=NOTHING_YET,
            hint="runi run FILE.dsl makes a run; or is this the wrong folder?",
        )


@asynccontextmanager
async def open_cluster(embedding: Embedding) -> AsyncIterator[Cluster]:
    """Yield the cluster: the one that the environment names, else this project's.

    Raises Unavailable (`storage_locked`) where another process has the state and does not answer, Forbidden or Unavailable for a disk that will not.
    """
    warn_on_stderr()
    servers = servers_by_environment()
    began_ms = now_ms()
    async with AsyncExitStack() as stack:
        try:
            cluster = (
                await _entered(stack, embedding)
                if servers is None
                else await stack.enter_async_context(_elsewhere(servers))
            )
        except (RuninkError, OSError) as error:
            raise told(error, where=embedding.state) from error
        if embedding.role is Role.ALL:
            await tell_settings(cluster, embedding.slices)
        if embedding.role is Role.ALL and cluster.session:
            await _tell_cut(cluster, began_ms)
        yield cluster
        if embedding.role is Role.ALL and cluster.session:
            await _wait_for_others(cluster)


def _elsewhere(servers: Servers) -> AbstractAsyncContextManager[Cluster]:
    from runink.joining import reached_cluster  # noqa: PLC0415 - the library for certificates: a tenth of a second that a cluster here does without

    return reached_cluster(servers)


async def _entered(stack: AsyncExitStack, embedding: Embedding) -> Cluster:
    """Enter the cluster that is there, or else one of our own; wait for whoever has the state and does not listen."""
    settings = embedding.settings
    deadline_s = anyio.current_time() + LOCKED_S
    while True:  # ends with a cluster, or with the deadline
        is_late = anyio.current_time() >= deadline_s
        try:
            return await reached(stack, settings)
        except NotFound:
            pass
        except Unavailable as error:
            if is_late or error.code not in LEAVING:
                raise
            await anyio.sleep(LOOK_S)  # it is about to leave
            continue
        if is_late or not is_held(settings.barn):
            from runink.node import embedded  # noqa: PLC0415 - actors and all, where no other process has them

            own = embedded(settings, role=embedding.role, modules=embedding.modules)
            try:
                return await stack.enter_async_context(own)
            except Unavailable as error:
                if is_late or error.code != LOCKED:
                    raise
        await anyio.sleep(LOOK_S)


def _silent(state: Path) -> TimedOut:
    return TimedOut(
        f"the cluster that has its state in {state} does not answer",
        code="cluster_silent",
        hint="is its `runi up` or `runi run` stopped, or the machine overloaded? continue it, or end it",
    )


async def reached(stack: AsyncExitStack, settings: NodeSettings) -> Cluster:
    """Enter the cluster that another process runs, if it answers. Raises NotFound, TimedOut (`cluster_silent`), Unavailable."""
    async with AsyncExitStack() as trial:
        try:
            cluster = await trial.enter_async_context(connected(settings))
            await cluster.barn.status()
        except RuninkError as error:
            if error.code in _SILENT:
                raise _silent(settings.state) from error
            raise
        stack.push_async_exit(trial.pop_all())
        return cluster


def is_held(barn: Path) -> bool:
    """Say whether another process has the Barn's lock."""
    try:
        descriptor = os.open(barn, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False  # whoever opens it says better what is wrong
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


async def _runs(cluster: Cluster) -> list[RunRecord]:
    listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
    return [found.value for found in listing.items]


async def _tell_cut(cluster: Cluster, began_ms: int) -> None:
    """Say which runs an earlier process of ours took down with it; what they left is cleared away before anything else begins.

    Some of them may have been ended already since this cluster began.
    """
    for record in await _runs(cluster):
        is_theirs = record.session and record.session != cluster.session
        if is_theirs and not record.state.is_over:
            click.echo(cut_line(await end_of(cluster, record)), err=True)
        elif is_theirs and record.ended_ms >= began_ms:
            click.echo(cut_line(record), err=True)


def cut_line(record: RunRecord) -> str:
    """Say what has become of a run whose process was killed."""
    said = record.failure.error.text if record.failure else f"was cut, and {record.state.value} now"
    return f"run {short(record.run)} of {record.file}: {said}"


async def end_of(cluster: Cluster, record: RunRecord) -> RunRecord:
    """Return a run when it is over: at once, where it is."""
    if record.state.is_over:
        return record
    async for view in cluster.follow(record.run):
        record = view.record
    return record


async def _wait_for_others(cluster: Cluster) -> None:
    """Stay for the runs that other commands have submitted here meanwhile."""
    for record in await _runs(cluster):
        if record.state.is_over:
            continue
        click.echo(f"staying for run {short(record.run)}, which was submitted here", err=True)
        await end_of(cluster, record)


async def find_run(cluster: Cluster, beginning: str) -> RunRecord:
    """Return the run whose id begins so; `last` is the newest. Raises NotFound, and Invalid where several do."""
    listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
    return chosen_run((found.value for found in listing.items), beginning)


async def slices_of(cluster: Cluster, record: RunRecord) -> tuple[SliceRecord, ...]:
    """Return a run's slices as they stand."""
    listing = await cluster.barn.range(SLICES.prefix(record.herd, record.run), SliceRecord)
    return tuple(found.value for found in listing.items)


class AnyRun(Protocol):
    """What a run is chosen by: of a record, or of what the API says of it."""

    @property
    def run(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def herd(self) -> str: ...
    @property
    def submitted_ms(self) -> int: ...


R = TypeVar("R", bound=AnyRun)


def chosen_run(records: Iterable[R], beginning: str) -> R:
    """Return the one that is meant. Raises as `find_run`."""
    listed = sorted(records, key=age_of)
    if not listed:
        raise NotFound("there are no runs yet", code="no_runs", hint="runi run FILE.dsl makes one")
    if beginning == LAST:
        return listed[-1]
    found = [record for record in listed if beginning and record.run.startswith(beginning.upper())]
    if not found:
        raise NotFound(
            f"there is no run {beginning}", code="no_such_run", hint="runi runs lists them"
        )
    if len(found) > 1:
        apart = told_apart(record.run for record in listed)
        names = ", ".join(
            f"{apart[record.run]} ({record.pipeline} of herd {record.herd})"
            for record in found[-1 : -SHOWN_MAX - 1 : -1]
        )
        raise Invalid(
            f"{len(found)} runs begin with {beginning}: {names}{' …' if len(found) > SHOWN_MAX else ''}",
            code="ambiguous_run",
            hint="type more of the id",
        )
    return found[0]
