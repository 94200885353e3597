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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

MESSAGE_BYTES_MAX = (
    64 << 10
)  # a third of the kernel's default socket buffer: a packet is sent whole or not at all
REQUEST_MAX = (1 << 53) - 1  # what every JSON reader holds exactly
DESCRIPTORS_MAX = 250  # the kernel takes 253 with one packet


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
    try:
        body = "".join(_pieces(whole_message | message._asdict(), 0)).encode()
    except UnicodeEncodeError as error:
        raise BadMessage("invalid_message", f"{kind}: a text that is not Unicode") from error
    if len(body) > MESSAGE_BYTES_MAX:
        raise BadMessage("too_big", f"{kind}: {len(body)} bytes, at most {MESSAGE_BYTES_MAX}")
    return body


def numeric(kind: str, fields: Sequence[str], *, descriptors: int = 0) -> str:
    """Return what `encode` makes of messages of this kind, whose fields are numbers, but for the numbers: the left side of a `%`.

    Whoever must not touch much memory (`calls.py`) encodes by it.
    """
    ours = f'"kind":"{kind}","request":0,"descriptors":{descriptors}'
    return "{" + ",".join([ours, *(f'"{field}":%r' for field in fields)]) + "}"


def decode(
    body: bytes, kinds: Mapping[str, type], fields: Mapping[type, Mapping[str, Check]], *, came: int
) -> Received:
    """Return the message in `body`, of one of `kinds`, beside which `came` descriptors arrived. Raises BadMessage."""
    document = _parsed(body)
    request = document.pop("request", None)
    if type(request) is not int or not 0 <= request <= REQUEST_MAX:
        raise BadMessage(
            "invalid_message", f"request is not a whole number from 0 to {REQUEST_MAX}"
        )
    kind, said = document.pop("kind", None), document.pop("descriptors", None)
    if type(kind) is not str or kind not in kinds:
        raise BadMessage("invalid_message", f"no such kind: {str(kind)[:40]!r}", request=request)
    problem = _problem(document, said, fields[kinds[kind]])
    if problem:
        raise BadMessage("invalid_message", f"{kind}: {problem}", request=request)
    if said != came:
        problem = f"{kind}: says {said} descriptors, {came} came"
        raise BadMessage("descriptor_count", problem, request=request)
    return Received(request, kinds[kind](**document))


def _is_clean(value: str) -> bool:
    if "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(body: bytes) -> dict[str, Any]:
    if len(body) > MESSAGE_BYTES_MAX:
        raise BadMessage("too_big", f"more than {MESSAGE_BYTES_MAX} bytes")
    try:
        text = body.decode()
        document, end = _read(text, 0)
    except (ValueError, RecursionError) as error:
        raise BadMessage("invalid_message", f"not JSON: {str(error)[:200]}") from error
    except StopIteration as stopped:
        text = f"nothing of the kind at character {stopped.value}"
        raise BadMessage("invalid_message", f"not JSON: {text}") from stopped
    if end != len(text):
        raise BadMessage("invalid_message", f"not JSON: more behind it at character {end}")
    if type(document) is not dict:
        raise BadMessage("invalid_message", "not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refused(constant: Any) -> None:
    raise ValueError(f"{constant} is not a number")


# Made once: making them takes longer than most messages.
# What a JSONEncoder makes for each text anew, which takes two thirds of its time. What is not ASCII stays as it is.
_pieces: Final[Callable[[Any, int], tuple[str, ...]]] = json.encoder.c_make_encoder(  # type: ignore[attr-defined] # not told of, as `scan_once`
    None, _refused, json.encoder.encode_basestring, None, ":", ",", False, False, True
)  # fmt: skip
_decoder: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refused)
_read: Final[Callable[[str, int], tuple[Any, int]]] = _decoder.scan_once  # type: ignore[attr-defined] # without its search for spaces at both ends
_count: Final = whole(0, DESCRIPTORS_MAX)


def _problem(document: dict[str, Any], descriptors: Any, checks: Mapping[str, Check]) -> str:
    """Say what is wrong with the fields, or nothing."""
    if document.keys() != checks.keys():
        missing, unknown = checks.keys() - document.keys(), document.keys() - checks.keys()
        return f"{min(missing)} is missing" if missing else f"unknown field {min(unknown)[:40]!r}"
    if not _count.holds(descriptors):
        return f"descriptors is not {_count.says}"
    for name, check in checks.items():
        if not check.holds(document[name]):
            return f"{name} is not {check.says}"
    return ""
