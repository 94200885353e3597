"""The kinds of frames. On the wire each is an array: its number, then its fields in this order.

    no   kind      from        when                          meaning
    1    Hello     connecting  first, at once                who I am, what I speak, what you must keep to
    2    HelloAck  accepting   answer to Hello               the version that counts, what you must keep to
    3    Tell      both        open                          a message for an actor; takes one credit
    4    Ask       both        open                          a request to an actor; takes a place until it is answered
    5    Answer    both        open                          the answer to the Ask with this number
    6    Failure   both        open                          the error that is the answer to the Ask with this number
    7    Credit    both        open                          so many Tells have found their place: as many more may be sent
    8    Ping      both        open                          are you there?
    9    Pong      both        open                          yes
    10   Close     both        ever                          the last frame: why I close

`number` counts the Tells and Asks of one direction: 1, 2, 3, without gaps.  `target` is the actor's name on the node, `type` the name of the message's type there, `body`
the message itself.  `within_ms` is the time that is left, not a date: clocks differ.  `traceparent` is W3C trace context, version 00, or empty.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

import msgpack  # type: ignore[import-untyped] # it ships no types
import msgspec
from msgspec import Meta

from runink.errors import ProtocolViolation, WireError
from runink.wire.codec import Raw, convert, decode, is_small
from runink.wire.frames import Body

VERSION_MIN: Final = 1
VERSION_MAX: Final = 1

WITHIN_MS_MAX: Final = 86_400_000  # a day; whoever waits longer should ask again

_Name = Annotated[str, Meta(max_length=256)]  # of an actor or a type
_Traceparent = Annotated[str, Meta(pattern="^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?$")]
_Number = Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
_Version = Annotated[int, Meta(ge=1, le=255)]


class Limits(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the other side must keep to: bytes of a frame's body, Asks that are not answered, Tells without new credit."""

    frame_bytes_max: Annotated[int, Meta(ge=1024, lt=1 << 32)]
    asks_max: Annotated[int, Meta(ge=1, le=1 << 20)]
    tells_max: Annotated[int, Meta(ge=1, le=1 << 20)]


class Hello(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=1,
    forbid_unknown_fields=True,
):
    """`herd` is the tenant that this connection speaks for, empty for the cluster's own parts; `credentials` prove it, empty where the transport does."""

    version_min: _Version
    version_max: _Version
    node: _Name
    herd: _Name
    credentials: Annotated[bytes, Meta(max_length=16 << 10)]
    limits: Limits


class HelloAck(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=2,
    forbid_unknown_fields=True,
):
    version: _Version
    node: _Name
    limits: Limits


class Tell(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=3,
    forbid_unknown_fields=True,
):
    number: _Number
    target: _Name
    type: _Name
    body: Any
    traceparent: _Traceparent = ""


class Ask(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=4,
    forbid_unknown_fields=True,
):
    number: _Number
    target: _Name
    type: _Name
    body: Any
    within_ms: Annotated[int, Meta(ge=0, le=WITHIN_MS_MAX)]
    traceparent: _Traceparent = ""


class Answer(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=5,
    forbid_unknown_fields=True,
):
    number: _Number
    body: Any


class Failure(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=6,
    forbid_unknown_fields=True,
):
    number: _Number
    error: WireError


class Credit(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=7,
    forbid_unknown_fields=True,
):
    tells: Annotated[int, Meta(ge=1, le=1 << 20)]


class Ping(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=8,
    forbid_unknown_fields=True,
):
    pass


class Pong(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=9,
    forbid_unknown_fields=True,
):
    pass


class Close(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    tag_field="kind",
    tag=10,
    forbid_unknown_fields=True,
):
    error: WireError


Frame = Hello | HelloAck | Tell | Ask | Answer | Failure | Credit | Ping | Pong | Close

# A union would do, but msgspec takes it apart anew for every value, which costs more than all the rest of the decoding.
_KINDS: Final[dict[Any, Any]] = {
    kind.__struct_config__.tag: kind
    for kind in (Hello, HelloAck, Tell, Ask, Answer, Failure, Credit, Ping, Pong, Close)
}


class _RawTell(Tell, frozen=True, tag=3):
    body: Raw


class _RawAsk(Ask, frozen=True, tag=4):
    body: Raw


class _RawAnswer(Answer, frozen=True, tag=5):
    body: Raw


_SHORT: Final = {
    kind.__struct_config__.tag: msgspec.msgpack.Decoder(kind).decode
    for kind in (_RawTell, _RawAsk, _RawAnswer)
}


def read_frame(data: Body) -> Frame:
    """Return the frame that these bytes are. Raises ProtocolViolation.

    Bodies of Tells, Asks and Answers, nearly all that comes, stay `Raw` until it is known what they should be: `codec.take` makes a message of them.
    """
    read = _SHORT.get(data[1]) if len(data) > 1 else None
    if read is not None and is_small(data):
        try:
            return read(data)  # type: ignore[return-value] # it is one of the three
        except (msgspec.MsgspecError, RecursionError, ValueError):
            pass  # the long way says what is wrong
    return frame_of(decode(data))


class Head(NamedTuple):
    """How a frame begins. Kinds that are not for an actor have no target and no type."""

    kind: int
    number: int
    target: str = ""
    type: str = ""


def head_of(data: bytes) -> Head | None:
    """Return how a frame begins, of which these are the first bytes, or nothing if it is none of a Tell, an Ask or an Answer. The rest is not looked at."""
    reader = msgpack.Unpacker(
        raw=False,
        max_str_len=len(data),
        max_bin_len=0,
        max_array_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    reader.feed(data)
    try:
        reader.read_array_header()
        kind, number = reader.unpack(), reader.unpack()
        if kind not in _SHORT or type(number) is not int:
            return None
        if kind == Answer.__struct_config__.tag:
            return Head(kind, number)
        target, of_type = reader.unpack(), reader.unpack()
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        return None
    is_named = type(target) is str and type(of_type) is str
    return Head(kind, number, target, of_type) if is_named else None


def frame_of(value: Any) -> Frame:
    """Return the frame that a plain value is. Raises ProtocolViolation."""
    number = value[0] if type(value) is list and value else None
    kind = _KINDS.get(number) if type(number) is int else None
    if kind is None:
        raise ProtocolViolation(f"no frame begins with {str(number)[:40]}", code="bad_value")
    try:
        return convert(value, kind)  # type: ignore[no-any-return] # it is one of the kinds
    except ProtocolViolation as error:
        text = f"{kind.__name__}: {error.text}"
        raise ProtocolViolation(text, code=error.code, hint=error.hint) from error
