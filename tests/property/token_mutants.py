"""Mutated tokens, from a seed: good ones with a few characters changed, and ones whose header or claims were changed and then signed by the issuer's own key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from runink.testing.tokens import (
    AUDIENCE,
    EC_KID,
    NOW_S,
    RSA_KID,
    URL,
    Issuer,
    claims,
    ec_header,
    header,
)

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é"
TIMES = [NOW_S + at for at in (-90000, -86400, -31, -30, -29, 0, 29, 30, 31, 300, 86400, 90000)]
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    7.5,
    1e300,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "0",
    "x" * 300,
    "a\nb",
    "\ud83d",
    [],
    [None],
    [[]],
    {},
    {"a": {"a": [{}]}},
]
OF_HEADERS: dict[str, list[Any]] = {
    "alg": ["ES256", "RS256", "HS256", "none", "ES384", "es256", "ES256RS256", ["ES256"]],
    "kid": [EC_KID, RSA_KID, "ec-2", [EC_KID], EC_KID + " "],
    "typ": ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "runink-slice+jwt"],
    "crit": [["exp"], ["b64"], [], "exp"],
    "b64": [True, False],
    "x5t": ["AAAA"],
    "cty": ["JWT"],
    "jku": ["https://evil.example/keys"],
    "x5c": [["AAAA"]],
    "zip": ["DEF"],
    "foo": ["bar"],
}
OF_CLAIMS: dict[str, list[Any]] = {
    "iss": [URL, URL + "/", [URL], "https://evil.example"],
    "aud": [AUDIENCE, [AUDIENCE], ["x", AUDIENCE], [AUDIENCE, 7], AUDIENCE + "/", ["x"]],
    "sub": ["ada", "ä" * 255, ["ada"]],
    "exp": [*TIMES, str(NOW_S + 300), NOW_S + 0.5],
    "iat": [*TIMES, str(NOW_S), NOW_S - 0.5],
    "nbf": [*TIMES, str(NOW_S), NOW_S - 0.5],
    "jti": ["t1", 7, ["t1"]],
    "groups": ["a b", ["a", "b"]],
    "nonce": ["n"],
}


class Mutants:
    """Makes them. `good` are those that they are made of."""

    def __init__(self, issuer: Issuer, seed: int) -> None:
        self._issuer = issuer
        self._random = Random(seed)
        self.good = [
            issuer.token(claims(nbf=NOW_S - 5, aud=[AUDIENCE, "x"]), head)
            for head in (header(), ec_header())
        ]

    def of_characters(self, count: int) -> Iterator[str]:
        """Yield good tokens with one to three characters changed, cut or doubled."""
        random = self._random
        for _ in range(count):
            text = random.choice(self.good)
            for _ in range(random.randint(1, 3)):
                at = random.randrange(len(text) + 1)
                change: Callable[[str, int], str] = random.choice(
                    (self._put, self._cut, self._swap, self._double)
                )
                text = change(text, at)
            yield text

    def of_members(self, count: int) -> Iterator[str]:
        """Yield tokens of which one to three members of header or claims were changed, signed again."""
        random = self._random
        for _ in range(count):
            head, body = ec_header(), claims(nbf=NOW_S - 5)
            for _ in range(random.randint(1, 3)):
                if random.random() < 0.3:
                    self._change(head, OF_HEADERS)
                else:
                    self._change(body, OF_CLAIMS)
            yield self._signed(json.dumps(head).encode(), json.dumps(body).encode())

    def of_bytes(self, count: int) -> Iterator[str]:
        """Yield tokens of which a few bytes of header or claims were changed, signed again."""
        random = self._random
        for _ in range(count):
            head, body = (json.dumps(one).encode() for one in (ec_header(), claims()))
            if random.random() < 0.3:
                head = self._changed_bytes(head)
            else:
                body = self._changed_bytes(body)
            yield self._signed(head, body)

    def _signed(self, head: bytes, body: bytes) -> str:
        return self._issuer.token(body, head, key="ec")

    def _change(self, members: dict[str, Any], values: dict[str, list[Any]]) -> None:
        name = self._random.choice(list(values))
        what = self._random.random()
        if what < 0.15:
            members.pop(name, None)
        else:
            members[name] = self._random.choice(ODD if what < 0.5 else values[name])

    def _changed_bytes(self, data: bytes) -> bytes:
        random, changed = self._random, bytearray(data)
        for _ in range(random.randint(1, 2)):
            at = random.randrange(len(changed))
            changed[at] = random.choice(b'{}[]":,0123456789aeiE+-.\\/ \x00\xff')
        return bytes(changed)

    def _put(self, text: str, at: int) -> str:
        return text[:at] + self._random.choice(ALPHABET) + text[at + 1 :]

    def _cut(self, text: str, at: int) -> str:
        return text[:at] + text[at + self._random.randint(1, 4) :]

    def _swap(self, text: str, at: int) -> str:
        return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]

    def _double(self, text: str, at: int) -> str:
        return text[:at] + text[at : at + self._random.choice((1, 4, 40))] + text[at:]
