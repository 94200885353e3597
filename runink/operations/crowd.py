"""How many calls are under way at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runink.errors import Overloaded


class Crowd:
    """How many calls are under way. More than there may be are refused at once, so that those keep their time."""

    def __init__(self, places: int) -> None:
        self._places = places

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place as long as a call lasts. Raises Overloaded."""
        if not self._places:
            raise Overloaded("too many requests are under way", hint="ask again in a moment")
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1
