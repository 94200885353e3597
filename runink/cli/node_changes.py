"""`runi node cordon`, `uncordon`, `drain`: what people say of a node.

    cordoned   gets nothing new; what runs there goes on, and so does what belongs there because a run's files lie there
    draining   loses what it has: each run's slices there are stopped with their grace and begun anew elsewhere

It stands in the Barn under a key of its own, so that it holds whatever becomes of the node, its agent or the machine, until it is taken back.  A drain is
done by the cluster, not by the command, which only says so and waits: when that ends, however it ends, the node is cordoned.
"""

from __future__ import annotations

import time
from typing import Final

import click

from runink.cli.asking import Asker, Where, asked, asks_api
from runink.cli.completing import completed_nodes
from runink.cli.options import DURATION, output_option
from runink.cli.wording import echo_json
from runink.errors import Conflict, TimedOut
from runink.operations.catalog import nodes
from runink.operations.catalog.nodes import NodeDocument, StandingDocument
from runink.operations.declarations import Operation
from runink.quantities import counted, format_seconds
from runink.runs.records import Standing

LOOK_S: Final = 0.3  # between two looks at what is left on a node

node_argument = click.argument("name", metavar="NODE", shell_complete=completed_nodes)


@click.command()
@node_argument
@output_option
@asks_api
def cordon(name: str, output: str, where: Where) -> None:
    """Give NODE nothing new. What runs there goes on."""
    _say(where, nodes.CORDON, name, output, f"{name} is cordoned: it gets nothing new")


@click.command()
@node_argument
@output_option
@asks_api
def uncordon(name: str, output: str, where: Where) -> None:
    """Let NODE get work again."""
    _say(where, nodes.UNCORDON, name, output, f"{name} gets work again")


def _say(where: Where, operation: Operation, name: str, output: str, line: str) -> None:
    with asked(where) as client:
        found: StandingDocument = client.call(operation, node=name)
    if output == "json":
        echo_json(found)
    else:
        click.echo(line)


@click.command()
@node_argument
@click.option(
    "--timeout", "timeout_ms", type=DURATION, metavar="TIME", help="Wait so long at most (10m)."
)
@output_option
@asks_api
def drain(name: str, timeout_ms: int | None, output: str, where: Where) -> None:
    """Empty NODE: its slices end with their grace and begin anew elsewhere. Ends when nothing is left there; the node stays cordoned."""
    with asked(where) as client:
        try:
            client.call(nodes.DRAIN, node=name)
            moved = _emptied(client, name, None if timeout_ms is None else timeout_ms / 1000)
        finally:  # whatever has ended it: not where somebody else has said otherwise meanwhile
            client.call(nodes.CORDON, node=name, only_if=Standing.DRAINING)
    if output == "json":
        echo_json({"node": name, "standing": Standing.CORDONED.value, "moved": moved})
    else:
        click.echo(f"{name} is empty and cordoned; {counted(moved, 'slice')} left it")


def _emptied(client: Asker, node: str, wait_s: float | None) -> int:
    """Wait until a node is empty, and return how many slices have left it. Raises TimedOut (`not_empty`), Conflict (`not_draining`)."""
    began_s = time.monotonic()
    moved = before = 0
    while True:  # ends with the last slice, or with the time
        found: NodeDocument = client.call(nodes.GET, node=node)
        if found.left is None:
            text = f"{node} is not to be drained any more: somebody else has said so"
            raise Conflict(text, code="not_draining", hint="runi node get says how it stands")
        if found.left < before:
            gone = before - found.left
            moved += gone
            verb = "has" if gone == 1 else "have"
            click.echo(f"{counted(gone, 'slice')} {verb} left {node}, {found.left} to go", err=True)
        before = found.left
        if not before:
            return moved
        left_s = LOOK_S if wait_s is None else wait_s - (time.monotonic() - began_s)
        if left_s <= 0:
            text = f"{node} is not empty after {format_seconds(wait_s or 0.0)}: {counted(before, 'slice')} left there"
            hint = "it stays cordoned; runi node drain goes on with it"
            raise TimedOut(text, code="not_empty", hint=hint)
        time.sleep(min(LOOK_S, left_s))
