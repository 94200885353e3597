"""What one who asks may still ask, send and be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.identity.principals import Principal, PrincipalKind
from runink.operations.purses import STREAMS_LEAVE, Budget, Counting, Purse, TooOften, check_allowed

ANNA = Principal(PrincipalKind.USER, "corp:anna")
BERT = Principal(PrincipalKind.USER, "corp:bert")
ROOT = Principal(PrincipalKind.OPERATOR, "root")
BUDGET = Budget(
    requests_per_s=1,
    requests_burst=2,
    received_bytes_per_s=10,
    received_bytes_burst=100,
    sent_bytes_per_s=20,
    sent_bytes_burst=400,
)


class World:
    """Purses on a clock that the test moves."""

    def __init__(self, budget: Budget = BUDGET) -> None:
        self.now_s = 0.0
        self.counting = Counting(budget, clock=lambda: self.now_s, operator_times=3)

    def purse(self, principal: Principal | None = ANNA, address: str = "") -> Purse:
        return self.counting.purse(principal, address)


def refused(purse: Purse, *, is_sending: bool = True) -> int:
    """Return after how many seconds to come again, 0 for who is not refused."""
    try:
        purse.check_bytes(is_sending=is_sending)
    except TooOften as error:
        return error.retry_s if error.code == "rate_limited" else -1
    return 0


def test_who_has_sent_too_much_may_read_and_is_told_when_to_send_again() -> None:
    world = World()
    world.purse().has_received(150)  # a body that was let in is read to its end
    assert refused(world.purse(), is_sending=False) == 0
    assert refused(world.purse()) == 6, "what is owed comes back first"
    assert refused(world.purse(BERT)) == 0
    world.now_s = 5.0
    assert refused(world.purse()) == 1
    world.now_s = 6.0
    assert refused(world.purse()) == 0


def test_who_was_sent_too_much_may_ask_for_nothing_until_some_has_come_back() -> None:
    world = World()
    world.purse().has_sent(440)
    assert refused(world.purse(), is_sending=False) == 3
    world.now_s = 3.0
    assert refused(world.purse()) == 0


def test_a_stream_waits_before_requests_are_refused() -> None:
    world = World()
    purse = world.purse()
    purse.has_sent(300)
    assert purse.pause_s() == 0
    purse.has_sent(60)
    assert purse.pause_s() == pytest.approx(3), "until a quarter of the burst is there"
    assert refused(purse, is_sending=False) == 0
    world.now_s = 3.0
    assert purse.pause_s() == 0


def test_doors_count_together_and_callers_without_a_name_by_address() -> None:
    world = World()
    for purse in (world.purse(), world.purse(address="192.0.2.7")):
        assert purse.ask().is_allowed
    with pytest.raises(TooOften):
        check_allowed(world.purse(address="192.0.2.8").ask())
    assert world.purse(None, "192.0.2.7").ask().is_allowed
    assert world.purse(None, "192.0.2.7").ask().is_allowed
    assert not world.purse(None, "192.0.2.7").ask().is_allowed
    assert world.purse(None, "192.0.2.8").ask().is_allowed


def test_who_runs_the_server_has_many_times_as_much_and_not_without_end() -> None:
    world = World()
    asked = [world.purse(ROOT).ask() for _ in range(7)]
    assert [one.is_allowed for one in asked] == [True] * 6 + [False]
    assert asked[0].policy == '"default";q=6;w=2'
    world.purse(ROOT).has_received(299)
    assert refused(world.purse(ROOT)) == 0
    world.purse(ROOT).has_received(30)
    assert refused(world.purse(ROOT)) == 1
    named_alike = Principal(PrincipalKind.USER, "root")
    assert world.purse(named_alike).ask().policy == '"default";q=2;w=2'


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 80), st.booleans()), max_size=80),
)
def test_nobody_sends_or_is_sent_more_than_the_burst_the_rate_and_one_request(
    asked: list[tuple[float, int, bool]],
) -> None:
    world, received, sent = World(), 0, 0
    for pause_s, size, is_sending in asked:
        world.now_s += pause_s
        purse = world.purse()
        if refused(purse, is_sending=is_sending):
            continue
        if is_sending:
            purse.has_received(size)
            received += size
        else:
            purse.has_sent(size)
            sent += size
        assert received <= 100 + 10 * world.now_s + 80
        assert sent <= 400 + 20 * world.now_s + 80


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 90)), max_size=80))
def test_streams_that_wait_as_they_are_told_never_have_a_request_refused(
    chunks: list[tuple[float, int]],
) -> None:
    world = World()
    for later_s, size in chunks:
        purse = world.purse()
        world.now_s += purse.pause_s() + 1e-9
        purse.has_sent(size)
        assert refused(world.purse(), is_sending=False) == 0, f"{STREAMS_LEAVE} are left"
        world.now_s += later_s
