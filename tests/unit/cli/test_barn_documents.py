"""Transactions as documents, values as people see them, and the control plane's keys kept from them."""

from __future__ import annotations

import json

import pytest
from runink.barn.commands import (
    Applied,
    Compare,
    Delete,
    DeleteDone,
    DeleteRange,
    Is,
    Of,
    Operation,
    Put,
    PutDone,
    Range,
    RangeDone,
    Txn,
    TxnDone,
)
from runink.barn.keyvalue import KeyValue, Page
from runink.cli.barn_documents import answer_json, transaction_of
from runink.cli.barn_wording import refuse_own, value_json, value_text
from runink.errors import Forbidden, Invalid


def test_a_document_tells_a_transaction():
    document = {
        "if": [
            {"key": "/a", "version": 0},
            {"key": "/b", "to": "/c", "value": "x", "is": "<"},
            {"key": "/d", "prefix": True, "lease": 3, "is": "!="},
        ],
        "then": [
            {"put": "/a", "value": "1", "lease": 5, "before": True},
            {"put": "/b", "value_base64": "AP8="},
            {"get": "/b", "prefix": True, "limit": 3, "revision": 2},
            {"delete": "/c"},
            {"delete": "/d", "to": "/e", "before": True},
        ],
        "else": [{"txn": {"then": [{"get": "/a"}]}}],
    }
    assert transaction_of(json.dumps(document).encode()) == Txn(
        (
            Compare("/a", Of.VERSION, Is.EQUAL, 0),
            Compare("/b", Of.VALUE, Is.LESS, b"x", "/c"),
            Compare("/d", Of.LEASE, Is.UNEQUAL, 3, "/e"),
        ),
        (
            Put("/a", b"1", 5, want_before=True),
            Put("/b", b"\x00\xff"),
            Range("/b", "/c", revision=2, limit=3),
            Delete("/c"),
            DeleteRange("/d", "/e", want_before=True),
        ),
        (Txn((), (Range("/a", "/a\0"),)),),
    )


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"when": []}',
        b'{"if": [{"key": "/a"}]}',
        b'{"if": [{"key": "/a", "version": 1, "value": "x"}]}',
        b'{"if": [{"key": "/a", "version": 1, "is": "="}]}',
        b'{"then": [{}]}',
        b'{"then": [{"put": "/a"}]}',
        b'{"then": [{"put": "/a", "value": "1", "prefix": true}]}',
        b'{"then": [{"put": "/a", "value": "1", "value_base64": "AA=="}]}',
        b'{"then": [{"put": "/a", "value_base64": "%"}]}',
        b'{"then": [{"get": "/a", "delete": "/a"}]}',
    ],
)
def test_a_document_that_tells_none_is_refused_with_an_example(document: bytes):
    with pytest.raises(Invalid) as caught:
        transaction_of(document)
    assert caught.value.code == "txn_unreadable"
    assert '"then"' in caught.value.hint


def test_an_answer_is_a_document_operation_by_operation():
    item = KeyValue("/a", b"\xff", 1, 2, 2, 7)
    done = Applied(
        9,
        results=(
            PutDone(None),
            DeleteDone(1, (item,)),
            RangeDone(Page((), 9, 0)),
            TxnDone(succeeded=False, failed=(0,), results=()),
        ),
    )
    found = json.loads(json.dumps(answer_json(done)))
    assert found["results"][0] == {"put": {"before": None}}
    assert found["results"][1]["delete"]["before"][0]["value_base64"] == "/w=="
    assert found["results"][2] == {"get": {"items": [], "count": 0, "more": False}}
    assert found["results"][3] == {"txn": {"succeeded": False, "failed": [0], "results": []}}
    assert "results_gone" not in found
    assert answer_json(Applied(9, are_results_gone=True))["results_gone"] is True


def test_a_value_is_shown_on_one_line_whatever_is_in_it():
    assert value_text("é\n\x1b[31m".encode()) == r"é\n\x1b[31m"
    assert value_text(b"\xff\n") == r"\xff\n"
    assert value_text(b"x" * 3000).endswith("… 1000 more characters")
    assert value_json("é".encode()) == {"value": "é"}


@pytest.mark.parametrize(
    "operation",
    [
        Put("/runs/h/1", b""),
        Delete("/nodes/n"),
        DeleteRange("/", ""),
        DeleteRange("/a", "/z"),
        DeleteRange("/secrets/x", "/secrets/y"),
        Txn((), (), (Txn((), (Put("/herds/h", b""),)),)),
    ],
)
def test_the_control_planes_keys_are_not_written_by_accident(operation: Operation):
    with pytest.raises(Forbidden) as caught:
        refuse_own(operation, is_forced=False)
    assert caught.value.code == "own_keys"
    refuse_own(operation, is_forced=True)


@pytest.mark.parametrize(
    "operation",
    [
        Put("/mine/a", b""),
        Put("/runsheet", b""),
        DeleteRange("/mine/", "/mine0"),
        Txn((), (Range("/", ""), Put("/my", b""))),
    ],
)
def test_other_keys_are_anybodys(operation: Operation):
    refuse_own(operation, is_forced=False)
