"""How the keys of one provider are held: a machine without a clock and without a network, which says what to do.

    there is                          for a key in it                       for a key that is not
    no keys, or older than `stale_s`  Fetch, then as below                  the same
    keys younger than `fresh_s`       Use; with a Fetch beside it in the    Fetch, then Use or Deny
                                      last fifth of that time
    older keys, the last look came    Fetch, then as above                  the same
    back
    older keys, the last look failed  Use, with a Fetch beside it           Fetch, then Use or Deny
    older keys, within the pause      Use                                   Deny

and over all of that:

  * one look at a time: who asks meanwhile is told to Wait, or to Use what there is where it would be used anyway;
  * from the beginning of one look to the next there is `pause_s`, whoever asks for what: until then what is not there is denied.  That is what a storm of tokens
    with made-up keys costs the provider, and what a new key waits at the worst;
  * a key that was asked for and that a look after that has not found is denied without a look for `UNKNOWN_S`, unless it comes meanwhile: who has such a token
    and goes on trying leaves the looks to others;
  * what a look brings takes the place of all that was there, at once: a key that the provider has taken away is denied from then on.

A look is two fetches, the provider's discovery document (unless it is younger than DISCOVERY_S) and its keys.  Whatever comes back is checked by this machine: a
document that is refused counts as a look that failed, and what was there stays.

Times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from runink.errors import RuninkError
from runink.identity.providers import Discovery, Provider, read_discovery

AHEAD: Final = 0.8  # of `fresh_s`: from then on keys are fetched before anybody waits for them
DISCOVERY_S: Final = 3_600.0  # endpoints move once in years; a look that fails reads them anew
UNKNOWN_S: Final = (
    30.0  # a provider of several machines may sign with a key before all of them tell of it
)
UNKNOWN_MAX: Final = 1_024
KID_CHARACTERS_MAX: Final = 256  # a longer one is no key's id, and is denied without a look


class Ring(Protocol):
    """The keys of a document, prepared. It says whether it has a key."""

    def __contains__(self, kid: object, /) -> bool: ...


R = TypeVar("R", bound=Ring)


class Why(Enum):
    UNKNOWN_KEY = "unknown_key"  # the provider was asked lately, and has not got it
    UNREACHABLE = "unreachable"  # there are no keys, or none that are new, and it cannot be asked


class _Look(Enum):
    NONE = "none"
    DISCOVERY = "discovery"
    KEYS = "keys"


class Held(msgspec.Struct, Generic[R], frozen=True):
    """Keys as they were fetched: the JWKS document as it came, and its ring. `version` grows by 1 with each other document."""

    version: int
    document: bytes
    ring: R
    fetched_s: float


class Fetch(msgspec.Struct, frozen=True):
    """Fetch this, and give what comes to `got`, or else call `failed`. Nobody else is told to until then."""

    url: str


class Use(msgspec.Struct, Generic[R], frozen=True):
    """Use these keys. `ahead`, where it is there, is fetched meanwhile, and nobody waits for it."""

    held: Held[R]
    ahead: Fetch | None = None


class Wait(msgspec.Struct, frozen=True):
    """Somebody is at it: ask again when that is over."""


class Deny(msgspec.Struct, frozen=True):
    why: Why


class KeyCache(Generic[R]):
    """The keys of one provider. `build` makes a ring of a JWKS document, and raises an error of ours for one that it does not take."""

    def __init__(self, provider: Provider, build: Callable[[bytes], R]) -> None:
        self._provider = provider
        self._times = provider.times
        self._build = build
        self._discovery: Discovery | None = None
        self._discovered_s: float | None = None  # nothing where it is to be read anew
        self._version = 0
        self._held: Held[R] | None = None
        self._looked_s: float | None = None  # when the last look began
        self._look = _Look.NONE  # what is being fetched
        self._has_failed = False
        self._missed: set[str] = set()  # what this look is for
        self._unknown: OrderedDict[str, float] = OrderedDict()  # until when each is denied
        self.looks = 0
        self.failures = 0
        self.last_failure = ""

    @property
    def held(self) -> Held[R] | None:
        return self._held

    @property
    def is_looking(self) -> bool:
        return self._look is not _Look.NONE

    def discovery(self) -> Discovery | None:
        """Return what the provider said last about itself, however old, nothing before it did."""
        return self._discovery

    def ask(self, kid: str | None, now_s: float) -> Use[R] | Fetch | Wait | Deny:
        """Say what to do for a token that names this key; without one, for whoever wants the keys that there are."""
        held = self._usable(now_s)
        if held is None:
            return self._look_or(Deny(Why.UNREACHABLE), now_s)
        if kid is None or kid in held.ring:
            return self._known(held, now_s)
        if len(kid) > KID_CHARACTERS_MAX or self._unknown.get(kid, now_s) > now_s:
            return Deny(Why.UNKNOWN_KEY)
        denied = Deny(Why.UNREACHABLE if self._has_failed else Why.UNKNOWN_KEY)
        found = self._look_or(denied, now_s)
        if not isinstance(found, Deny) and len(self._missed) < UNKNOWN_MAX:
            self._missed.add(kid)
        return found

    def look(self, now_s: float) -> Fetch | None:
        """Begin a look that nobody's token asks for, where the pause is over."""
        return None if self.is_looking else self._begun(now_s)

    def got(self, body: bytes, now_s: float) -> Fetch | None:
        """Take what was fetched; return what is fetched next, nothing where the look is over."""
        assert self.is_looking, "nobody was told to fetch"
        try:
            if self._look is _Look.DISCOVERY:
                self._discovery = read_discovery(self._provider, body)
                self._discovered_s = now_s
                self._look = _Look.KEYS
                return Fetch(self._discovery.jwks_uri)
            ring = self._build(body)
        except RuninkError as error:
            self.failed(error.text)
            return None
        self._take(body, ring, now_s)
        return None

    def failed(self, why: str) -> None:
        """End the look without keys. What there is stays, and the next look begins with discovery."""
        assert self.is_looking, "nobody was told to fetch"
        self._look = _Look.NONE
        self._missed.clear()
        self._has_failed = True
        self._discovered_s = None
        self.failures += 1
        self.last_failure = why

    def _known(self, held: Held[R], now_s: float) -> Use[R] | Fetch | Wait:
        age_s = now_s - held.fetched_s
        if age_s < self._times.fresh_s * AHEAD:
            return Use(held)
        if age_s < self._times.fresh_s or self._has_failed:
            return Use(held, None if self.is_looking else self._begun(now_s))
        if self.is_looking:
            return Wait()
        return self._begun(now_s) or Use(held)

    def _look_or(self, denied: Deny, now_s: float) -> Fetch | Wait | Deny:
        if self.is_looking:
            return Wait()
        return self._begun(now_s) or denied

    def _begun(self, now_s: float) -> Fetch | None:
        """Begin a look, unless the last one began less than a pause ago."""
        assert not self.is_looking, "one look at a time"
        if self._looked_s is not None and now_s < self._looked_s + self._times.pause_s:
            return None
        self._looked_s = now_s
        self.looks += 1
        known_s = self._discovered_s
        if self._discovery is not None and known_s is not None and now_s < known_s + DISCOVERY_S:
            self._look = _Look.KEYS
            return Fetch(self._discovery.jwks_uri)
        self._look = _Look.DISCOVERY
        return Fetch(self._provider.discovery_url)

    def _usable(self, now_s: float) -> Held[R] | None:
        held = self._held
        if held is not None and now_s - held.fetched_s >= self._times.stale_s:
            self._held = held = None
        return held

    def _take(self, document: bytes, ring: R, now_s: float) -> None:
        if self._held is None or self._held.document != document:
            self._version += 1
        self._held = Held(self._version, document, ring, now_s)
        self._look = _Look.NONE
        self._has_failed = False
        self.last_failure = ""
        for kid in self._missed:
            if kid not in ring:
                self._remember_unknown(kid, now_s)
        self._missed.clear()

    def _remember_unknown(self, kid: str, now_s: float) -> None:
        self._unknown.pop(kid, None)
        self._unknown[kid] = now_s + UNKNOWN_S
        if len(self._unknown) > UNKNOWN_MAX:
            self._unknown.popitem(last=False)
