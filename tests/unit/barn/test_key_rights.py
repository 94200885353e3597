"""What may be read and written of the Barn by who holds rights on the beginnings of some keys."""

from __future__ import annotations

import pytest
from runink.barn.commands import (
    Compact,
    Compare,
    Delete,
    DeleteRange,
    GrantLease,
    Is,
    NameCluster,
    Of,
    Put,
    Range,
    RevokeLease,
    SetLimits,
    Txn,
)
from runink.barn.keyvalue import Span, key_prefix, one_key
from runink.barn.rights import KeyRights
from runink.errors import Forbidden

RIGHTS = KeyRights("node n1", reads=("/runs/",), writes=("/nodes/n1", "/slices/"))


def test_what_lies_beneath_may_be_read_and_written():
    RIGHTS.check_reads([key_prefix("/runs/"), one_key("/runs/h/1"), key_prefix("/slices/h/")])
    RIGHTS.check_command(Put("/slices/h/r/s", b""))
    RIGHTS.check_command(Put("/nodes/n1", b""))
    RIGHTS.check_command(DeleteRange("/slices/h/", "/slices/h0"))
    RIGHTS.check_command(
        Txn(
            (Compare("/runs/h/r", Of.VERSION, Is.EQUAL, 1),),
            (Put("/slices/h/r/s", b""), Txn(then=(Delete("/slices/a"),))),
            (Range("/runs/", "/runs0"),),
        )
    )


@pytest.mark.parametrize(
    "span",
    [
        Span(""),
        Span("/runs/"),
        Span("/runs/", "/runs1"),
        Span("/run", "/runs/z"),
        one_key("/secrets/h/s/1"),
        key_prefix("/"),
    ],
)
def test_what_reaches_further_is_not_read(span: Span):
    with pytest.raises(Forbidden) as refused:
        RIGHTS.check_reads([one_key("/runs/a"), span])
    assert refused.value.code == "keys_forbidden"
    assert refused.value.text.startswith("node n1 may not read")


@pytest.mark.parametrize(
    "command",
    [
        Put("/runs/h/r", b""),
        Delete("/secrets/h/s"),
        Put("/nodes/n10", b""),
        Put("/nodes/n1/", b""),
        DeleteRange("/slices/", ""),
        DeleteRange("/slices/", "/t"),
        Txn(then=(Put("/slices/a", b""), Put("/bindings/x", b""))),
        Txn(otherwise=(Put("/bindings/x", b""),)),
        Txn(then=(Txn(otherwise=(Delete("/herds/h"),)),)),
        Txn(then=(Range("/secrets/", "/secrets0"),)),
        Txn((Compare("/secrets/h/s", Of.VALUE, Is.EQUAL, b"guess"),)),
        Txn((Compare("/runs/", Of.VERSION, Is.EQUAL, 0, ""),)),
    ],
)
def test_no_part_of_a_command_reaches_further(command: object):
    with pytest.raises(Forbidden) as refused:
        RIGHTS.check_command(command)
    assert refused.value.code == "keys_forbidden"


@pytest.mark.parametrize("command", [Compact(1), SetLimits(1), NameCluster("x"), GrantLease(5)])
def test_what_is_for_members_and_operators_is_refused(command: object):
    with pytest.raises(Forbidden) as refused:
        RIGHTS.check_command(command)
    assert refused.value.code == "command_forbidden"


def test_leases_are_for_who_may_have_them():
    holder = KeyRights("node n1", has_leases=True)
    holder.check_command(GrantLease(5))
    holder.check_command(RevokeLease(1))
