"""How consensus is told to people: what transcripts do not reach."""

from __future__ import annotations

import pytest
from runink.raft.describe import describe_data, describe_entry, describe_message, describe_ready
from runink.raft.messages import LOCAL_APPLY_THREAD, Entry, EntryType, Message, MessageType
from runink.raft.reads import ReadState
from runink.raft.ready import Ready


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", '""'),
        (b"put a", '"put a"'),
        (b'"\\\n\t\a', r'"\"\\\n\t\a"'),
        (b"\x00\x1b\x7f", r'"\x00\x1b\x7f"'),
        (b"\xff\xc3", r'"\xff\xc3"'),
        ("käse ☃ 🦊".encode(), '"käse ☃ 🦊"'),
        ("\u200b\U000e0001".encode(), r'"\u200b\U000e0001"'),
    ],
)
def test_data_is_told_as_text_as_far_as_it_is_text(data: bytes, told: str) -> None:
    assert describe_data(data) == told


def test_an_entry_whose_change_cannot_be_read_is_told_with_the_reason() -> None:
    entry = Entry(2, 7, EntryType.EntryConfChange, b"\xc1")
    assert describe_entry(entry).startswith("2/7 EntryConfChange MessagePack data is malformed")


def test_a_member_is_told_in_hexadecimal_and_nobody_as_none() -> None:
    message = Message(MessageType.MsgHup, to=255)
    assert describe_message(message) == "None->ff MsgHup Term:0 Log:0/0"
    to_thread = Message(MessageType.MsgStorageApply, LOCAL_APPLY_THREAD, 10)
    assert describe_message(to_thread) == "a->ApplyThread MsgStorageApply Term:0 Log:0/0"


def test_a_ready_without_anything_is_empty_and_reads_are_told_by_their_bytes() -> None:
    assert describe_ready(Ready()) == "<empty Ready>"
    ready = Ready(read_states=(ReadState(7, b"ab"), ReadState(8, b"")))
    assert describe_ready(ready) == "Ready MustSync=false:\nReadStates [{7 [97 98]} {8 []}]\n"
