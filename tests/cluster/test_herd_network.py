"""What a herd's network lets through: on a real kernel, in namespaces of the test's own.

Every refusal is tried again where nothing has rules: there the same probe gets through, so it is the rules that refused it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_world import (
    HOME,
    METADATA,
    METADATA_6,
    NAMESERVER,
    OTHER_OF_NODE,
    OTHER_PORT,
    PLACE_S,
    PORT,
    PRIVATE,
    PUBLIC,
    UPLINK,
    World,
    a_world,
    connected,
    is_unanswered,
    reaches,
    run,
)
from runink.sandbox.network import within
from runink.sandbox.network_plan import resolver_of

NODE_IS_LISTED = {"internet": True, "allow": [{"network": f"{UPLINK}/32"}]}
ALL_IS_LISTED = {"internet": True, "allow": [{"network": "0.0.0.0/0"}]}


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as world:
        yield world


def test_a_herd_reaches_the_internet_behind_the_nodes_address(world: World) -> None:
    herd = world.made()
    server = world.listens(world.internet, PUBLIC)
    with connected(herd.namespace, PUBLIC) as client:
        link, (seen, _) = server.accept()
        link.sendall(b"hello")
        assert client.recv(5) == b"hello"
        link.close()
    assert seen == UPLINK
    assert herd.fields["herd_address"].startswith("100.127.")
    # The control: the internet has no way to a herd, so without a rule that hides it nothing comes back.
    run(world.node, "nft", "flush", "ruleset")
    assert is_unanswered(herd.namespace, PUBLIC)


@pytest.mark.parametrize(
    ("policy", "is_open"),
    [({}, set()), (ALL_IS_LISTED, {"private", "home"})],
    ids=["default", "all is listed"],
)
def test_what_is_not_public_is_refused(
    world: World, policy: dict[str, object], is_open: set[str]
) -> None:
    herd, other = world.made("a", policy=policy), world.made("b")
    places = {
        "private": (world.internet, PRIVATE),
        "home": (world.internet, HOME),
        "metadata": (world.internet, METADATA),
        "node": (world.node, UPLINK),
        "other address of the node": (world.node, OTHER_OF_NODE),
        "its end of the cable": (world.node, herd.fields["node_address"]),
        "other herd": (other.namespace, other.fields["herd_address"]),
        "another slice of the herd": (herd.namespace, herd.fields["herd_address"]),
        "loopback": (herd.namespace, "127.0.0.1"),
    }
    for where, address in places.values():
        world.listens(where, address)
    found = {name for name, (_, address) in places.items() if reaches(herd.namespace, address)}
    assert found == is_open
    world.without_rules(herd, other)
    found = {name for name, (_, address) in places.items() if reaches(herd.namespace, address)}
    assert found == places.keys()


@pytest.mark.parametrize("side", ["herd", "node"])
def test_each_of_the_two_walls_refuses_alone(world: World, side: str) -> None:
    herd = world.made()
    places = [(world.internet, PRIVATE), (world.internet, METADATA)]
    for where, address in places:
        world.listens(where, address)
    run(herd.namespace if side == "node" else world.node, "nft", "flush", "ruleset")
    for _, address in places:
        assert not reaches(herd.namespace, address)
    world.without_rules(herd)
    for _, address in places:
        assert reaches(herd.namespace, address)


def test_no_packet_of_ipv6_leaves_a_herd(world: World) -> None:
    herd = world.made()
    world.listens(world.internet, METADATA_6)
    with pytest.raises(OSError, match=r"unreachable|assign"):
        connected(herd.namespace, METADATA_6)
    told = run(herd.namespace, "ip", "-6", "addr", "show")
    assert "inet6" not in told
    assert "inet6" not in run(world.node, "ip", "-6", "addr", "show", herd.fields["interface"])
    assert reaches(world.node, METADATA_6)  # the control


def test_a_policy_lists_places_and_ports(world: World) -> None:
    allow = [
        {"network": f"{PRIVATE}/32", "port_first": PORT, "port_last": PORT},
        {"network": "192.168.7.0/24", "port_first": PORT, "port_last": OTHER_PORT},
        {"network": f"{OTHER_OF_NODE}/32", "port_first": PORT, "port_last": PORT},
    ]
    herd = world.made(policy={"internet": False, "allow": allow})
    for address in (PRIVATE, HOME, PUBLIC):
        world.listens(world.internet, address)
        world.listens(world.internet, address, OTHER_PORT)
    world.listens(world.node, OTHER_OF_NODE)
    world.listens(world.node, OTHER_OF_NODE, OTHER_PORT)
    found = {
        (address, port)
        for address in (PRIVATE, HOME, PUBLIC, OTHER_OF_NODE)
        for port in (PORT, OTHER_PORT)
        if reaches(herd.namespace, address, port)
    }
    assert found == {(PRIVATE, PORT), (HOME, PORT), (HOME, OTHER_PORT), (OTHER_OF_NODE, PORT)}


def test_the_node_is_listed_by_its_single_address_only(world: World) -> None:
    world.listens(world.node, UPLINK)
    assert reaches(world.made(policy=NODE_IS_LISTED).namespace, UPLINK)
    wider = {"allow": [{"network": "198.51.100.0/24"}]}
    assert not reaches(world.made(policy=wider).namespace, UPLINK)


def test_names_are_asked_of_the_nodes_nameservers_and_of_nothing_else_there(world: World) -> None:
    herd = world.made(nameservers=[NAMESERVER])
    world.listens(world.internet, NAMESERVER, 53)
    world.listens(world.internet, NAMESERVER)
    assert reaches(herd.namespace, NAMESERVER, 53)
    assert not reaches(herd.namespace, NAMESERVER)
    assert _asks(world, herd.namespace, NAMESERVER) == b"ohw"
    with pytest.raises(PermissionError):  # what a datagram meets where a connection is reset
        _asks(world, herd.namespace, PRIVATE)
    world.without_rules(herd)
    assert _asks(world, herd.namespace, PRIVATE) == b"ohw"


def _asks(world: World, namespace: int, address: str) -> bytes:
    """Ask a nameserver, as far as the network is concerned, and return its answer."""
    with within(world.internet), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        server.settimeout(PLACE_S)
        with within(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PLACE_S)
            client.connect((address, 53))
            client.send(b"who")
            question, asker = server.recvfrom(100)
            server.sendto(question[::-1], asker)
            return client.recv(100)


def test_without_nameservers_of_its_own_a_herd_has_the_nodes(world: World) -> None:
    assert (
        world.made(nameservers=[NAMESERVER]).fields["resolv_conf"] == f"nameserver {NAMESERVER}\n"
    )
    real = resolver_of(Path("/etc/resolv.conf").read_text(), "")
    told = world.made().fields
    if real.nameservers:
        assert told["resolv_conf"] == real.text
        rules = run(world.node, "nft", "list", "table", "inet", told["table"])
        assert f"ip daddr {real.nameservers[0]}" in rules
    nobody = world.made(nameservers=[]).fields
    assert nobody["resolv_conf"] == ""
    assert "no name is resolved" in nobody["problems"][0]


def test_a_firewall_of_the_machine_that_drops_what_is_forwarded_is_told(world: World) -> None:
    chain = "type filter hook forward priority filter; policy drop;"
    run(world.node, "nft", "-f", "-", given=f"table ip theirs {{\nchain f {{\n{chain}\n}}\n}}\n")
    herd = world.made(nameservers=[NAMESERVER])
    assert "table ip theirs" in herd.fields["problems"][0]
    world.listens(world.internet, PUBLIC)
    assert is_unanswered(herd.namespace, PUBLIC)
    run(world.node, "nft", "delete", "table", "ip", "theirs")
    assert world.made(held=herd.namespace, nameservers=[NAMESERVER]).fields["problems"] == []
    assert reaches(herd.namespace, PUBLIC)


def test_nobody_reaches_a_herd(world: World) -> None:
    herd = world.made()
    address = herd.fields["herd_address"]
    world.listens(herd.namespace, address)
    run(world.internet, "ip", "route", "add", f"{address}/32", "via", UPLINK)
    for place in (world.node, world.internet):
        assert is_unanswered(place, address)  # so it tells nobody that it is there
    world.without_rules(herd)
    for place in (world.node, world.internet):
        assert reaches(place, address)


def test_a_slice_has_the_herds_network_and_no_power_over_it(world: World) -> None:
    """It comes from a process that was started within, and has every capability in a user namespace of its own."""
    herd = world.made()
    world.listens(world.internet, PUBLIC)
    world.listens(world.internet, PRIVATE)
    probes = f"""import socket, subprocess, sys
print(open("/proc/self/status").read().partition("CapEff:")[2].split()[0])
print([name for _, name in socket.if_nameindex()])
socket.create_connection(("{PUBLIC}", {PORT}), timeout={PLACE_S})
for words in (["nft", "flush", "ruleset"], ["ip", "link", "del", "eth0"], ["ip", "addr", "add", "10.1.1.1/8", "dev", "eth0"]):
    print(subprocess.run(words, capture_output=True, text=True).stderr.strip())
try:
    socket.create_connection(("{PRIVATE}", {PORT}), timeout={PLACE_S})
except ConnectionRefusedError:
    print("refused")
"""
    cloned = ["unshare", "--user", "--map-root-user", sys.executable, "-c", probes]
    capabilities, names, *refused, private = run(herd.namespace, *cloned).splitlines()
    assert int(capabilities, 16) & 1 << 12  # CAP_NET_ADMIN, in its own user namespace
    assert names == "['lo', 'eth0']"
    assert "Operation not permitted" in refused[0]
    assert sum("Operation not permitted" in line for line in refused) == 3
    assert private == "refused"


def test_a_slice_does_not_enter_by_itself(world: World) -> None:
    """So whoever starts slices starts them from within."""
    herd = world.made()
    code = (
        "import sys; from runink.sandbox.network import within; from runink.sandbox.syscalls import *\n"
        "if sys.argv[2] == 'slice': call('unshare', CLONE_NEWUSER)\n"
        "with within(int(sys.argv[1])): print('inside')"
    )
    told = {}
    for who in ("spawner", "slice"):
        words = [sys.executable, "-c", code, str(herd.namespace), who]
        told[who] = subprocess.run(
            words, pass_fds=[herd.namespace], capture_output=True, text=True, check=False
        )
    assert told["spawner"].stdout == "inside\n"
    assert "Operation not permitted" in told["slice"].stderr
