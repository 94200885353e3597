"""What a herd's network lets through, and what is left of one: on a real kernel, in namespaces of the test's own.

Every refusal is tried again where nothing has rules: there the same probe gets through, so it is the rules that refused it.
"""

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
    HOME,
    KILLED,
    METADATA,
    METADATA_6,
    NAMESERVER,
    OTHER_OF_NODE,
    OTHER_PORT,
    PORT,
    PRIVATE,
    PUBLIC,
    STATE,
    UPLINK,
    World,
    a_world,
    connected,
    reaches,
    run,
    write,
)
from runink.sandbox.network import HELPER, within

STEPS = (
    *("lock", "cleared", "namespace", "herd_rules", "node_rules"),
    *("cable", "marked", "addressed", "forwarding"),
)
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
    with pytest.raises(TimeoutError):
        connected(herd.namespace, PUBLIC)


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
        server.settimeout(5.0)
        with within(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5.0)
            client.connect((address, 53))
            client.send(b"who")
            question, asker = server.recvfrom(100)
            server.sendto(question[::-1], asker)
            return client.recv(100)


def test_nobody_reaches_a_herd(world: World) -> None:
    herd = world.made()
    address = herd.fields["herd_address"]
    world.listens(herd.namespace, address)
    run(world.internet, "ip", "route", "add", f"{address}/32", "via", UPLINK)
    for place in (world.node, world.internet):
        with pytest.raises(TimeoutError):  # what is not even answered tells nobody that it is there
            connected(place, address)
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
socket.create_connection(("{PUBLIC}", {PORT}), timeout=5)
for words in (["nft", "flush", "ruleset"], ["ip", "link", "del", "eth0"], ["ip", "addr", "add", "10.1.1.1/8", "dev", "eth0"]):
    print(subprocess.run(words, capture_output=True, text=True).stderr.strip())
try:
    socket.create_connection(("{PRIVATE}", {PORT}), timeout=5)
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


# What is left.


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
        readable, _, _ = select.select([ours], [], [], 30.0)
        if not readable:
            process.send_signal(signal.SIGKILL)
        process.wait(30.0)
        return json.loads(ours.recv(1 << 16))
