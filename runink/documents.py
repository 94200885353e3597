"""The document that a slice is given: all that it is told, as one value in sealed memory, and by no other way.

    version      of this layout; a slice refuses any other, so that a node's older processes never guess what a newer agent means
    job          what to do: nodes with their contracts and actions, ports, folders, places of descriptors (`jobs.py`)
    context      what its steps may know: who they are, the pipeline's parameters, the trace, what they are held to
    stores       how to reach the object stores that its sources and sinks need, with their keys; steps are not shown them
    masking_key  the herd's key, of a slice whose sinks have masks that are made with it; steps are not shown it

Written as MessagePack, by the agent for one slice, when it is launched.  It stands in no record, no log and no environment, and hides in every
`repr`, because it may hold keys.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from runink.errors import Broken, Refused
from runink.jobs import SliceJob
from runink.masking_keys import NO_KEY, MaskingKey
from runink.names import HerdName, RunId, SliceId
from runink.networks import Network
from runink.notice import NOTICE
from runink.own_token import OWN_TOKEN
from runink.stores import NO_STORES, Stores

VERSION: Final = 1

_Traceparent = Annotated[str, Meta(pattern="^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")]


class SliceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a slice is held to: its network, what its pipeline limits it to, and what its herd's slices may use together on the node. 0 is no limit.

    `grace_ms` is how long it goes on when it is told to give way.
    """

    network: Network = Network.NONE
    cpu_m: int = 0
    memory_bytes: int = 0
    processes: int = 0
    disk_bytes: int = 0
    io_bytes_per_s: int = 0
    herd_cpu_m: int = 0
    herd_memory_bytes: int = 0
    grace_ms: int = 0


class SliceContext(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """What the steps of a slice may know (`runink.context()`). Nothing of it is secret: the token is not in it, and is asked for.

    `parameters` are the pipeline's, `@param` with its default or the value of `--param`. `traceparent` is the W3C trace context of this attempt: the trace is
    the run, the span this attempt of the slice.
    """

    herd: HerdName
    pipeline: str
    run: RunId
    slice: SliceId
    attempt: int
    node: str
    traceparent: _Traceparent
    parameters: dict[str, str] = {}
    settings: SliceSettings = SliceSettings()

    @property
    def stopping(self) -> bool:
        """Say whether this slice was told to give way: it is stopped when its grace is over, if it has not ended by then."""
        return NOTICE.has_come

    @property
    def stopping_in_s(self) -> float | None:
        """Return how much of the grace is left, seconds; nothing as long as it was not told."""
        return NOTICE.left_s(self.settings.grace_ms / 1000)

    def wait_stopping(self, within_s: float) -> bool:
        """Wait until this slice is told to give way, but no longer than that, and say whether it was."""
        return NOTICE.wait(within_s)

    def token(self, refused: str = "") -> str:
        """Return a token by which this attempt of the slice is known to the API of its cluster, good for some minutes: ask again for each use, which costs nothing while it is good.
        `refused` is one that was not taken, and another comes in its place: so this context is itself what a client of `runink.client` bears (`token=context()`).

        Raises Refused (`no_tokens` where nobody signs any, `no_agent` in a process that is no slice), Forbidden (`no_such_attempt`: it is over), Unavailable.
        """
        return OWN_TOKEN.text(refused)


class SliceDocument(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """See the module's docstring."""

    version: int = msgspec.field(default_factory=lambda: VERSION)  # made, so never left out
    job: SliceJob
    context: SliceContext
    stores: Stores = NO_STORES
    masking_key: MaskingKey = NO_KEY


class _Versioned(msgspec.Struct):
    """What every version has."""

    version: int


class DocumentBytes(bytes):
    """An encoded document. Whatever shows it, shows its size alone."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<document of {len(self)} bytes>"

    __str__ = __repr__


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(SliceDocument).decode
_OURS: Final = b"\xa7version" + bytes(
    [VERSION]
)  # behind the map's head, as we write it: then the one look is spared
_version: Final = msgspec.msgpack.Decoder(_Versioned).decode


def encode_document(document: SliceDocument) -> DocumentBytes:
    """Return the document as the slice gets it."""
    return DocumentBytes(_encode(document))


def decode_document(data: bytes) -> SliceDocument:
    """Return the document. Raises Refused (`document_version`), Broken (`document_malformed`); neither shows what stands in it."""
    try:
        version = VERSION if data.startswith(_OURS, 1) else _version(data).version
        if version == VERSION:
            return _decode(data)
    except msgspec.MsgspecError as error:
        text = f"what this slice was told cannot be read: {error}"
        raise Broken(text, code="document_malformed") from None
    raise Refused(
        f"this slice reads documents of version {VERSION}, and was given one of version {version}",
        code="document_version",
        hint="parts of the node are of different releases: stop the node, and start it again",
    )
