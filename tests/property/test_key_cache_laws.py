"""What holds of a cache of keys whatever a provider does and whoever asks."""

from __future__ import annotations

import json

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from runink.errors import Invalid
from runink.identity.key_cache import UNKNOWN_MAX, Deny, Fetch, KeyCache, Use, Wait, Why
from runink.identity.providers import CacheTimes, Provider
from runink.names import ProviderId

ISSUER = "https://login.example.com"
TIMES = CacheTimes(fresh_s=100, stale_s=1_000, pause_s=10)
PROVIDER = Provider(id=ProviderId("x"), issuer=ISSUER, client_id="y", times=TIMES)
DISCOVERY = msgspec.json.encode({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
KIDS = st.sampled_from("abcd")


def build(document: bytes) -> frozenset[str]:
    try:
        return frozenset(json.loads(document))
    except ValueError as error:
        raise Invalid("no keys") from error


class Caching(RuleBasedStateMachine):
    """A cache, a provider whose keys change, and the fetch that is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = KeyCache(PROVIDER, build)
        self.now_s = 0.0
        self.keys: frozenset[str] = frozenset("a")
        self.fetch: Fetch | None = None
        self.begun_s: list[float] = []
        self.published_s: dict[str, float] = {"a": 0.0}  # when a key was last there
        self.taken: tuple[frozenset[str], float] | None = None  # what came last, and when

    def begin(self, fetch: Fetch) -> None:
        assert self.fetch is None, "one look at a time"
        self.fetch = fetch
        self.begun_s.append(self.now_s)

    @rule(seconds=st.sampled_from([0, 1, 5, 10, 30, 81, 100, 500, 1_000]))
    def time_goes_by(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(keys=st.frozensets(KIDS))
    def the_provider_changes_its_keys(self, keys: frozenset[str]) -> None:
        self.keys = keys

    @rule(kid=KIDS)
    def somebody_asks(self, kid: str) -> None:
        was_looking = self.fetch is not None
        found = self.cache.ask(kid, self.now_s)
        match found:
            case Use(held, ahead):
                assert self.taken is not None
                keys, at_s = self.taken
                # Never a key that the last fetch did not bring, and never older than the limit.
                assert kid in keys
                assert held.ring == keys
                assert self.now_s - at_s < TIMES.stale_s
                if ahead is not None:
                    self.begin(ahead)
            case Fetch():
                self.begin(found)
            case Wait():
                assert was_looking
            case Deny(why):
                known = self.taken is not None and self.now_s - self.taken[1] < TIMES.stale_s
                # What is there and may be used is never denied.
                assert not (known and self.taken is not None and kid in self.taken[0])
                assert known or why is Why.UNREACHABLE

    @precondition(lambda self: self.fetch is not None)
    @rule()
    def an_answer_comes(self) -> None:
        assert self.fetch is not None
        is_discovery = self.fetch.url.endswith("openid-configuration")
        body = DISCOVERY if is_discovery else json.dumps(sorted(self.keys)).encode()
        self.fetch = self.cache.got(body, self.now_s)
        assert (self.fetch is not None) == is_discovery
        if not is_discovery:
            self.taken = (self.keys, self.now_s)

    @precondition(lambda self: self.fetch is not None)
    @rule(body=st.sampled_from([b"", b"{}", b"no"]))
    def rubbish_comes(self, body: bytes) -> None:
        self.fetch = None
        if self.cache.got(body, self.now_s) is None and self.cache.last_failure == "":
            self.taken = (frozenset(), self.now_s)  # {} is no key, but a document of this test

    @precondition(lambda self: self.fetch is not None)
    @rule()
    def the_provider_does_not_answer(self) -> None:
        self.cache.failed("it hangs")
        self.fetch = None

    @invariant()
    def looks_are_a_pause_apart(self) -> None:
        pairs = zip(self.begun_s, self.begun_s[1:], strict=False)
        assert all(later - earlier >= TIMES.pause_s for earlier, later in pairs)

    @invariant()
    def nobody_else_is_told_to_fetch(self) -> None:
        assert self.cache.is_looking == (self.fetch is not None)

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.cache._unknown) <= UNKNOWN_MAX


TestCaching = Caching.TestCase
TestCaching.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
