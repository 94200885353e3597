"""`runi node cordon`, `uncordon`, `drain`: what people say of a node.

    cordoned   gets nothing new; what runs there goes on, and so does what belongs there because a run's files lie there
    draining   loses what it has: each run's slices there are stopped with their grace and begun anew elsewhere

It stands in the Barn under a key of its own, so that it holds whatever becomes of the node, its agent or the machine, until it is taken back.  A drain is
done by the cluster, not by the command, which only says so and waits: when that ends, however it ends, the node is cordoned.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
import click

from runink.actors.tables import Loaded, Seen, Table, follow
from runink.barn.keys import RUNS, SLICES, STANDINGS, standing_key
from runink.cli.exits import first_of
from runink.cli.options import DURATION, output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.summary import short
from runink.cli.wording import echo_json
from runink.clients.barn import BarnClient
from runink.clients.cluster import Cluster
from runink.clients.standings import say
from runink.errors import Conflict, TimedOut
from runink.names import NodeId, RunId, SliceId
from runink.quantities import counted, format_seconds
from runink.runs.draining import left_on
from runink.runs.records import (
    NodeStanding,
    RunRecord,
    SliceRecord,
    Standing,
)

LEAVE_S: Final = (
    15.0  # for saying that a drain is over, whatever has ended it: longer than one request may take
)

node_argument = click.argument("name", metavar="NODE")


@click.command()
@node_argument
@output_option
@state_option
def cordon(name: str, output: str, state: Path | None) -> None:
    """Give NODE nothing new. What runs there goes on."""
    node = NodeId(name)
    with_cluster(state, lambda cluster, _: say(cluster.barn, node, Standing.CORDONED))
    _tell_standing(node, Standing.CORDONED, output, f"{node} is cordoned: it gets nothing new")


@click.command()
@node_argument
@output_option
@state_option
def uncordon(name: str, output: str, state: Path | None) -> None:
    """Let NODE get work again."""
    node = NodeId(name)
    with_cluster(state, lambda cluster, _: say(cluster.barn, node, None))
    _tell_standing(node, None, output, f"{node} gets work again")


@click.command()
@node_argument
@click.option(
    "--timeout", "timeout_ms", type=DURATION, metavar="TIME", help="Wait so long at most (10m)."
)
@output_option
@state_option
def drain(name: str, timeout_ms: int | None, output: str, state: Path | None) -> None:
    """Empty NODE: its slices end with their grace and begin anew elsewhere. Ends when nothing is left there; the node stays cordoned."""
    node = NodeId(name)
    wait_s = timeout_ms / 1000 if timeout_ms is not None else None
    moved = with_cluster(state, lambda cluster, _: drained(cluster, node, wait_s))
    if output == "json":
        echo_json({"node": node, "standing": Standing.CORDONED.value, "moved": moved})
    else:
        click.echo(f"{node} is empty and cordoned; {counted(moved, 'slice')} left it")


def _tell_standing(node: NodeId, standing: Standing | None, output: str, line: str) -> None:
    if output == "json":
        echo_json({"node": node, "standing": standing.value if standing else None})
    else:
        click.echo(line)


async def drained(cluster: Cluster, node: NodeId, wait_s: float | None) -> int:
    """Have a node emptied, and return how many slices have left it. Raises NotFound, TimedOut, Conflict (`not_draining`)."""
    seen = _Emptying(node)
    try:
        await _begin(cluster.barn, node)
        with anyio.fail_after(wait_s), anyio.CancelScope() as until_empty:

            async def told(change: Seen) -> None:
                for line in seen.take(change):
                    click.echo(line, err=True)
                if not seen.left:
                    until_empty.cancel()

            await follow(cluster.barn, seen.prefixes, told)
    except TimeoutError:
        text = f"{node} is not empty after {format_seconds(wait_s or 0.0)}: {counted(len(seen.left), 'slice')} left there"
        hint = "it stays cordoned; runi node drain goes on with it"
        raise TimedOut(text, code="not_empty", hint=hint) from None
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(LEAVE_S):
            await say(cluster.barn, node, Standing.CORDONED, only_if=Standing.DRAINING)
    return len(seen.gone)


async def _begin(barn: BarnClient, node: NodeId) -> None:
    """Say that a node is to be drained, to the end: an interrupt waits for the answer, because who takes it back has to find it there.

    In a task of its own, which an interrupt of the command's does not reach.
    """

    async def saying() -> None:
        with anyio.CancelScope(shield=True):  # the client has a deadline
            await say(barn, node, Standing.DRAINING)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(saying)
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors


class _Emptying:
    """What is left on a node, and what has gone from there since somebody looks."""

    def __init__(self, node: NodeId) -> None:
        self._node = node
        self._runs = Table(RUNS.prefix(), RunRecord, keep=lambda one: not one.state.is_over)
        self._slices = Table(
            SLICES.prefix(), SliceRecord, keep=lambda one: node in (one.node, one.pin)
        )
        self._standings = Table(STANDINGS.prefix(), NodeStanding)
        self.prefixes = tuple(table.prefix for table in (self._runs, self._slices, self._standings))
        self.left: set[tuple[RunId, SliceId]] = set()
        self.gone: set[tuple[RunId, SliceId]] = set()

    def take(self, seen: Seen) -> Iterator[str]:
        """Take what has changed, and yield what is to be told of it. Raises Conflict if it is not to be emptied any more."""
        for table in (self._runs, self._slices, self._standings):
            if isinstance(seen, Loaded):
                table.load(seen.items)
            else:
                for change in seen.changes:
                    table.apply(change)
        said = self._standings.get(standing_key(self._node))
        if said is None or said.value.standing is not Standing.DRAINING:
            text = f"{self._node} is not to be drained any more: somebody else has said so"
            raise Conflict(text, code="not_draining", hint="runi node get says how it stands")
        runs = [found.value for found in self._runs]
        slices = [found.value for found in self._slices]
        before = self.left
        self.left = {(one.run, one.slice) for one in left_on(self._node, runs, slices)}
        for run, name in sorted(before - self.left):
            self.gone.add((run, name))
            yield f"{name} of run {short(run)} has left {self._node}, {len(self.left)} to go"
