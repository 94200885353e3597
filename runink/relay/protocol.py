"""What an agent tells its relay: packets of one MessagePack value over a Unix socket of the node's state folder, and a descriptor with each.

    agent to relay   Write    carry what is written into this pipe to the relay there       the pipe's read end
                     Read     write what comes for this edge into this pipe                 the pipe's write end
                     Count    say what you have done so far
                     Leave    end at once, with all streams
    relay to agent   Welcome  who I am, as soon as a connection is there
                     Counted  what a Count has asked for, with its number

The edge's name holds its run and its gang, so with the attempt no other stream has it.  The token is made of the key that the scheduler gave the gang with its placement: who does not know the
placement cannot open the stream, and who knows that of an earlier attempt has another key.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

from runink.dag import Link
from runink.observe.metrics import Reading

PACKET_BYTES_MAX: Final = 16 << 10
KEY_BYTES: Final = 32
ASKING: Final = (
    3  # descriptors that a relay is started with, see `process.py`: where its agent asks
)
LISTENING: Final = 4  # and where other relays come in


class RelaySettings(msgspec.Struct, frozen=True):
    """What a relay is started with. `trust` is the node's trust folder, empty where others show the `secret`.

    `orphan_s` is how long it goes on without its agent, if there are streams.
    """

    node: str
    address: str
    trust: str = ""
    secret: bytes = b""
    orphan_s: float = 0.0

    @property
    def digest(self) -> str:
        """Two starts with equal settings may share a relay."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()


class Write(msgspec.Struct, frozen=True, tag=True):
    """`name` is whose certificate it must be there (the node's, `certificates/names.py`), `at` its address."""

    edge: str
    attempt: int
    token: bytes
    name: str
    at: str
    port: int


class Read(msgspec.Struct, frozen=True, tag=True):
    edge: str
    attempt: int
    token: bytes


class Leave(msgspec.Struct, frozen=True, tag=True):
    pass


class Count(msgspec.Struct, frozen=True, tag=True):
    """`number` comes back with the answer: one that came too late for its question is none to the next."""

    number: int


class Counted(msgspec.Struct, frozen=True):
    """A few dozen readings: far less than a packet takes."""

    number: int
    readings: tuple[Reading, ...]


class Welcome(msgspec.Struct, frozen=True):
    pid: int
    digest: str


Told = Write | Read | Count | Leave


def edge_name(run: str, gang: str, link: Link) -> str:
    """Return what both ends call an edge. None of the parts holds a slash but the role, which comes last."""
    return f"{run}/{gang}/{link.source}/{link.target}/{link.role}"


def token_of(key: str, edge: str, attempt: int) -> bytes:
    """Return what opens the stream of an edge. `key` is hexadecimal, from the gang's placement."""
    return hmac.digest(bytes.fromhex(key), f"{edge}/{attempt}".encode(), "sha256")
