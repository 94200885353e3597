"""Packets with descriptors: whole or refused, never blocking, and no descriptor lost."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest
from runink.sandbox.codec import MESSAGE_BYTES_MAX, BadMessage
from runink.sandbox.packets import (
    WAITING_PACKETS_MAX,
    Outbox,
    close_all,
    receive,
    understood,
)
from runink.sandbox.protocol import FIELDS, TO_AGENT, TO_SPAWNER, Done, Kill, Launched, List


@pytest.fixture
def links():
    """Two ends of a connection that never block."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for link in pair:
        link.setblocking(False)
    yield pair
    for link in pair:
        link.close()


@pytest.fixture(autouse=True)
def _no_descriptor_is_left(links):
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    yield
    assert {path.name for path in Path("/proc/self/fd").iterdir()} <= before


def test_descriptors_arrive_close_on_exec_and_are_copies(links):
    source, target = os.pipe()
    outbox = Outbox(links[0], TO_AGENT)
    assert outbox.send(Launched("s", 1, {"seccomp": "on"}), request=3, descriptors=[target])
    os.close(target)
    packet = receive(links[1])
    assert understood(packet, TO_AGENT, FIELDS) == (3, Launched("s", 1, {"seccomp": "on"}))
    (copy,) = packet.descriptors
    assert not os.get_inheritable(copy)
    os.write(copy, b"x")
    assert os.read(source, 10) == b"x"
    close_all([copy, source])


def test_what_does_not_fit_waits_in_order_and_keeps_copies_of_its_descriptors(links):
    outbox = Outbox(links[0], TO_AGENT)
    null = os.open("/dev/null", os.O_RDONLY)
    count = 2000
    for number in range(count):
        assert outbox.send(Done(), request=number, descriptors=[null] if number % 100 == 0 else [])
    os.close(null)
    assert not outbox.is_empty
    found = []
    while len(found) < count:
        assert outbox.flush()
        try:
            while True:
                packet = receive(links[1])
                found.append(understood(packet, TO_AGENT, FIELDS).request)
                close_all(packet.descriptors)
        except BlockingIOError:
            continue
    assert found == list(range(count))
    assert outbox.is_empty


def test_who_lets_too_much_wait_is_given_up(links):
    outbox = Outbox(links[0], TO_AGENT)
    null = os.open("/dev/null", os.O_RDONLY)
    sent = 0
    while outbox.send(Done(), descriptors=[] if sent % 50 else [null]):
        sent += 1
    assert sent > WAITING_PACKETS_MAX
    os.close(null)
    outbox.close()
    assert outbox.is_empty


def test_sending_to_who_is_gone_says_so(links):
    outbox = Outbox(links[0], TO_AGENT)
    links[1].close()
    assert not outbox.send(Done())
    assert receive(links[0]) is None


def test_descriptors_that_no_message_announced_are_closed(links):
    null = os.open("/dev/null", os.O_RDONLY)
    socket.send_fds(links[0], [b'{"kind":"list","request":5,"descriptors":0}'], [null] * 200)
    os.close(null)
    with pytest.raises(BadMessage) as refused:
        understood(receive(links[1]), TO_SPAWNER, FIELDS)
    assert (refused.value.code, refused.value.request) == ("descriptor_count", 5)


def test_a_packet_that_was_cut_is_refused(links):
    links[0].send(b" " * (MESSAGE_BYTES_MAX + 100))
    packet = receive(links[1])
    assert not packet.whole
    with pytest.raises(BadMessage) as refused:
        understood(packet, TO_SPAWNER, FIELDS)
    assert refused.value.code == "too_big"


def test_descriptors_that_we_have_no_room_for_refuse_their_request_only(links):
    null = os.open("/dev/null", os.O_RDONLY)
    outbox = Outbox(links[0], TO_AGENT)
    assert outbox.send(Launched("s", 1, {"seccomp": "on"}), request=9, descriptors=[null] * 4)
    assert outbox.send(Done(), request=10)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(null)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
    try:
        packet = receive(links[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not packet.whole
    with pytest.raises(BadMessage) as refused:
        understood(packet, TO_AGENT, FIELDS)
    assert refused.value.request == 9
    assert understood(receive(links[1]), TO_AGENT, FIELDS).request == 10
    os.close(null)


def test_a_message_that_is_too_large_is_refused_before_it_is_sent(links):
    with pytest.raises(BadMessage):
        Outbox(links[0], TO_SPAWNER).send(Kill("x" * MESSAGE_BYTES_MAX))
    assert Outbox(links[0], TO_SPAWNER).send(List(), request=1)
    assert understood(receive(links[1]), TO_SPAWNER, FIELDS).message == List()
