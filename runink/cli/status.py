"""`runi status`: whether a cluster runs here, and what it does."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec

from runink.barn.keys import HERDS, NODES, RUNS, SLICES
from runink.cli.client import reached
from runink.cli.exits import ExitCode
from runink.cli.options import output_option, project_here, state_folder, state_option
from runink.cli.wording import echo_json
from runink.clients.cluster import Cluster
from runink.config import NodeSettings, offered
from runink.errors import NotFound
from runink.herds.record import HerdRecord
from runink.quantities import counted, format_bytes, format_cpu
from runink.runs.records import NodeRecord, RunRecord, SliceRecord


@click.command()
@output_option
@state_option
def status(output: str, state: Path | None) -> None:
    """Say whether a cluster runs here, and what it does. Exit code 7 if none does."""
    folder = state_folder(state, project_here())
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
