"""Errors as they cross a process boundary."""

from __future__ import annotations

import msgspec
import pytest
from runink.errors import (
    Conflict,
    Finding,
    Invalid,
    Refused,
    RuninkError,
    Unavailable,
    WireError,
    from_wire,
    to_wire,
)
from runink.pipes.edge import ProducerFailed
from runink.wire.codec import convert, decode, encode


@pytest.mark.parametrize("kind", [RuninkError, Conflict, Unavailable])
def test_an_error_comes_back_as_it_was(kind) -> None:
    error = from_wire(to_wire(kind("text", code="c", hint="h")))
    assert type(error) is kind
    assert (error.text, error.code, error.hint) == ("text", "c", "h")


def test_findings_travel_with_it() -> None:
    error = from_wire(to_wire(Invalid("x", findings=(Finding("D001", "wrong"),))))
    assert isinstance(error, Invalid)
    assert error.findings == (Finding("D001", "wrong"),)


def test_a_class_that_not_every_process_has_loaded_travels_as_the_kind_above_it() -> None:
    """Read as an unknown kind it would be no Unavailable any more, and nobody would try again."""
    wire = to_wire(ProducerFailed("gone"))
    assert (wire.kind, wire.code) == ("Unavailable", "producer_failed")


def test_a_text_that_utf8_cannot_hold_is_told_all_the_same() -> None:
    wire = to_wire(Conflict("caf\udce9 is there", hint="move \udce9"))
    assert (wire.text, wire.hint) == ("caf\\udce9 is there", "move \\udce9")
    assert from_wire(msgspec.msgpack.decode(msgspec.msgpack.encode(wire), type=WireError)).hint


def test_a_revision_travels_with_it_as_a_number() -> None:
    wire = to_wire(Refused("gone", code="compacted", revision=120))
    error = from_wire(convert(decode(encode(wire)), WireError))
    assert isinstance(error, Refused)
    assert (error.code, error.revision) == ("compacted", 120)


def test_an_error_without_a_revision_has_the_bytes_that_an_older_process_reads() -> None:
    for error in (Refused("x"), Conflict("x"), Unavailable("x")):
        told = msgspec.msgpack.decode(msgspec.msgpack.encode(to_wire(error)))
        assert set(told) == {"kind", "code", "text", "hint", "findings"}
    assert from_wire(WireError("Refused", "compacted", "of an older process")).revision == 0
