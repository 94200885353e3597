"""A hundred thousand frames of what programs send, and fields by chance for every operation: refused with the codes of the page, and nothing else."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from msgspec import inspect
from runink.clients.api_requests import Call
from runink.clients.cluster import API
from runink.errors import Forbidden, Invalid, NotFound, ProtocolViolation
from runink.identity.principals import Principal, PrincipalKind
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import Asked, Operation, fields_of
from runink.operations.decoding import converted, path_among
from runink.services.parties import Party, Said
from runink.testing.wire_rounds import Rounds
from runink.testing.wire_served import SERVED
from runink.testing.wire_values import Values
from runink.trust.programs import ProgramGuest
from runink.wire.codec import decode, encode, take

FRAMES = 100_000
CALLS = 300  # of each operation
ANN = Principal(PrincipalKind.USER, "corp:ann")


def test_frames_of_programs_by_chance_meet_refusals_and_nothing_else():
    rounds = Rounds({API: SERVED[API]}, Random(11))
    while rounds.frames < FRAMES:
        rounds.one()
    assert rounds.said["taken"] > FRAMES / 20
    assert rounds.said["refused bad_value"] > FRAMES / 50
    assert rounds.said["Greeted"] > FRAMES / 200


def fields_by_chance(values: Values, operation: Operation) -> Any:
    """Return fields of an operation: right ones, nearly right ones, or none at all."""
    right = {
        name: values.of(inspect.type_info(field.type))
        for name, field in fields_of(operation.request).items()
        if field.required or values.random.random() < 0.5
    }
    for _ in range(values.random.randrange(4)):
        right = values.changed(right)
    return right


@pytest.mark.parametrize("operation", CATALOG, ids=lambda one: one.name)
def test_fields_by_chance_are_converted_or_refused_with_what_is_wrong(operation: Operation):
    values, said = Values(Random(operation.name)), Counter[str]()
    for _ in range(CALLS):
        body = encode({"operation": operation.name, "fields": fields_by_chance(values, operation)})
        try:
            call = take(decode(body), Call)
        except ProtocolViolation as error:
            said[error.code] += 1
            continue
        try:
            path = path_among(operation, call.fields)
            asked = converted(operation, path, call.fields)
        except (NotFound, Invalid) as error:
            said[error.code] += 1
        else:
            said["asked"] += 1
            assert isinstance(asked, Asked)
    assert said.keys() <= {"asked", "not_found", "invalid", "bad_value", "bad_encoding"}


def test_whatever_a_program_sends_reaches_the_desk_in_its_name_or_nobody():
    guest = ProgramGuest(party := Party(ANN), "token", now_ms=lambda: 0)
    values, said = Values(Random(5)), Counter[str]()
    kinds = [(target, name) for target, of in SERVED.items() for name in of]
    for _ in range(20_000):
        target, name = values.random.choice(kinds)
        if values.random.random() < 0.2:
            target = values.plain()
        try:
            guest.check(target, name)
        except Forbidden:
            said["refused"] += 1
            continue
        assert (target, name in SERVED[API]) == (API, True)
        delivered = guest.examine(target, values.message(SERVED[API][name]))
        assert isinstance(delivered, Said)
        assert delivered.party is party
        said["delivered"] += 1
    assert said["refused"] > said["delivered"] > 100
