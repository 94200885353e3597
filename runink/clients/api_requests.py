"""What programs and people ask of a cluster by the wire: the operations that HTTP has, under the same names, and streams part by part.

    request   answer                                                        raises
    Call      Called: a document, a page, a stream that is open, nothing    what the operation does, with the codes that HTTP tells
    Next      Part: what has come since the part before                     what has ended the stream; NotFound (`no_such_stream`)
    Leave     nothing, also where there is no such stream                   -

Who asks is said by the link, and in no message.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from runink.runtime.actor import Request
from runink.wire.frames import FRAME_BYTES_MAX

STREAMS_MAX: Final = 1 << 53  # a number that every language counts exactly

_Stream = Annotated[int, Meta(ge=1, le=STREAMS_MAX)]


class Called(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call came to. `kind` is `document`, `page`, `events`, `content` or `nothing`.

    `document` is there for the first two: what the operation answers, or a page of it with `items`, `revision` and `next`.
    `stream` is there for `events` and `content`: its number, for Next. `media_type` and `tag` are those of content.
    `is_again`: this is what an earlier call with the same key was answered with.
    """

    kind: str
    document: Any = None
    stream: int = 0
    media_type: str = ""
    tag: str = ""
    is_again: bool = False


class Call(Request[Called], frozen=True, omit_defaults=True):
    """Have an operation carried out. `fields` are all fields of its request by name, those that HTTP has in the path and in the query among them.

    `if_match` goes with operations that are conditional: the revision that was read, in digits, or `*`. `key` is an idempotency key.
    """

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    operation: Annotated[str, Meta(max_length=64)]
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    if_match: Annotated[str, Meta(max_length=20)] = ""
    key: Annotated[str, Meta(max_length=255)] = ""


class Happened(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event. One of the kind `bookmark` says that nothing has happened up to its revision that the stream would tell."""

    revision: int
    kind: str
    data: Any = None


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a stream with this number. It has `events` or `data`, or neither if nothing has come for a while. `is_over`: it is the last."""

    part: int
    events: tuple[Happened, ...] = ()
    data: bytes = b""
    is_over: bool = False


class Next(Request[Part], frozen=True):
    """Ask for a part of a stream, 1 for the first. The one before is forgotten with that; asked again for the same one, the same is answered."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    stream: _Stream
    part: _Stream


class Leave(Request[None], frozen=True):
    """Close a stream."""

    stream: _Stream


ApiRequest = Call | Next | Leave
