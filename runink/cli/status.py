"""`runi status`: whether a cluster runs here, and what it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import click
import msgspec

from runink.barn.keys import HERDS, NODES, RUNS, SLICES
from runink.cli.asking import Where, asked, asks_api
from runink.cli.client import reached
from runink.cli.exits import ExitCode
from runink.cli.options import output_option, project_here, state_folder
from runink.cli.wording import echo_json, harmless
from runink.clients.cluster import Cluster
from runink.config import NodeSettings, offered
from runink.errors import Forbidden, NotFound
from runink.herds.record import HerdRecord
from runink.operations.catalog import herds, nodes
from runink.operations.catalog.herds import HerdSummary
from runink.operations.catalog.nodes import NodeSummary, StatusDocument
from runink.quantities import counted, format_bytes, format_cpu
from runink.runs.records import NodeRecord, RunRecord, SliceRecord


@click.command()
@output_option
@asks_api
def status(output: str, where: Where) -> None:
    """Say whether a cluster runs here, and what it does. Exit code 7 if none does.

    In a context: who leads its members, which nodes it has, and how many runs of the herds that you see have not ended.
    """
    if where.context is not None:
        _tell_context(where, output)
        return
    folder = state_folder(where.state, project_here())
    settings = NodeSettings(state=folder, capacity=offered())

    async def whole() -> dict[str, Any] | None:
        try:
            async with AsyncExitStack() as stack:
                return await _facts(await reached(stack, settings))
        except NotFound:
            return None

    facts = anyio.run(whole)
    if output == "json":
        echo_json({"running": facts is not None, **(facts or {})})
    elif facts is None:
        click.echo(f"no cluster runs with its state in {folder}; runi up starts one")
    else:
        click.echo("\n".join(_lines(facts)))
    if facts is None:
        raise SystemExit(ExitCode.UNREACHABLE)


def _tell_context(where: Where, output: str) -> None:
    """Say how a context's cluster is, as far as the caller may know it."""
    found: dict[str, Any] = {}
    with asked(where) as client:
        for name, ask in (
            ("members", lambda: client.call(nodes.STATUS)),
            ("nodes", lambda: list(client.call(nodes.LIST))),
            ("herds", lambda: list(client.call(herds.LIST, living=True))),
        ):
            try:
                found[name] = ask()
            except Forbidden:
                found[name] = None  # it is not for this caller
    if output == "json":
        echo_json({"running": True, **found})
        return
    for line in _context_lines(found["members"], found["nodes"], found["herds"]):
        click.echo(harmless(line))


def _context_lines(
    members: StatusDocument | None, there: list[NodeSummary] | None, seen: list[HerdSummary]
) -> Iterator[str]:
    if members is not None:
        lead = f"led by member {members.lead}" if members.lead else "nobody leads"
        yield f"cluster {members.cluster or 'without a name'}: {counted(len(members.members), 'member')}, {lead}"
    for one in there or ():
        offers = (
            f", offers cpu {format_cpu(one.capacity.cpu_m)}, memory {format_bytes(one.capacity.memory_bytes)}"
            if one.capacity
            else ""
        )
        yield f"node {one.node}: {one.standing or one.state}, {counted(one.slices, 'slice')}{offers}"
    for herd in seen:
        yield f"herd {herd.herd}: {herd.state}, {counted(herd.living or 0, 'run')} not ended"
    if not seen:
        yield "no herd in which you may do anything"


async def _facts(cluster: Cluster) -> dict[str, Any]:
    barn = cluster.barn
    nodes = await barn.range(NODES.prefix(), NodeRecord)
    herds = await barn.range(HERDS.prefix(), HerdRecord)
    runs = await barn.range(RUNS.prefix(), RunRecord)
    slices = await barn.range(SLICES.prefix(), SliceRecord)
    on_nodes = [found.value for found in slices.items if found.value.state.is_on_node]
    return {
        "barn": msgspec.to_builtins(await barn.status()),
        "nodes": [
            {
                "node": found.value.node,
                "cpu_m": found.value.capacity.cpu_m,
                "memory_bytes": found.value.capacity.memory_bytes,
                "slices": sum(one.node == found.value.node for one in on_nodes),
            }
            for found in nodes.items
        ],
        "herds": [found.value.herd for found in herds.items],
        "runs": dict(Counter(found.value.state.value for found in runs.items)),
    }


def _lines(facts: dict[str, Any]) -> list[str]:
    barn = facts["barn"]
    lines = [
        f"barn: revision {barn['revision']:,}, {counted(barn['keys'], 'key')}, term {barn['term']}"
    ]
    if barn["trouble"]:
        lines.append(f"  it takes no writes: {barn['trouble']}")
    if barn["torn"]:
        lines.append(f"  its log was cut when it was opened: {barn['torn']}")
    lines += [
        f"node {node['node']}: {counted(node['slices'], 'slice')}, offers cpu {format_cpu(node['cpu_m'])}, memory {format_bytes(node['memory_bytes'])}"
        for node in facts["nodes"]
    ]
    runs = ", ".join(f"{count} {state}" for state, count in facts["runs"].items())
    lines.append(f"runs: {runs or 'none yet'}")
    return lines
