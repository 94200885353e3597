"""Slices by network: each network has a fork server of its own, and what becomes of one is nothing to the others."""

from __future__ import annotations

import os
import signal

import pytest
from desk_world import answer, launch
from runink.sandbox import lives
from runink.sandbox.lives import FORKING_MAX
from runink.sandbox.protocol import (
    HERD_NETWORK,
    HOST_NETWORK,
    NO_NETWORK,
    ForkServerLost,
    Launched,
    Refused,
)

REFUSED = "slice_not_prepared"


def test_each_network_has_a_fork_server_of_its_own(world, agent, fork_server):
    launch(agent, "inside")
    launch(agent, "online", network=HOST_NETWORK)
    world.turn()
    assert world.forks() == ["inside"]
    world.turn()  # the other fork server is due at once
    other = world.fork_server(HOST_NETWORK)
    assert world.forks(HOST_NETWORK) == ["online"]
    world.start(fork_server, "inside", 7)
    world.start(other, "online", 8)
    assert [message.slice for _, message in agent.heard() if isinstance(message, Launched)] == [
        "inside",
        "online",
    ]


@pytest.mark.parametrize("dying", [NO_NETWORK, HOST_NETWORK])
def test_a_fork_server_that_dies_takes_nothing_of_another_network_along(
    world, agent, fork_server, killed, monkeypatch, dying
):
    launch(agent, NO_NETWORK)
    launch(agent, HOST_NETWORK, network=HOST_NETWORK)
    launch(agent, "under way", network=NO_NETWORK)
    under_way = launch(agent, "under way online", network=HOST_NETWORK)
    world.turn()
    world.turn()  # the other fork server is due at once
    other = world.fork_server(HOST_NETWORK)
    world.start(fork_server, NO_NETWORK, 7)
    world.start(other, HOST_NETWORK, 8)
    world.fork(other, world.cell("under way online"), 9)
    agent.heard()
    # What the dead one's slice becomes: the spawner's child.
    adopted = {NO_NETWORK: [7], HOST_NETWORK: [8, 9]}[dying]
    monkeypatch.setattr(lives, "children", lambda: adopted)
    world.lose(dying)
    world.turn()
    told = agent.heard()
    assert [message for request, message in told if not request] == [ForkServerLost("it died")]
    refused = [request for request, message in told if isinstance(message, Refused)]
    assert (refused == [under_way]) == (dying == HOST_NETWORK)
    assert killed == [signal.SIGKILL] * (dying == HOST_NETWORK), "only the cell that had not begun"


def test_a_launch_waits_for_its_herds_network_and_lives_in_it(world, walls, agent):
    namespace = os.memfd_create("namespace")
    wanted = {"network": HERD_NETWORK, "network_policy": "{}"}
    launch(agent, "a", herd="h", **wanted)
    launch(agent, "b", herd="h", **wanted)
    world.turn()
    assert world.networks.asked == [("h", "{}")], "it is made once"
    world.networks.made("h", namespace, "nameserver 127.0.0.53")
    world.turn()
    world.turn()
    world.fork_server("egress h")
    held = world.nurseries.of_network("egress h").namespace
    assert os.path.samestat(os.fstat(held), os.fstat(namespace))
    assert held != namespace, "the network's own descriptor goes when it is renewed"
    assert world.forks("egress h") == ["a", "b"]
    assert walls.resolvers == ["nameserver 127.0.0.53"] * 2
    os.close(namespace)


def test_a_network_that_cannot_be_made_refuses_its_launches_and_is_tried_again(world, agent):
    wanted = {"herd": "h", "network": HERD_NETWORK}
    number = launch(agent, "a", **wanted)
    world.turn()
    world.networks.failed("h", "network_unavailable")
    world.turn()
    assert answer(agent, number) == Refused("network_unavailable", "it failed")
    launch(agent, "a", **wanted)
    world.turn()
    assert world.networks.asked == [("h", "")] * 2


def test_a_network_that_cannot_be_renewed_refuses_the_launch_and_stays_as_it_was(world, agent):
    namespace = os.memfd_create("namespace")
    launch(agent, "a", herd="h", network=HERD_NETWORK)
    world.turn()
    world.networks.made("h", namespace, "")
    world.turn()
    world.turn()
    server = world.fork_server("egress h")
    world.start(server, "a", 7)
    agent.heard()
    number = launch(agent, "b", herd="h", network=HERD_NETWORK, network_policy="{}")
    world.networks.failed("h", "network_invalid")
    world.turn()
    assert answer(agent, number).code == "network_invalid"
    assert [record.name for record in world.lives.register.running()] == ["a"]
    os.close(namespace)


def test_a_slice_in_its_herds_network_is_lost_with_its_own_fork_server_only(world, agent):
    namespace = os.memfd_create("namespace")
    launch(agent, "a", herd="h", network=HERD_NETWORK)
    world.turn()
    world.networks.made("h", namespace, "")
    world.turn()
    world.turn()
    server = world.fork_server("egress h")
    world.start(server, "a", 7)
    world.lose(NO_NETWORK)
    assert [record.name for record in world.lives.register.running()] == ["a"]
    world.lose("egress h")  # where it is not among our children (here nobody is), it ended unheard
    assert world.lives.register.running() == []
    os.close(namespace)


def test_slices_wait_their_turn_whichever_network_they_want(world, agent, fork_server):
    for number in range(FORKING_MAX):
        launch(agent, str(number))
    launch(agent, "online", network=HOST_NETWORK)
    world.turn()
    world.turn()
    assert [nursery.network for nursery in world.nurseries] == [NO_NETWORK], "as many as may be"
    world.start(fork_server, "0", 7)
    world.turn()
    world.fork_server(HOST_NETWORK)
    assert world.forks(HOST_NETWORK) == ["online"]
