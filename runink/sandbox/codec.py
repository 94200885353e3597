"""Messages between agent, spawner and fork server as bytes: encode them, and refuse whatever is not exactly a message.

A message is one packet of a SOCK_SEQPACKET socket; its body is one JSON object in UTF-8:

    kind           which message (a name of the table that the receiver allows)
    request        the asker's number, given back in the answer; 0 where nothing is answered
    descriptors    how many descriptors came with the packet (SCM_RIGHTS)
    ...            exactly the fields of that kind: none missing, none more, each of its type and within its limits

The spawner holds more power than whoever writes to it, so nothing is guessed or converted: a duplicate key, NaN, a boolean where
a number belongs, a lone surrogate or a zero character in a text are refused.  Standard library only (no msgspec): both
processes must stay small, and the fork server must load nothing that a slice did not ask for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MESSAGE_BYTES_MAX = (
    64 << 10
)  # a third of the kernel's default socket buffer: a packet is sent whole or not at all
REQUEST_MAX = (1 << 53) - 1  # what every JSON reader holds exactly
DESCRIPTORS_MAX = 250  # the kernel takes 253 with one packet
ENVELOPE = frozenset({"kind", "request", "descriptors"})


class BadMessage(Exception):
    """What came is not a message. `code` is stable, `request` is the asker's number where that could be read."""

    def __init__(self, code: str, text: str, *, request: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.request = request


class Check(NamedTuple):
    """What a field may hold: in words, and as a test."""

    says: str
    holds: Callable[[Any], bool]


class Received(NamedTuple):
    """A message with the number that its answer must carry."""

    request: int
    message: Any


def whole(low: int, high: int) -> Check:
    """Return the check of a whole number within bounds."""
    return Check(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def number(low: float, high: float) -> Check:
    """Return the check of a number within bounds."""
    return Check(
        f"a number from {low} to {high}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


def text(length_max: int, *, empty: bool = False) -> Check:
    """Return the check of a text: of Unicode that can be encoded, without zero characters."""
    least = 0 if empty else 1
    return Check(
        f"a text of {least} to {length_max} characters",
        lambda value: type(value) is str and least <= len(value) <= length_max and _is_clean(value),
    )


def texts(count_max: int, length_max: int) -> Check:
    """Return the check of a list of texts."""
    item = text(length_max)
    return Check(
        f"at most {count_max} texts of 1 to {length_max} characters",
        lambda value: (
            type(value) is list and len(value) <= count_max and all(map(item.holds, value))
        ),
    )


def pairs(count_max: int, length_max: int) -> Check:
    """Return the check of a list of pairs of texts."""
    item = text(length_max)
    return Check(
        f"at most {count_max} pairs of texts of 1 to {length_max} characters",
        lambda value: (
            type(value) is list
            and len(value) <= count_max
            and all(
                type(pair) is list and len(pair) == 2 and all(map(item.holds, pair))
                for pair in value
            )
        ),
    )


def mapping(count_max: int, length_max: int) -> Check:
    """Return the check of an object with texts as values, as an environment is."""
    name, content = text(255), text(length_max, empty=True)
    return Check(
        f"at most {count_max} names with texts of at most {length_max} characters",
        lambda value: (
            type(value) is dict
            and len(value) <= count_max
            and all(name.holds(key) and "=" not in key for key in value)
            and all(map(content.holds, value.values()))
        ),
    )


FLAG = Check("true or false", lambda value: type(value) is bool)


def encode(kind: str, message: Any, *, request: int = 0, descriptors: int = 0) -> bytes:
    """Return the packet's body, in the shortest JSON there is: what came in a packet also fits into the one that sends it on.

    Raises BadMessage if it is larger than a packet may be, or holds a text that cannot be encoded.
    """
    whole_message = {"kind": kind, "request": request, "descriptors": descriptors}
    document = json.dumps(
        whole_message | message._asdict(), separators=(",", ":"), ensure_ascii=False
    )
    try:
        body = document.encode()
    except UnicodeEncodeError as error:
        raise BadMessage("invalid_message", f"{kind}: a text that is not Unicode") from error
    if len(body) > MESSAGE_BYTES_MAX:
        raise BadMessage("too_big", f"{kind}: {len(body)} bytes, at most {MESSAGE_BYTES_MAX}")
    return body


def decode(
    body: bytes, kinds: Mapping[str, type], fields: Mapping[type, Mapping[str, Check]], *, came: int
) -> Received:
    """Return the message in `body`, of one of `kinds`, beside which `came` descriptors arrived. Raises BadMessage."""
    document = _parsed(body)
    request = document.get("request")
    if type(request) is not int or not 0 <= request <= REQUEST_MAX:
        raise BadMessage(
            "invalid_message", f"request is not a whole number from 0 to {REQUEST_MAX}"
        )
    kind = document.get("kind")
    if type(kind) is not str or kind not in kinds:
        raise BadMessage("invalid_message", f"no such kind: {str(kind)[:40]!r}", request=request)
    checks = fields[kinds[kind]]
    problem = _problem(document, checks)
    if problem:
        raise BadMessage("invalid_message", f"{kind}: {problem}", request=request)
    if document["descriptors"] != came:
        problem = f"{kind}: says {document['descriptors']} descriptors, {came} came"
        raise BadMessage("descriptor_count", problem, request=request)
    return Received(request, kinds[kind](**{name: document[name] for name in checks}))


def _is_clean(value: str) -> bool:
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(body: bytes) -> dict[str, Any]:
    if len(body) > MESSAGE_BYTES_MAX:
        raise BadMessage("too_big", f"more than {MESSAGE_BYTES_MAX} bytes")
    try:
        document = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise BadMessage("invalid_message", f"not JSON: {str(error)[:200]}") from error
    if type(document) is not dict:
        raise BadMessage("invalid_message", "not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _problem(document: dict[str, Any], checks: Mapping[str, Check]) -> str:
    """Say what is wrong with the fields, or nothing."""
    names = document.keys() - ENVELOPE
    if missing := checks.keys() - names:
        return f"{min(missing)} is missing"
    if unknown := names - checks.keys():
        return f"unknown field {min(unknown)[:40]!r}"
    if not whole(0, DESCRIPTORS_MAX).holds(document.get("descriptors")):
        return f"descriptors is not a whole number from 0 to {DESCRIPTORS_MAX}"
    wrong = next((name for name in checks if not checks[name].holds(document[name])), None)
    return f"{wrong} is not {checks[wrong].says}" if wrong else ""
