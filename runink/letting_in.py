"""Who lets people and programs in at a member: the board that knows who may what, what keeps it, and the actor that signs tokens.

    access        follows the Barn, and tells the board                        `actors/access_follower.py`
    identity      signs tokens, takes them back, asks providers                `actors/identity.py`
                  or hands that on to a node that does (`runi identity`)       `actors/identity_elsewhere.py`

The same for a cluster of one process, which has them beside its Barn, and for that node.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import Final

from runink.actors.access_board import AccessBoard
from runink.actors.access_follower import AccessFollower
from runink.actors.identity import Identity
from runink.actors.identity_elsewhere import FetchedThere, IdentityElsewhere
from runink.actors.known_people import KnownPeople
from runink.actors.people import knowing
from runink.actors.signing_keys import Means
from runink.clients.barn import BarnClient
from runink.clients.cluster import IDENTITY
from runink.clients.identity_requests import IdentityRequest
from runink.clock import now_ms
from runink.runtime.ref import LocalRef, Ref
from runink.runtime.supervisor import ChildSpec, Supervisor
from runink.secrets.seal import RootKey

ACCESS: Final = "access"
Roots = Callable[[], tuple[RootKey, ...]]
MESSAGES_MAX: Final = 1024  # programs that begin together ask for tokens together


@dataclass(frozen=True, slots=True)
class LettingIn:
    """Who is known, and who signs."""

    board: AccessBoard
    identity: LocalRef[IdentityRequest]


def issuer_of(cluster: str) -> str:
    """Return what a cluster calls itself in tokens, and whom they are for. Its keys tell it from another of the same name."""
    return f"urn:runink:{cluster}"


async def start_letting_in(
    supervisor: Supervisor,
    client: Callable[[], BarnClient],
    *,
    cluster: str,
    roots: Roots,
    elsewhere: Sequence[Ref[IdentityRequest]] = (),
) -> LettingIn:
    """Start both, each with a client of the Barn. `roots` returns what keys that sign are sealed by; where it cannot, tokens of others are checked, and none signed.

    `elsewhere` are the nodes that sign and ask providers, if these are others; then nothing is signed here.
    """
    if elsewhere:
        return await _letting_in_there(supervisor, client, cluster, elsewhere)
    people = KnownPeople()
    board = AccessBoard(client(), people, issuer=issuer_of(cluster), now_ms=now_ms)
    means = Means(now_ms, os.urandom, roots)

    def identity() -> Identity:
        return Identity(client(), board, means, jitter=SystemRandom().random, people=people)

    await _start_following(supervisor, client, board, people)
    ref = await supervisor.start(ChildSpec(IDENTITY, identity, messages_max=MESSAGES_MAX))
    return LettingIn(board, ref)


async def _letting_in_there(
    supervisor: Supervisor,
    client: Callable[[], BarnClient],
    cluster: str,
    nodes: Sequence[Ref[IdentityRequest]],
) -> LettingIn:
    """Start what knows who is who by itself, and has all else done by those nodes."""
    make = partial(IdentityElsewhere, nodes)
    ref = await supervisor.start(ChildSpec(IDENTITY, make, messages_max=MESSAGES_MAX))
    people = KnownPeople(partial(knowing, client=partial(FetchedThere, identity=ref)))
    board = AccessBoard(client(), people, issuer=issuer_of(cluster), now_ms=now_ms)
    await _start_following(supervisor, client, board, people)
    return LettingIn(board, ref)


async def _start_following(
    supervisor: Supervisor,
    client: Callable[[], BarnClient],
    board: AccessBoard,
    people: KnownPeople,
) -> None:
    def follower() -> AccessFollower:
        return AccessFollower(client(), board, people)

    await supervisor.start(ChildSpec(ACCESS, follower))
