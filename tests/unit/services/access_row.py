"""A row of the two-herd matrix: how an operation is asked, and what must have been made before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runink.testing.served import Served

# Makes in a herd ("" for what belongs to none) what is asked about, and may return fields of the request that are known only then. The herd itself is there.
Prepare = Callable[[Served, str], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True)
class Row:
    """How an operation is asked in a herd. The field `herd` is filled in where the path has one; who changes a thing says `If-Match: *`.

    A field that is a function is what that returns of the world and the herd.

    `prepare` runs once in each world: whoever may is asked in a world of its own, so that nobody finds taken away what another one took.
    `content` is a body of bytes.  `told` is the code that somebody who may is told where more than a Barn in memory is needed to do what is asked; empty: it is done.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare | None = None
    content: bytes | None = None
    told: str = ""
