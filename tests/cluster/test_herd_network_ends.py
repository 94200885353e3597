"""How a herd's network begins again and ends: killed at any step, given up, two at once, held, removed; and where it cannot be made."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from network_world import (
    KILLED,
    PLACE_S,
    PRIVATE,
    PUBLIC,
    STATE,
    World,
    a_world,
    reaches,
    run,
    write,
)
from runink.sandbox.network import HELPER, within

STEPS = (
    *("lock", "cleared", "namespace", "herd_rules", "node_rules"),
    *("cable", "marked", "addressed", "forwarding"),
)


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


def test_remove_takes_the_nodes_own_and_nothing_of_another_node(world: World) -> None:
    world.made("a")
    world.made("b")
    neighbour = world.made("a", state="/srv/other")
    assert len(world.interfaces()) == len(world.tables()) == 3
    removed = world.ask("remove", herd="a").fields["removed"]
    assert len(removed) == 2
    assert len(world.interfaces()) == 2
    world.ask("remove")
    assert world.interfaces() == {neighbour.fields["interface"]}
    assert world.tables() == {neighbour.fields["table"]}
    assert world.ask("remove").fields == {"removed": []}


def test_without_its_descriptor_a_network_ends_and_only_rules_are_left(world: World) -> None:
    asked = world.begin("make", herd="a")
    asked.link.close()  # the spawner is gone, and the descriptor with it
    os.waitpid(asked.pid, 0)
    herd = world.made("b")  # later, so the first one is done
    assert len(world.tables()) == 2
    world.ask("remove")
    assert world.interfaces() == world.tables() == set()
    assert world.tables(herd.namespace) == {herd.fields["table"]}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("cure", ["make", "remove"])
def test_one_that_is_killed_at_a_step_leaves_nothing_that_the_next_does_not_clear(
    world: World, step: str, cure: str
) -> None:
    killed = world.ask("make", herd="a", module=(KILLED, step))
    assert killed.code == "network_unavailable"
    assert killed.namespace == -1
    if cure == "make":
        herd = world.made("a")
        world.listens(world.internet, PUBLIC)
        world.listens(world.internet, PRIVATE)
        assert reaches(herd.namespace, PUBLIC)
        assert not reaches(herd.namespace, PRIVATE)
        assert world.interfaces() == {herd.fields["interface"]}
        assert world.tables() == {herd.fields["table"]}
    assert not world.ask("remove").code
    assert world.interfaces() == world.tables() == set()


def test_one_that_is_given_up_leaves_nothing_that_the_next_does_not_clear(world: World) -> None:
    asked = world.begin("make", herd="a")
    asked.abandon()
    os.waitpid(asked.pid, 0)
    assert world.made("a").namespace >= 0
    world.ask("remove")
    assert world.interfaces() == world.tables() == set()


def test_two_at_once_leave_one_whole_network_and_the_other_is_cut_off(world: World) -> None:
    asked = [world.begin("make", herd="a") for _ in range(2)]
    made = [world.told(one) for one in asked]
    assert [one.code for one in made] == ["", ""]
    world.listens(world.internet, PUBLIC)
    ends = []
    for one in made:
        try:
            ends.append(reaches(one.namespace, PUBLIC))
        except OSError:
            ends.append(False)
    assert sorted(ends) == [False, True]
    assert len(world.interfaces()) == len(world.tables()) == 1


def test_herds_and_nodes_at_once_take_addresses_of_their_own(world: World) -> None:
    # A pool of four places, so that four searches meet.
    orders = [(herd, state) for herd in ("a", "b") for state in (STATE, "/srv/other")]
    asked = [
        world.begin("make", herd=herd, state=state, pool="10.99.0.0/29") for herd, state in orders
    ]
    made = [world.told(one) for one in asked]
    assert {one.fields["herd_address"] for one in made} == {f"10.99.0.{n}" for n in (1, 3, 5, 7)}
    full = world.ask("make", herd="c", pool="10.99.0.0/29")
    assert full.code == "network_pool_taken"
    assert len(world.interfaces()) == 4


def test_a_network_that_is_held_keeps_its_namespace_and_gets_new_rules(world: World) -> None:
    herd = world.made()
    world.listens(world.internet, PRIVATE)
    assert not reaches(herd.namespace, PRIVATE)
    policy = {"allow": [{"network": f"{PRIVATE}/32"}]}
    again = world.made(held=herd.namespace, policy=policy)
    assert os.fstat(again.namespace).st_ino == os.fstat(herd.namespace).st_ino
    assert again.fields == herd.fields | {"forwarding": "found"}
    assert reaches(herd.namespace, PRIVATE)
    # One whose cable is gone is made anew.
    run(world.node, "ip", "link", "del", herd.fields["interface"])
    anew = world.made(held=herd.namespace)
    assert os.fstat(anew.namespace).st_ino != os.fstat(herd.namespace).st_ino
    world.listens(world.internet, PUBLIC)
    assert reaches(anew.namespace, PUBLIC)


def test_an_interface_of_somebody_else_is_left_alone(world: World) -> None:
    name = world.made().fields["interface"]
    world.ask("remove")
    run(world.node, "ip", "link", "add", name, "type", "veth", "peer", "peer0")
    run(world.node, "ip", "link", "set", name, "alias", "theirs")
    refused = world.ask("make", herd="a")
    assert refused.code == "network_collision"
    assert world.ask("remove").fields == {"removed": []}
    assert name in world.interfaces()


# What cannot be made.


def test_the_check_makes_one_where_nobody_is(world: World) -> None:
    write(world.node, "/proc/sys/net/ipv4/ip_forward", "0")  # a new namespace has the machine's
    assert world.ask("check").fields == {}
    assert world.interfaces() == world.tables() == set()
    assert run(world.node, "cat", "/proc/sys/net/ipv4/ip_forward") == "0\n"


@pytest.mark.parametrize("action", ["check", "make"])
def test_without_nft_it_says_what_to_install(world: World, action: str) -> None:
    words = ["unshare", "--mount", "sh", "-c"]
    words += ['mount --bind /dev/null "$(command -v nft)" && exec "$@"', "sh"]
    words += [sys.executable, *HELPER]
    body = {"action": action} | (
        {} if action == "check" else {"node": "n", "state": STATE, "herd": "a"}
    )
    told = _asked_by(world, words, body)
    assert told["code"] == "network_unavailable"
    assert "nftables" in told["hint"]
    assert world.interfaces() == set()


def test_an_ordinary_user_is_told_what_is_missing(world: World) -> None:
    write(world.node, "/proc/sys/net/ipv4/ip_forward", "1")
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    told = _asked_by(world, [*words, sys.executable, *HELPER], {"action": "check"})
    assert told["code"] == "network_unavailable"
    assert "CAP_NET_ADMIN" in told["hint"]


@pytest.mark.parametrize(
    "change",
    [
        {"herd": "a;b"},
        {"node": 'n" }'},
        {"pool": "10.0.0.0/8 accept"},
        {"pool": "10.0.0.0/31"},
        {"nameservers": ["1.1.1.1 } accept"]},
        {"nameservers": ["::1"]},
        {"policy": {"allow": [{"network": "10.0.0.0/8 accept; #"}]}},
        {"policy": {"allow": [{"network": "10.0.0.0/8", "port_first": 70000, "port_last": 9}]}},
        {"policy": {"allow": "10.0.0.0/8"}},
        {"unknown": 1},
    ],
)
def test_an_order_that_is_no_order_changes_nothing(world: World, change: dict[str, object]) -> None:
    refused = world.ask("make", **{"herd": "a"} | change)
    assert refused.code in {"network_request", "network_policy", "invalid_name"}
    assert world.interfaces() == world.tables() == set()


def _asked_by(world: World, words: list[str], body: dict[str, object]) -> dict[str, str]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(json.dumps(body).encode())
        with within(world.node):
            process = subprocess.Popen(words, stdin=theirs)
        theirs.close()
        readable, _, _ = select.select([ours], [], [], PLACE_S)
        if not readable:
            process.send_signal(signal.SIGKILL)
        process.wait(PLACE_S)
        return json.loads(ours.recv(1 << 16))
