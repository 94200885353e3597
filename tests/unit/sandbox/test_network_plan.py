"""Names, addresses and rules of a herd's network, and where names are looked up."""

from __future__ import annotations

import pytest
from runink.errors import Invalid, Unavailable
from runink.networks import policy_of
from runink.sandbox.network_plan import (
    NEVER,
    POOL,
    PRIVATE,
    Cable,
    Names,
    Order,
    Plan,
    checked,
    drops_of_others,
    free_cable,
    herd_rules,
    interface_prefix,
    names_of,
    node_rules,
    resolver_of,
    table_prefix,
)

NAMES = names_of("local", "/srv/state", "analytics")


def _plan(*allow: str, internet: bool = True, nameservers: tuple[str, ...] = ()) -> Plan:
    policy = policy_of(internet=internet, allow=allow)
    return Plan(NAMES, Cable("100.127.0.0", "100.127.0.1"), POOL, policy, nameservers)


def _chain(rules: str, name: str) -> list[str]:
    body = rules.partition(f"chain {name} {{\n")[2].partition("\n  }")[0]
    return [line.strip() for line in body.splitlines()]


def test_names_fit_the_kernel_and_differ_by_node_state_and_herd() -> None:
    long = "x" * 63
    all_names = [
        names_of(*parts)
        for parts in (
            ("local", "/srv/state", "analytics"),
            ("other", "/srv/state", "analytics"),
            ("local", "/srv/other", "analytics"),
            ("local", "/srv/state", "billing"),
            (long, f"/{long * 60}", long),
        )
    ]
    assert len({one.interface for one in all_names}) == len(all_names)
    assert len({one.table for one in all_names}) == len(all_names)
    assert all(len(one.interface) < 16 for one in all_names)
    assert all(len(one.alias) < 256 for one in all_names)


def test_all_of_a_nodes_names_begin_alike() -> None:
    for herd in ("a", "b"):
        names = names_of("local", "/srv/state", herd)
        assert names.interface.startswith(interface_prefix("local", "/srv/state"))
        assert names.table.startswith(table_prefix("local", "/srv/state"))
    assert not NAMES.interface.startswith(interface_prefix("local", "/srv/other"))


def test_a_herd_keeps_its_addresses_until_they_are_taken() -> None:
    first = free_cable(POOL, NAMES, ["0.0.0.0/0"])
    assert free_cable(POOL, NAMES, ["192.0.2.0/24"]) == first
    second = free_cable(POOL, NAMES, [f"{first.node}/31"])
    assert second.node not in (first.node, first.herd)


def test_every_place_of_a_pool_is_found() -> None:
    taken: list[str] = []
    for _ in range(4):
        cable = free_cable("10.9.0.0/29", NAMES, taken)
        taken.append(f"{cable.node}/32")
    assert sorted(taken) == ["10.9.0.0/32", "10.9.0.2/32", "10.9.0.4/32", "10.9.0.6/32"]
    with pytest.raises(Unavailable) as caught:
        free_cable("10.9.0.0/29", NAMES, taken)
    assert caught.value.code == "network_pool_taken"


def test_ways_out_take_no_place_and_a_wide_network_takes_all_of_it() -> None:
    assert free_cable(POOL, NAMES, ["0.0.0.0/1", "128.0.0.0/1", "0.0.0.0/0"])
    with pytest.raises(Unavailable):
        free_cable(POOL, NAMES, ["100.64.0.0/10"])


def test_both_sides_ask_the_same_of_a_packet_and_in_the_order_of_the_page() -> None:
    plan = _plan("10.1.0.0/16", "192.0.2.7:80-90", nameservers=("10.0.0.53",))
    expected = [
        "ip daddr { 10.0.0.53 } meta l4proto { tcp, udp } th dport 53 accept",
        "ip daddr @never goto refused",
        "ip daddr 10.1.0.0/16 accept",
        "ip daddr 192.0.2.7/32 meta l4proto { tcp, udp } th dport 80-90 accept",
        "ip daddr @private goto refused",
        "accept",
    ]
    assert _chain(herd_rules(plan), "outward") == expected
    assert _chain(node_rules(plan), "outward") == expected


def test_without_the_internet_only_what_is_listed_goes() -> None:
    assert _chain(node_rules(_plan(internet=False)), "outward")[-1] == "goto refused"


def test_the_nodes_rules_touch_no_packet_of_anybody_else() -> None:
    rules = node_rules(_plan("10.1.2.3"))
    for hook in ("forward", "input", "output", "postrouting"):
        head, *lines = _chain(rules, hook)
        assert "policy accept" in head
        assert all(NAMES.interface in line for line in lines)


def test_rules_are_replaced_in_one_transaction() -> None:
    for rules in (herd_rules(_plan()), node_rules(_plan())):
        head = rules.splitlines()[:3]
        table = f"table inet {NAMES.table}"
        assert head == [table, f"delete {table}", f"{table} {{"]


def test_no_address_that_is_never_reached_is_private_as_well() -> None:
    assert not set(NEVER) & set(PRIVATE)
    assert POOL in herd_rules(_plan()).partition("set private")[0]


@pytest.mark.parametrize(
    "change",
    [{"pool": "10.0.0.1/8"}, {"nameservers": ("fd00::1",)}, {"nameservers": ("1.1.1.1",) * 4}],
)
def test_an_order_is_checked_before_it_becomes_rules(change: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        checked(Order("n", "/s", "h", **change))


def test_names_with_what_ends_a_text_are_no_comment() -> None:
    plan = Plan(
        Names("rk", "runi", 'x" }'), Cable("10.0.0.0", "10.0.0.1"), POOL, _plan().policy, ()
    )
    with pytest.raises(AssertionError):
        node_rules(plan)


def test_a_table_that_drops_what_is_forwarded_is_found() -> None:
    listed = """table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy drop;
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table inet mine {
	chain forward {
		type filter hook forward priority filter; policy accept;
	}
}
"""
    assert drops_of_others(listed) == ["ip filter"]
    assert drops_of_others("") == []


# resolv.conf.


def test_a_slice_asks_the_nodes_nameservers() -> None:
    text = "# by hand\nnameserver 10.0.0.53\nnameserver fd00::53\nsearch example.org\noptions ndots:2 trust-ad\n"
    found = resolver_of(text, "")
    assert found.nameservers == ("10.0.0.53",)
    assert found.text == "nameserver 10.0.0.53\nsearch example.org\noptions ndots:2\n"
    assert not found.problem


def test_a_resolver_on_loopback_is_passed_over_for_those_behind_it() -> None:
    stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n"
    upstream = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\nsearch lan\n"
    found = resolver_of(stub, upstream)
    assert found.nameservers == ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert found.text.endswith("nameserver 192.0.2.3\nsearch lan\n")


@pytest.mark.parametrize("text", ["", "nameserver ::1\n", "nameserver 127.0.0.1\n", "nameserver\n"])
def test_without_a_nameserver_it_says_so(text: str) -> None:
    found = resolver_of(text, text)
    assert (found.nameservers, found.text) == ((), "")
    assert "no name is resolved" in found.problem
