"""Addresses, and which messages may come from outside."""

from __future__ import annotations

import msgspec
import pytest
from runink.errors import Invalid, LinkLost, NotFound
from runink.runtime.actor import Request
from runink.runtime.directory import Directory, message_types, parse_address
from runink.runtime.envelope import answer_type
from runink.runtime.mailbox import Mailbox
from runink.runtime.ref import LocalRef
from runtime_world import Get, Put, StoreMessage


def local(address: str = "store") -> LocalRef:
    return LocalRef(Mailbox(address))


def test_an_address_names_a_node_and_an_actor():
    assert parse_address("runi://n2/barn", here="n1") == ("n2", "barn")
    assert parse_address("barn", here="n1") == ("n1", "barn")


@pytest.mark.parametrize(
    "address",
    ["", "a/b", "runi://", "runi://n", "runi://n/", "runi:///barn", "runi://n/a/b", "http://n/a"],
)
def test_what_is_no_address_is_invalid(address: str):
    with pytest.raises(Invalid):
        parse_address(address, here="n1")


def test_an_actor_of_this_node_is_found_under_both_addresses():
    directory = Directory("n1")
    ref = local()
    directory.serve(ref, StoreMessage)
    assert directory.ref("store") is directory.ref("runi://n1/store") is ref
    with pytest.raises(NotFound):
        directory.ref("barn")


def test_an_actor_of_a_node_without_a_connection_is_a_ref_that_cannot_be_reached():
    ref = Directory("n1").ref("runi://n2/barn")
    with pytest.raises(LinkLost, match="n2"):
        ref.tell_nowait(Put("a"))


def test_only_what_was_said_can_come_from_outside():
    directory = Directory()
    directory.serve(local(), Put)
    served = directory.local("store")
    assert served.message("Put", {"key": "k", "value": b"v"}) == Put("k", b"v")
    with pytest.raises(Invalid) as info:
        served.message("Get", {"key": "k"})
    assert info.value.code == "unknown_message"
    with pytest.raises(Invalid, match=r"unknown field `\$\.more`") as info:
        served.message("Put", {"key": "k", "more": 1})
    assert info.value.code == "bad_message"


def test_nested_unions_are_flat():
    class Other(msgspec.Struct):
        pass

    assert list(message_types(Put | (Get | Other))) == ["Put", "Get", "Other"]


def test_what_could_not_be_told_apart_or_decoded_is_found_when_it_is_served():
    class Other(msgspec.Struct):
        pass

    Other.__name__ = "Put"
    with pytest.raises(TypeError, match="have the name Put"):
        message_types(Put | Other)
    with pytest.raises(TypeError, match="is no message"):
        message_types(Put | int)


def test_a_request_says_its_answer():
    class Child(Get, frozen=True):
        pass

    class Silent(Request, frozen=True):
        pass

    assert answer_type(Child) is bytes
    with pytest.raises(TypeError, match="Silent does not say"):
        answer_type(Silent)
