"""The directory: which actor has which address, on this node and on others.

    runi://node/actor   an actor of a node; `runi://node` may be left out for this node's own
    actor               1 to 256 characters, no slash

What others may send to an actor of ours is said where it is served: a message class or a union of them.  On the wire a message bears its
class's name, so names are unique among the classes of one actor; nothing else can be made of what comes from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from runink.errors import Invalid, LinkLost, NotFound, ProtocolViolation
from runink.runtime.envelope import Request, answer_type
from runink.runtime.ref import LocalRef, Ref
from runink.runtime.remote import RemoteRef
from runink.wire.codec import take
from runink.wire.frames import MESSAGE_BYTES_MAX
from runink.wire.link import Link
from runink.wire.sizes import bytes_max_of
from runink.wire.unknown import unknown_of

SCHEME: Final = "runi://"


@dataclass(frozen=True, slots=True)
class Served:
    """An actor of this node, and the messages that others may send to it, by name."""

    ref: LocalRef[Any]
    messages: Mapping[str, type]

    def message(self, kind: str, body: Any) -> Any:
        """Return a message that came as a plain value. Raises Invalid, which names what is wrong."""
        found = self.messages.get(kind)
        if found is None:
            raise Invalid(
                f"{self.ref.address} takes no message {kind!r}",
                code="unknown_message",
                hint=f"it takes {', '.join(sorted(self.messages))}",
            )
        try:
            return take(body, found)
        except ProtocolViolation as error:
            raise Invalid(f"{kind}: {error.text}", code="bad_message", hint=error.hint) from error


class Directory:
    """The directory of a node."""

    def __init__(self, node: str = "local") -> None:
        self.node = node
        self._actors: dict[str, Served] = {}
        self._links: dict[str, Link] = {}

    def serve(self, ref: LocalRef[Any], messages: Any) -> None:
        """Let others reach an actor by its address with these messages: a class, or a union of classes. Raises TypeError if they cannot be told apart."""
        assert ref.address
        assert "/" not in ref.address
        assert ref.address not in self._actors, f"{ref.address} is served already"
        self._actors[ref.address] = Served(ref, message_types(messages))

    def local(self, name: str) -> Served:
        """Return an actor of this node. Raises NotFound."""
        found = self._actors.get(name)
        if found is None:
            raise NotFound(f"there is no actor {name!r} on {self.node}", code="no_such_actor")
        return found

    def bytes_max(self, name: str, kind: str) -> int:
        """Return how large a message of this type may be that comes for an actor of ours, if it is served."""
        served = self._actors.get(name)
        found = None if served is None else served.messages.get(kind)
        return MESSAGE_BYTES_MAX if found is None else bytes_max_of(found)

    def attach(self, node: str, link: Link) -> None:
        """Reach a node by this link from now on; Refs that are there already use it too."""
        self._links[node] = link

    def detach(self, node: str, link: Link) -> None:
        """Take note that a link is over."""
        if self._links.get(node) is link:
            del self._links[node]

    def link(self, node: str) -> Link:
        """Return the link to a node. Raises LinkLost."""
        found = self._links.get(node)
        if found is None or found.is_over:
            raise LinkLost(f"there is no connection to {node}", hint="try again")
        return found

    def ref(self, address: str) -> Ref[Any]:
        """Return what reaches the actor with this address. Raises Invalid if it is none, NotFound for an actor that this node does not have."""
        node, name = parse_address(address, here=self.node)
        if node == self.node:
            return self.local(name).ref
        return RemoteRef(self._link_to(node), name, address=address)

    def _link_to(self, node: str) -> Callable[[], Link]:
        return lambda: self.link(node)


def parse_address(address: str, *, here: str) -> tuple[str, str]:
    """Return node and actor of an address. Raises Invalid."""
    node, slash, name = here, "/", address
    if address.startswith(SCHEME):
        node, slash, name = address.removeprefix(SCHEME).partition("/")
    if not (node and slash and name) or "/" in name:
        raise Invalid(
            f"{address!r} is not the address of an actor",
            code="invalid_address",
            hint="it looks like runi://node/actor",
        )
    return node, name


def message_types(messages: Any) -> dict[str, type]:
    """Return the classes of a union by name, all ready to be decoded. Raises TypeError if two have the same name, or one is no struct."""
    found: dict[str, type] = {}
    for kind in _flat(messages):
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            raise TypeError(f"{kind} is no message: messages are msgspec structs")
        if kind.__name__ in found:
            raise TypeError(f"two messages have the name {kind.__name__}")
        unknown_of(kind)  # made now, so that a type that cannot be decoded is found at the start
        if issubclass(kind, Request):
            unknown_of(answer_type(kind))
        found[kind.__name__] = kind
    return found


def _flat(messages: Any) -> list[Any]:
    if get_origin(messages) in (Union, UnionType):
        return [kind for part in get_args(messages) for kind in _flat(part)]
    return [messages]
