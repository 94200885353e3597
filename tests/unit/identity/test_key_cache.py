"""How keys are held, in virtual time: rotation with and without overlap, a provider that is down, made-up keys by the hundred."""

from __future__ import annotations

import json

import msgspec
import pytest
from runink.errors import Invalid
from runink.identity.key_cache import (
    DISCOVERY_S,
    UNKNOWN_MAX,
    UNKNOWN_S,
    Deny,
    Fetch,
    KeyCache,
    Use,
    Wait,
    Why,
)
from runink.identity.providers import FRESH_S, PAUSE_S, STALE_S, Provider
from runink.names import ProviderId

ISSUER = "https://login.example.com"
PROVIDER = Provider(id=ProviderId("x"), issuer=ISSUER, client_id="y")
DISCOVERY_URL = f"{ISSUER}/.well-known/openid-configuration"
KEYS_URL = f"{ISSUER}/keys"
DOCUMENT = msgspec.json.encode({"issuer": ISSUER, "jwks_uri": KEYS_URL})
UNKNOWN = Deny(Why.UNKNOWN_KEY)
UNREACHABLE = Deny(Why.UNREACHABLE)


def build(document: bytes) -> frozenset[str]:
    try:
        return frozenset(json.loads(document))
    except ValueError as error:
        raise Invalid("no keys") from error


def jwks(*kids: str) -> bytes:
    return json.dumps(kids).encode()


class World:
    """A cache, a provider that has keys or is down, and a clock."""

    def __init__(self) -> None:
        self.cache = KeyCache(PROVIDER, build)
        self.now_s = 1_000.0
        self.keys: tuple[str, ...] | None = ("a",)
        self.fetched: list[str] = []

    def answer(self, fetch: Fetch | None) -> None:
        """Do a look to its end, as the provider is now."""
        while fetch is not None:
            self.fetched.append(fetch.url)
            if self.keys is None:
                self.cache.failed("it is down")
                return
            body = DOCUMENT if fetch.url == DISCOVERY_URL else jwks(*self.keys)
            fetch = self.cache.got(body, self.now_s)

    def is_let_in(self, kid: str) -> bool | Why:
        """Say what comes of a token in the end; what is fetched ahead is fetched at once behind it."""
        for _ in range(3):
            match self.cache.ask(kid, self.now_s):
                case Use(held, ahead):
                    assert kid in held.ring
                    self.answer(ahead)
                    return True
                case Fetch() as fetch:
                    self.answer(fetch)
                case Deny(why):
                    return why
                case Wait():
                    raise AssertionError("nobody else is there")
        raise AssertionError("it goes on for ever")

    def later(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def warm() -> World:
    world = World()
    assert world.is_let_in("a") is True
    world.fetched.clear()
    return world


def test_the_first_token_fetches_discovery_and_keys_and_the_next_ones_nothing(world: World):
    assert world.is_let_in("a") is True
    assert world.fetched == [DISCOVERY_URL, KEYS_URL]
    for _ in range(100):
        world.later(1)
        assert world.is_let_in("a") is True
    assert world.cache.looks == 1


def test_who_asks_during_a_look_waits_for_it(world: World):
    fetch = world.cache.ask("a", world.now_s)
    assert fetch == Fetch(DISCOVERY_URL)
    assert [world.cache.ask(kid, world.now_s) for kid in ("a", "b")] == [Wait(), Wait()]
    fetch = world.cache.got(DOCUMENT, world.now_s)
    assert fetch == Fetch(KEYS_URL)
    assert world.cache.ask("a", world.now_s) == Wait()
    assert world.cache.got(jwks("a"), world.now_s) is None
    assert isinstance(world.cache.ask("a", world.now_s), Use)


def test_a_rotation_with_overlap_denies_nobody(warm: World):
    warm.later(PAUSE_S)
    warm.keys = ("b", "a")
    assert warm.is_let_in("b") is True
    assert warm.is_let_in("a") is True
    assert warm.fetched == [KEYS_URL]


def test_keys_are_fetched_ahead_while_the_old_ones_are_used(warm: World):
    warm.later(FRESH_S * 0.8)
    found = warm.cache.ask("a", warm.now_s)
    assert isinstance(found, Use)
    assert found.ahead == Fetch(KEYS_URL)
    # Nobody else is told to fetch, and nobody waits.
    assert warm.cache.ask("a", warm.now_s) == Use(found.held)
    warm.keys = ("b",)
    warm.answer(found.ahead)
    assert warm.is_let_in("b") is True


def test_a_key_that_was_taken_away_is_cut_as_soon_as_keys_are_fetched(warm: World):
    warm.keys = ("z",)
    assert warm.is_let_in("a") is True  # nobody has looked yet
    warm.later(PAUSE_S)
    assert warm.is_let_in("z") is True
    assert warm.is_let_in("a") is Why.UNKNOWN_KEY


def test_an_idle_cache_looks_before_it_lets_an_old_key_in(warm: World):
    warm.keys = ("z",)
    warm.later(FRESH_S)
    assert warm.is_let_in("a") is Why.UNKNOWN_KEY


def test_keys_serve_while_the_provider_is_down_and_not_for_ever(warm: World):
    warm.keys = None
    began_s = warm.now_s
    while warm.now_s < began_s + STALE_S:
        assert warm.is_let_in("a") is True
        warm.later(57)
    assert warm.is_let_in("a") is Why.UNREACHABLE
    assert warm.cache.held is None


def test_while_the_provider_hangs_only_the_first_one_waits(warm: World):
    warm.later(FRESH_S)
    hanging = warm.cache.ask("a", warm.now_s)
    assert isinstance(hanging, Fetch)
    assert warm.cache.ask("a", warm.now_s) == Wait()
    warm.later(5)
    warm.cache.failed("not within 5 s")
    for _ in range(10):
        warm.later(PAUSE_S)
        found = warm.cache.ask("a", warm.now_s)
        assert isinstance(found, Use)
        assert found.ahead is not None
        assert isinstance(warm.cache.ask("a", warm.now_s), Use)
        warm.cache.failed("not within 5 s")


def test_a_provider_that_is_down_is_asked_once_a_pause(warm: World):
    warm.keys = None
    warm.later(FRESH_S)
    for _ in range(100):
        assert warm.is_let_in("a") is True
        warm.later(1)
    assert warm.cache.failures == 10
    warm.keys = ("b", "a")
    warm.later(PAUSE_S)
    warm.is_let_in("a")
    assert warm.is_let_in("b") is True
    assert warm.cache.last_failure == ""


def test_after_a_provider_came_back_an_idle_cache_looks_first_again(warm: World):
    warm.keys = None
    warm.later(FRESH_S)
    assert warm.is_let_in("a") is True
    warm.keys = ("a",)
    warm.later(PAUSE_S)
    assert warm.is_let_in("a") is True
    warm.keys = ("z",)
    warm.later(FRESH_S)
    assert warm.is_let_in("a") is Why.UNKNOWN_KEY


def test_a_new_key_of_a_provider_that_is_down_is_no_unknown_one(warm: World):
    warm.keys = None
    warm.later(PAUSE_S)
    assert warm.is_let_in("b") is Why.UNREACHABLE
    warm.keys = ("b",)
    warm.later(PAUSE_S)
    assert warm.is_let_in("b") is True


def test_without_keys_a_provider_that_is_down_is_asked_once_a_pause(world: World):
    world.keys = None
    assert [world.is_let_in("a") for _ in range(50)] == [Why.UNREACHABLE] * 50
    assert world.cache.looks == 1
    world.keys = ("a",)
    assert world.is_let_in("a") is Why.UNREACHABLE
    world.later(PAUSE_S)
    assert world.is_let_in("a") is True


def test_500_tokens_with_made_up_keys_cause_one_fetch_at_most(warm: World):
    assert [warm.is_let_in(f"made up {n}") for n in range(500)] == [Why.UNKNOWN_KEY] * 500
    assert warm.fetched == []  # the first look was a moment ago
    warm.later(PAUSE_S)
    assert [warm.is_let_in(f"made up {n}") for n in range(500)] == [Why.UNKNOWN_KEY] * 500
    assert warm.fetched == [KEYS_URL]
    assert warm.is_let_in("a") is True


def test_500_tokens_at_once_wait_for_one_look_and_all_of_them_are_denied_after_it(warm: World):
    warm.later(PAUSE_S)
    found = [warm.cache.ask(f"made up {n}", warm.now_s) for n in range(500)]
    assert found == [Fetch(KEYS_URL), *[Wait()] * 499]
    assert isinstance(warm.cache.ask("a", warm.now_s), Use)
    warm.answer(Fetch(KEYS_URL))
    warm.later(PAUSE_S)
    assert [warm.cache.ask(f"made up {n}", warm.now_s) for n in range(500)] == [UNKNOWN] * 500


def test_a_key_that_comes_just_after_a_look_waits_for_the_pause_alone(warm: World):
    warm.later(PAUSE_S / 2)
    warm.keys = ("b", "a")
    assert warm.is_let_in("b") is Why.UNKNOWN_KEY
    warm.later(PAUSE_S / 2)
    assert warm.is_let_in("b") is True
    assert not warm.cache._unknown


def test_an_hour_of_made_up_keys_costs_a_look_a_pause_and_a_new_key_waits_no_longer(warm: World):
    for number in range(3_600):
        warm.is_let_in(f"made up {number}")
        warm.later(1)
    assert warm.cache.looks <= 1 + 3_600 / PAUSE_S
    warm.keys = ("new", "a")
    waited_s = 0
    while warm.is_let_in("new") is not True:
        warm.is_let_in(f"more {waited_s}")
        warm.later(1)
        waited_s += 1
    assert waited_s <= PAUSE_S


def test_a_key_that_was_just_not_found_is_denied_for_a_while_unless_it_comes_meanwhile(warm: World):
    warm.later(PAUSE_S)
    assert warm.is_let_in("b") is Why.UNKNOWN_KEY
    warm.keys = ("b", "a")  # a moment later, at one more of the provider's machines
    warm.later(PAUSE_S)
    assert warm.is_let_in("b") is Why.UNKNOWN_KEY
    assert warm.is_let_in("c") is Why.UNKNOWN_KEY  # which looks
    assert warm.is_let_in("b") is True


def test_a_key_that_was_just_not_found_is_looked_for_again_after_that(warm: World):
    warm.later(PAUSE_S)
    assert warm.is_let_in("b") is Why.UNKNOWN_KEY
    warm.keys = ("b",)
    warm.later(UNKNOWN_S)
    assert warm.is_let_in("b") is True


def test_keys_that_were_not_found_do_not_pile_up(warm: World):
    for storm in range(3):
        warm.later(PAUSE_S)
        for number in range(UNKNOWN_MAX * 2):
            warm.cache.ask(f"made up {storm} {number}", warm.now_s)
        assert len(warm.cache._missed) == UNKNOWN_MAX
        warm.answer(Fetch(KEYS_URL))
    assert len(warm.cache._unknown) == UNKNOWN_MAX
    assert not warm.cache._missed


def test_what_is_too_long_for_a_keys_id_is_denied_without_a_look(warm: World):
    warm.later(PAUSE_S)
    assert warm.is_let_in("x" * 257) is Why.UNKNOWN_KEY
    assert warm.fetched == []
    assert not warm.cache._unknown


@pytest.mark.parametrize("body", [b"no json", DOCUMENT.replace(b"login", b"other"), b""])
def test_a_document_that_is_refused_is_a_look_that_failed(world: World, body: bytes):
    fetch = world.cache.ask("a", world.now_s)
    assert isinstance(fetch, Fetch)
    assert world.cache.got(body, world.now_s) is None
    assert world.cache.ask("a", world.now_s) == UNREACHABLE
    assert world.cache.last_failure


def test_keys_that_are_refused_leave_those_that_are_there(warm: World):
    warm.later(PAUSE_S)
    fetch = warm.cache.ask("b", warm.now_s)
    assert fetch == Fetch(KEYS_URL)
    assert warm.cache.got(b"no json", warm.now_s) is None
    assert warm.is_let_in("a") is True
    assert warm.cache.held is not None
    assert warm.cache.held.version == 1


def test_discovery_is_read_anew_after_a_failure_and_once_an_hour(warm: World):
    warm.later(PAUSE_S)
    warm.keys = None
    warm.is_let_in("b")
    warm.keys = ("b",)
    warm.later(PAUSE_S)
    warm.is_let_in("b")
    assert warm.fetched == [KEYS_URL, DISCOVERY_URL, KEYS_URL]
    warm.fetched.clear()
    warm.later(DISCOVERY_S)
    warm.is_let_in("b")
    assert warm.fetched == [DISCOVERY_URL, KEYS_URL]


def test_a_version_is_that_of_the_document(warm: World):
    assert warm.cache.held is not None
    versions = []
    for keys in (("a",), ("b", "a"), ("b", "a"), ("c",)):
        warm.keys = keys
        warm.later(FRESH_S)
        warm.is_let_in(keys[0])
        versions.append(warm.cache.held.version)
    assert versions == [1, 2, 2, 3]
    assert warm.cache.held.document == jwks("c")


def test_a_look_may_be_asked_for_without_a_token(world: World):
    fetch = world.cache.look(world.now_s)
    assert fetch == Fetch(DISCOVERY_URL)
    assert world.cache.look(world.now_s) is None
    world.answer(fetch)
    assert world.cache.look(world.now_s) is None
    assert world.cache.is_looking is False
    world.later(PAUSE_S)
    assert world.cache.look(world.now_s) == Fetch(KEYS_URL)
