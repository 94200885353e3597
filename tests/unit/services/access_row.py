"""A row of the two-herd matrix: how an operation is asked, what must have been made before, and by which name rules know what it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runink.identity.vocabulary import Resource
from runink.testing.served import Served

OWN = "sales"  # the herd of most who ask

# Makes in a herd ("" for what belongs to none) what is asked about, and may return fields of the request that are known only then. The herd itself is there.
Prepare = Callable[[Served, str], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True)
class Row:
    """How an operation is asked in a herd. The field `herd` is filled in where the path has one; who changes a thing says `If-Match: *`.

    A field that is a function is what that returns of the world and the herd.

    `prepare` runs once in each world: who changes something is asked in a world of its own, so that nobody finds taken away what another one took.
    `content` is a body of bytes.  `told` is the code that somebody who may is told where more than a Barn in memory is needed to do what is asked; empty: it is done.

    What an operation is about by a name, rules may allow or hide by that.  Mostly it stands in the path.  Else `shows` is the name of something that a list tells of, and
    `makes` what the body names; `of` is its kind, where that is another one than the operation's.  `nameless` says why there is none.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare | None = None
    content: bytes | None = None
    told: str = ""
    shows: str = ""
    makes: str = ""
    of: Resource | None = None
    nameless: str = ""
