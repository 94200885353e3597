"""Commands are refused before they are in the log, with every reason."""

from __future__ import annotations

import msgpack
import pytest
from runink.barn.checks import (
    CLIENT_BYTES_MAX,
    KEY_BYTES_MAX,
    TXN_DEPTH_MAX,
    TXN_OPERATIONS_MAX,
    check_proposal,
    check_range,
)
from runink.barn.commands import (
    COMMAND_BYTES_MAX,
    VALUE_BYTES_MAX,
    Command,
    Compare,
    Delete,
    DeleteRange,
    GrantLease,
    Is,
    NameCluster,
    Of,
    Proposal,
    Put,
    Range,
    SetLimits,
    Txn,
    decode_proposal,
    encode_proposal,
)
from runink.errors import Invalid


def codes(command: Command, *, client: str = "c", sequence: int = 1) -> list[str]:
    try:
        check_proposal(Proposal(client, sequence, command))
    except Invalid as error:
        return [finding.code for finding in error.findings]
    return []


@pytest.mark.parametrize(
    "command",
    [
        Put("k" * KEY_BYTES_MAX, b""),
        Put("/a", bytes(VALUE_BYTES_MAX)),
        Txn((), tuple(Put(f"/{n}", b"") for n in range(TXN_OPERATIONS_MAX))),
        Txn((), (Put("/b", b""), DeleteRange("/c", "/d")), (Put("/b", b""),)),
        GrantLease(1000),
    ],
)
def test_what_just_keeps_the_limits_passes(command: Command):
    assert codes(command) == []


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (Put("", b""), ["invalid_key"]),
        (Put("é" * (KEY_BYTES_MAX // 2) + "e", b""), ["invalid_key"]),
        (Delete("\ud800"), ["invalid_key"]),
        (Put("/a", bytes(VALUE_BYTES_MAX + 1)), ["value_too_large"]),
        (
            Txn((), tuple(Put(f"/{n}", b"") for n in range(TXN_OPERATIONS_MAX + 1))),
            ["txn_too_large"],
        ),
        (Txn((), (Put("/a", b""), Delete("/a"))), ["duplicate_key"]),
        (Txn((), (Put("/a", b""), DeleteRange("/", "/b"))), ["duplicate_key"]),
        (Txn((), (Put("/a", b""), DeleteRange("/", ""))), ["duplicate_key"]),
        (Txn((Compare("/a", Of.VALUE, Is.EQUAL, 1),)), ["invalid_compare"]),
        (Txn((Compare("/a", Of.VERSION, Is.EQUAL, b""),)), ["invalid_compare"]),
        (GrantLease(10), ["invalid_ttl"]),
        (SetLimits(quota_bytes=5), ["invalid_limit"]),
        (SetLimits(history_changes=-1), ["invalid_limit"]),
        (NameCluster(""), ["invalid_cluster"]),
        (DeleteRange("\ud800", ""), ["invalid_key"]),
        (Txn((Compare("\ud800", Of.VERSION, Is.EQUAL, 0, ""),)), ["invalid_key"]),
        (Txn((), (Range("/a", "", limit=-1),)), ["invalid_range"]),
        (Txn((), (Txn((), (Put("", b""),)),)), ["invalid_key"]),
    ],
)
def test_what_breaks_a_limit_is_refused(command: Command, found: list[str]):
    assert codes(command) == found


def test_all_findings_are_told_at_once():
    assert codes(Txn((), (Put("", b""), Delete("/a"), Delete("/a")))) == [
        "invalid_key",
        "duplicate_key",
    ]


def test_a_client_has_a_short_id_and_counts_from_one():
    assert codes(Delete("/a"), client="c" * (CLIENT_BYTES_MAX + 1)) == ["invalid_client"]
    assert codes(Delete("/a"), sequence=0) == ["invalid_sequence"]
    assert codes(Delete("/a"), client="", sequence=0) == []


def test_an_entry_larger_than_the_log_takes_is_refused():
    puts = tuple(Put(f"/{n}", bytes(VALUE_BYTES_MAX)) for n in range(3))
    with pytest.raises(Invalid, match=str(COMMAND_BYTES_MAX)):
        encode_proposal(Proposal("c", 1, Txn((), puts)))


def test_a_proposal_is_an_array_that_any_messagepack_reader_reads():
    proposal = Proposal("c", 7, Txn((Compare("/a", Of.VALUE, Is.EQUAL, b"1"),), (Put("/a", b"2"),)))
    payload = encode_proposal(proposal)
    assert decode_proposal(payload) == proposal
    assert msgpack.unpackb(payload) == [
        "c",
        7,
        ["txn", [["/a", "value", "==", b"1", None]], [["put", "/a", b"2", 0, False]], []],
        0,
    ]


def test_an_entry_of_an_older_log_is_read():
    entry = ["c", 7, ["txn", [["/a", "value", "==", b"1"]], [["put", "/a", b"2", 0]], []]]
    expected = Txn((Compare("/a", Of.VALUE, Is.EQUAL, b"1"),), (Put("/a", b"2"),))
    assert decode_proposal(msgpack.packb(entry)) == Proposal("c", 7, expected)


def nested(depth: int) -> Txn:
    return Txn((), (nested(depth - 1),) if depth > 1 else (Put("/a", b""),))


def test_transactions_stand_in_each_other_so_deep_and_no_deeper():
    assert codes(nested(TXN_DEPTH_MAX)) == []
    assert codes(nested(TXN_DEPTH_MAX + 1)) == ["txn_too_deep"]


def test_both_branches_of_a_transaction_within_may_change_a_key_but_nothing_around_it():
    inner = Txn((), (Put("/a", b"1"),), (Delete("/a"),))
    assert codes(Txn((), (inner, Put("/b", b"")))) == []
    assert codes(Txn((), (inner, Put("/a", b"")))) == ["duplicate_key"]
    assert codes(Txn((), (inner, DeleteRange("/", "")))) == ["duplicate_key"]
    assert codes(Txn((), (inner, Range("/a", "")))) == []


def test_operations_are_counted_in_all_branches_together():
    many = Txn((), tuple(Delete(f"/{n}") for n in range(TXN_OPERATIONS_MAX)))
    others = Txn((), tuple(Delete(f"/x{n}") for n in range(TXN_OPERATIONS_MAX)))
    assert "txn_too_large" in codes(Txn((), (many, others)))


def test_a_read_that_means_nothing_is_refused():
    with pytest.raises(Invalid):
        check_range(Range("/a", "", revision=-1))
    with pytest.raises(Invalid):
        check_range(Range("\ud800", ""))
