"""When a call is made again: by what went wrong, and whether a second one does harm."""

from __future__ import annotations

import pytest
from runink.client.repeats import Failure, may_repeat, pause_before, told
from runink.errors import (
    Broken,
    Conflict,
    LinkLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    RuninkError,
    TimedOut,
    Unavailable,
)

REFUSED = Failure(LinkLost("x", code="not_connected"))
UNTRUSTED = Failure(LinkLost("x", code="tls_failed"))
LOST = Failure(LinkLost("x"), is_sent=True)


def answered(error: RuninkError) -> Failure:
    return Failure(error, is_sent=True, is_answered=True)


@pytest.mark.parametrize(
    ("failure", "of_any", "of_repeatable"),
    [
        (REFUSED, True, True),
        (UNTRUSTED, False, False),
        (LOST, False, True),
        (answered(Overloaded("x", code="rate_limited")), True, True),
        (answered(Overloaded("x", code="too_many_failures")), False, False),
        (answered(Unavailable("x")), False, True),
        (answered(TimedOut("x")), False, True),
        (answered(OutcomeUnknown("x")), False, True),
        (answered(Conflict("x", code="in_flight")), False, True),
        (answered(Conflict("x")), False, False),
        (answered(NotFound("x")), False, False),
        (answered(Broken("x")), False, False),
    ],
)
def test_a_call_is_made_again_where_that_does_no_harm(
    failure: Failure, *, of_any: bool, of_repeatable: bool
) -> None:
    assert may_repeat(failure, is_repeatable=False) is of_any
    assert may_repeat(failure, is_repeatable=True) is of_repeatable


def test_pauses_grow_and_end_growing_and_are_at_least_what_the_server_says() -> None:
    pauses = [pause_before(LOST, tried=tried, dice=1.0) for tried in range(1, 30)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(pauses) == 5.0
    assert pause_before(LOST, tried=1, dice=0.0) == 0.05
    assert pause_before(Failure(Unavailable("x"), retry_after_s=7), tried=1, dice=1.0) == 7


def test_what_is_lost_on_the_way_may_have_happened_unless_it_does_not_matter() -> None:
    assert isinstance(told(LOST, is_repeatable=False), OutcomeUnknown)
    assert told(LOST, is_repeatable=True) is LOST.error
    assert told(REFUSED, is_repeatable=False) is REFUSED.error
    late = answered(TimedOut("x"))
    assert told(late, is_repeatable=False) is late.error
