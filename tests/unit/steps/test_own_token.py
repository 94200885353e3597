"""The token of a slice as its steps ask for it: over the link to the agent, once as long as it is good."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from runink.client.credentials import Bearer, token_of
from runink.documents import SliceContext
from runink.errors import Refused, RuninkError, to_wire
from runink.jobs import TokenGiven, TokenWanted
from runink.own_token import OWN_TOKEN, RENEW_S, Given, OwnToken
from runink.steps.asking import Asking
from runink.testing.contexts import running_as, with_token
from runink.wire.blocking import BlockingChannel
from runink.wire.codec import encode
from runink.wire.frames import frame


class Signed:
    """Gives a token after another, each good for 900 s."""

    def __init__(self) -> None:
        self.now_s = 10.0
        self.times = 0
        self.anew = False

    def ask(self, anew: bool) -> Given:  # noqa: FBT001 - as it is asked
        self.times += 1
        self.anew = anew
        return Given(f"t{self.times}", 900.0)


@contextmanager
def link(*answers: TokenGiven, wait_s: float = 15.0) -> Iterator[tuple[Asking, socket.socket]]:
    """Yield who asks, and the agent's end, where these answers are given already."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"".join(frame(encode(answer)) for answer in answers))
        yield Asking(BlockingChannel(ours.fileno()), ours.fileno(), wait_s=wait_s), theirs


def test_it_is_asked_for_once_and_again_before_it_ends() -> None:
    own, signed = OwnToken(), Signed()
    own.comes_by(signed.ask, lambda: signed.now_s)
    assert [own.text(), own.text()] == ["t1", "t1"]
    signed.now_s += 900.0 - RENEW_S - 1
    assert own.text() == "t1"
    signed.now_s += 1
    assert own.text() == "t2"


def test_one_that_was_refused_is_not_given_again() -> None:
    own, signed = OwnToken(), Signed()
    own.comes_by(signed.ask, lambda: signed.now_s)
    assert (own.text(), signed.anew) == ("t1", False)
    assert (own.text("t1"), signed.anew) == ("t2", True)
    assert own.text("t1") == "t2", "another thread has had it replaced"


def test_a_context_is_what_a_client_bears() -> None:
    with running_as() as given, with_token("mine"):
        assert isinstance(given, Bearer)
        assert token_of(given, "") == "mine"


def test_a_process_that_is_no_slice_is_told_so() -> None:
    with running_as() as given, pytest.raises(Refused) as caught:
        given.token()
    assert caught.value.code == "no_agent"
    assert "with_token" in caught.value.hint


def test_a_child_of_the_slice_has_no_part_in_its_link() -> None:
    own, signed = OwnToken(), Signed()
    own.comes_by(signed.ask, lambda: signed.now_s)
    assert own.text() == "t1"
    child = os.fork()
    if not child:
        try:
            own.text()
        except Refused as error:
            os._exit(7 if error.code == "no_agent" else 1)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_test_of_a_step_gives_it_one() -> None:
    with running_as() as given, with_token("mine"):
        assert given.token() == "mine"
    with pytest.raises(Refused):
        OWN_TOKEN.text()


def test_an_answer_to_an_earlier_question_is_passed_over() -> None:
    with link(TokenGiven("old", 900.0, number=0), TokenGiven("new", 800.0, number=1)) as (one, _):
        assert one.token() == Given("new", 800.0)


def test_what_is_asked_says_nothing_of_who_asks() -> None:
    assert TokenWanted.__struct_fields__ == ("number", "anew")


def test_a_refusal_is_raised_as_the_agent_has_it() -> None:
    refused = to_wire(Refused("nobody signs", code="no_tokens", hint="begin one"))
    with link(TokenGiven(error=refused, number=1)) as (one, _), pytest.raises(Refused) as caught:
        one.token()
    assert (caught.value.code, caught.value.hint) == ("no_tokens", "begin one")


def test_an_agent_that_is_silent_or_gone_is_told() -> None:
    with link(wait_s=0.0) as (one, _), pytest.raises(RuninkError) as silent:
        one.token()
    with link() as (one, theirs):
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(RuninkError) as gone:
            one.token()
    assert (silent.value.code, gone.value.code) == ("agent_silent", "link_lost")


def test_a_token_is_shown_by_nothing_that_carries_it() -> None:
    shown = [Given("secret", 9.0), TokenGiven("secret", 9.0), SliceContext.token]
    assert not any("secret" in repr(one) for one in shown)
