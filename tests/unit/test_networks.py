"""Which network a slice is given, and what a herd's policy may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.errors import Forbidden, Invalid
from runink.networks import (
    Allowed,
    Network,
    NodeNetwork,
    allowed,
    endpoints_of,
    granted,
    is_elsewhere,
    own_addresses,
    policy_of,
)

CLOSED = NodeNetwork()
OPEN = NodeNetwork(allow_host=True, addresses=frozenset({"192.0.2.7", "fd00::7"}))
LOCAL_STORE = {"s3": "http://127.0.0.1:5000"}
STORE = "s3://bucket/key"


@pytest.mark.parametrize(
    ("asked", "places", "network"),
    [
        (Network.NONE, [], Network.NONE),
        (Network.NONE, ["data/x.csv", "/srv/x.csv", "-", "file:///x", "memory://x"], Network.NONE),
        (Network.NONE, ["data/x.csv", STORE], Network.EGRESS),
        (Network.NONE, ["https://example.org/x"], Network.EGRESS),
        (Network.EGRESS, [], Network.EGRESS),
        (Network.EGRESS, [STORE], Network.EGRESS),
    ],
)
def test_what_a_slice_is_given(asked: Network, places: list[str], network: Network) -> None:
    for node in (CLOSED, OPEN):
        assert granted(asked, places, node).network is network


@pytest.mark.parametrize(
    ("place", "endpoints"),
    [
        (STORE, LOCAL_STORE),
        ("s3a://bucket/key", LOCAL_STORE),
        (STORE, {"s3": "http://localhost:5000"}),
        (STORE, {"s3": "http://store.localhost."}),
        (STORE, {"s3": "[::1]:5000"}),
        (STORE, {"s3": "http://0.0.0.0:5000"}),
        (STORE, {"s3": "http://192.0.2.7"}),
        ("gcs://bucket/key", {"gs": "localhost:4443"}),
        ("http://127.0.0.1:8000/x.csv", {}),
        ("http://192.0.2.7/x.csv", {}),
        (STORE, {"s3": "http://[FD00::07]:5000"}),
    ],
)
def test_a_store_on_the_node_itself_needs_its_network_where_that_is_allowed(
    place: str, endpoints: dict[str, str]
) -> None:
    here = NodeNetwork(allow_host=True, addresses=OPEN.addresses, endpoints=endpoints)
    found = granted(Network.NONE, [place], here)
    assert found.network is Network.HOST
    assert place in found.why
    closed = NodeNetwork(addresses=OPEN.addresses, endpoints=endpoints)
    for asked in (Network.NONE, Network.EGRESS, Network.HOST):
        with pytest.raises(Forbidden) as caught:
            granted(asked, [place], closed)
        assert caught.value.code == "network_host_refused"
    with pytest.raises(Forbidden):  # said, so not changed without a word
        granted(Network.EGRESS, [place], here)


def test_a_machines_addresses_are_what_the_kernel_says() -> None:
    trie = """Local:
  +-- 0.0.0.0/0 2 0 2
     |-- 192.0.2.0
        /24 link UNICAST
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
"""
    inet6 = "fd000000000000000000000000000002 04 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n"
    assert own_addresses(trie, inet6) == {"192.0.2.2", "fd00::2", "::1"}
    assert "127.0.0.1" in own_addresses(Path("/proc/net/fib_trie").read_text(), "")


def test_a_bucket_is_no_host() -> None:
    for bucket in ("localhost", "127.0.0.1", "192.0.2.7"):
        assert granted(Network.NONE, [f"s3://{bucket}/key"], OPEN).network is Network.EGRESS


def test_the_nodes_network_is_given_only_where_it_is_allowed() -> None:
    assert granted(Network.HOST, [], OPEN).network is Network.HOST
    with pytest.raises(Forbidden) as caught:
        granted(Network.HOST, [], CLOSED)
    assert "--allow-host-network" in caught.value.hint


def test_endpoints_come_from_the_environment() -> None:
    assert endpoints_of({}) == {}
    assert endpoints_of({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": ""}) == {
        "s3": "http://a"
    }
    assert endpoints_of({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}) == {
        "s3": "http://b"
    }


def test_a_path_is_elsewhere_by_its_scheme() -> None:
    assert is_elsewhere("S3://x/y")
    assert not is_elsewhere("FILE://x/y")
    assert not is_elsewhere("a:b")


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("10.1.2.0/24", Allowed("10.1.2.0/24")),
        ("10.1.2.3", Allowed("10.1.2.3/32")),
        (" 10.1.2.3:5432 ", Allowed("10.1.2.3/32", 5432, 5432)),
        ("10.1.2.0/24:8000-8010", Allowed("10.1.2.0/24", 8000, 8010)),
        ("0.0.0.0/0:443", Allowed("0.0.0.0/0", 443, 443)),
    ],
)
def test_a_policy_lists_networks_and_ports(text: str, entry: Allowed) -> None:
    assert allowed(text) == entry


@pytest.mark.parametrize(
    "text",
    [
        *("", "example.org", "10.1.2.3/24", "10.1.2.3:", "10.1.2.3:0", "10.1.2.3:65536"),
        *("10.1.2.3:9-8", "10.1.2.3:http", "10.1.2.3:+1", "10.1.2.3:1-", "::1", "[::1]:80"),
        *("10.1.2.3:1-2-3", "10.1.2.3:\u0661"),
    ],
)
def test_what_is_no_place_is_told(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        allowed(text)
    assert caught.value.code == "network_policy"


def test_a_policy_has_an_end() -> None:
    assert policy_of(internet=True, allow=["10.0.0.1"] * 300).allow == (Allowed("10.0.0.1/32"),)
    with pytest.raises(Invalid):
        policy_of(internet=True, allow=[f"10.0.{n >> 8}.{n & 255}" for n in range(257)])
