"""What a slice can know of others and do to them: of a slice of its herd, of one of another herd, of a process of the host. By the same probes a plain process of root knows all of it.

Each of them has secrets in files, memory, queues, sockets and its environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import escape_probes
import pytest
from escape_world import (
    NEW_NAMESPACES,
    in_slice,
    program,
    victim_in,
    victim_without,
    without,
)
from runink.sandbox.protocol import HERD_NETWORK, HOST_NETWORK
from sandbox_world import HAS_RANGES, HERD, WALLED, Way, is_alive, probes, world_in

REFUSED = {"EPERM", "EACCES", "ENOENT", "ESRCH", "ECONNREFUSED", "empty"}
VICTIMS = ("of its herd", "of another herd", "of the host")
KEY = 0x52554E00 + (os.getpid() & 0xFF)


@pytest.fixture(scope="module", params=WALLED, ids=lambda way: way.value)
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Have a slice try at three others, and a plain process at a fourth."""
    name = f"runink-host-{os.getpid()}"
    with victim_without(name, KEY) as plain:
        found = {"plain": without("others", plain)}
        anyio.run(attack, found, tmp_path_factory.mktemp("neighbours"), plain, request.param)
        yield found


async def attack(found: dict[str, Any], folder: Path, plain: dict[str, Any], way: Way) -> None:
    async with (
        world_in(folder, way=way, entry=probes(way)) as world,
        AsyncExitStack() as stack,
    ):
        victims = {"of the host": plain}
        for number, herd in enumerate((HERD, "another"), start=1):
            slice_, told = await victim_in(world, f"runink-slice-{number}", KEY + number, herd)
            stack.callback(slice_.close)
            victims["of its herd" if herd == HERD else "of another herd"] = told
        for name, victim in victims.items():
            found[f"{name} has a queue"] = victim["has_queue"]
            found[name] = await in_slice(world, "others", victim)
        found["of the host, on its network"] = await in_slice(
            world, "others", plain, network=HOST_NETWORK
        )
        if HAS_RANGES:  # herds have networks
            slice_, told = await victim_in(
                world, "runink-slice-3", KEY + 3, HERD, network=HERD_NETWORK
            )
            stack.callback(slice_.close)
            found["of its herd, on its network"] = await in_slice(
                world, "others", told, network=HERD_NETWORK
            )
        found["killed"] = await in_slice(world, "killer", {})
        found["alive"] = [is_alive(victim["pid"]) for victim in victims.values()]


@pytest.mark.parametrize("name", escape_probes.OTHERS)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_slice_knows_nothing_of_others_and_does_nothing_to_them(found: Any, victim: str, name: str):  # fmt: skip
    assert found["plain"][name] == "done", "the probe works"
    assert found[victim][name] in REFUSED


@pytest.mark.parametrize("name", escape_probes.OTHERS)
def test_on_one_network_only_servers_are_reached(found: Any, name: str):
    """Abstract sockets belong to a network too; there Landlock keeps slices apart. What an address leads to is for the network's rules."""
    host = found["of the host, on its network"][name]
    assert host == "done" if name == "server on loopback" else host in REFUSED
    if HAS_RANGES:
        herd = found["of its herd, on its network"][name]
        assert herd == "ECONNREFUSED" if name == "server on loopback" else herd in REFUSED


def test_a_slice_makes_no_message_queue(found: Any):
    """Landlock knows no path for one, so it refuses."""
    assert [found[f"{victim} has a queue"] for victim in VICTIMS] == [False, False, True]


def test_killing_everybody_reaches_only_its_own(found: Any):
    assert found["killed"] == {"child": signal.SIGKILL}, "it lived to tell"
    assert found["alive"] == [True] * len(VICTIMS)
    # Without isolation it reaches whoever is in the namespace, here one that is thrown away.
    script = 'sleep 600 & "$@" > /dev/null; wait $!; echo $?'
    words = ["sh", "-c", script, "sh", *program("killer", {})]
    done = subprocess.run([*NEW_NAMESPACES, *words], capture_output=True, text=True, check=True)
    assert done.stdout == f"{128 + signal.SIGKILL}\n"
