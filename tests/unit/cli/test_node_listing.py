"""What `runi node list` says of nodes that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner
from runink.barn.keys import health_key
from runink.cli.node import node
from runink.clock import now_ms
from runink.config import NodeSettings, Role
from runink.dag import Resources
from runink.names import NodeId
from runink.node import embedded
from runink.quantities import format_moment
from runink.runs.health import NodeHealth

NODE = NodeId("w3")
HOUR_MS = 3_600_000


@pytest.mark.parametrize("is_over", [False, True])
def test_a_lost_node_is_listed_with_until_when_it_is_waited_for_while_it_is(
    tmp_path: Path, *, is_over: bool
) -> None:
    lost_ms = now_ms() - 3 * HOUR_MS
    back_ms = now_ms() - HOUR_MS if is_over else now_ms() + HOUR_MS

    async def keep() -> None:
        settings = NodeSettings(state=tmp_path, capacity=Resources(1000, 1 << 30))
        async with embedded(settings, role=Role.STORE) as cluster:
            await cluster.barn.put(
                health_key(NODE), NodeHealth(NODE, lost_ms=lost_ms, back_ms=back_ms)
            )

    anyio.run(keep)
    command = ["list", "--state", str(tmp_path)]
    awaited = "" if is_over else f", waited for until {format_moment(back_ms)}"
    said = CliRunner().invoke(node, command).output
    assert said == f"w3: lost since {format_moment(lost_ms)}{awaited}, 0 slices\n"
    (document,) = json.loads(CliRunner().invoke(node, [*command, "-o", "json"]).output)
    assert (document["state"], document["back_ms"]) == ("lost", back_ms)
